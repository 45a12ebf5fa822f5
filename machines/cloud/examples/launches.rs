//! How fast instances are recorded and listed, here and at another endpoint such as moto's:
//!
//! ```text
//! python3 -m venv target/tools/moto && target/tools/moto/bin/pip install 'moto[ec2,server]==5.2.5'
//! target/tools/moto/bin/moto_server -p 5000 &
//! cargo run --release -p varve-cloud --example launches -- http://127.0.0.1:5000/
//! ```
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::{BoxFuture, join_all};
use varve_chassis::db::{Database, DatabaseConfig, Location};
use varve_cloud::agent::{Link, LinkConfig};
use varve_cloud::client::{Client, ClientConfig, Form, Launch};
use varve_cloud::ec2::Credentials;
use varve_cloud::hosts::protocol::Join;
use varve_cloud::{
    AccessKey, Account, AccountId, Accounts, AccountsUnavailable, Cloud, CloudConfig, Quota, SCHEMA, ec2,
    hosts,
};

/// One after the other.
const SEQUENTIAL: usize = 200;
/// At a time.
const CLIENTS: usize = 32;
/// In one request.
const TOGETHER: u32 = 900;
/// How many are listed.
const LISTED: usize = 1000;

/// Everybody, with everything.
struct Everybody;

impl Accounts for Everybody {
    fn access_key<'a>(
        &'a self,
        key_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<AccessKey>, AccountsUnavailable>> {
        Box::pin(async move {
            let Ok(id) = AccountId::new(key_id) else { return Ok(None) };
            let quota = Quota { instances: u32::MAX, cores: u32::MAX, memory: u64::MAX };
            let account = Account { id, operator: true, quota };
            Ok(Some(AccessKey { secret: "secret".to_owned(), session_token: None, account }))
        })
    }
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let scratch = varve_testkit::Scratch::new();
    let location = Location::Sqlite(scratch.join("cloud.db"));
    let database = DatabaseConfig { location, threads: 4, patience: Duration::from_secs(10) };
    let database = Database::open(&database, &[SCHEMA])?;
    let images = scratch.directory("images");
    let mut disk = vec![0; 64 << 10];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(images.join("disk.img"), disk)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let config = CloudConfig {
            region: "local".into(),
            images,
            endpoint: format!("http://{address}/"),
            clock: SystemTime::now,
        };
        let cloud = Cloud::new(database, Arc::new(Everybody), config);
        let link = LinkConfig { url: format!("http://{address}"), fingerprint: None };
        let link = Link::new(&link, &cloud.join_token().await?)?;
        let router = ec2::router(cloud.clone(), "/").merge(hosts::router(cloud));
        tokio::spawn(async move { axum::serve(listener, router).await });
        link.join(&Join {
            name: "big".into(),
            zone: None,
            cores: 1 << 20,
            memory: 1 << 40,
            version: String::new(),
        })
        .await?;
        let mut form = Form::default();
        form.add("Name", "disk");
        form.add("ImageLocation", "disk.img");
        let endpoint = format!("http://{address}/");
        let registered = client(&endpoint, "anna")?.call("RegisterImage", &form).await?;
        let image = registered.text("imageId").unwrap_or_default().to_owned();
        measure("varve", &endpoint, &image).await?;
        if let Some(other) = std::env::args().nth(1) {
            let found = client(&other, "anna")?.call("DescribeImages", &Form::default()).await?;
            let image = found
                .items("imagesSet")
                .next()
                .and_then(|one| one.text("imageId"))
                .unwrap_or_default()
                .to_owned();
            measure(&other, &other, &image).await?;
        }
        Ok(())
    })
}

fn client(endpoint: &str, who: &str) -> Outcome<Client> {
    let credentials =
        Credentials { key_id: who.to_owned(), secret: "secret".to_owned(), session_token: None };
    let region = "us-east-1".to_owned();
    Ok(Client::new(ClientConfig {
        endpoint: endpoint.to_owned(),
        region,
        credentials,
        clock: SystemTime::now,
    })?)
}

async fn measure(name: &str, endpoint: &str, image: &str) -> Outcome<()> {
    let one = client(endpoint, "anna")?;
    let launch = |count| Launch {
        image: image.to_owned(),
        kind: Some("t2.nano".into()),
        count: (count, count),
        ..Launch::default()
    };
    let begin = Instant::now();
    for _ in 0..SEQUENTIAL {
        one.run(&launch(1)).await?;
    }
    let sequential = SEQUENTIAL as f64 / begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    let many = (0..CLIENTS).map(|_| async {
        for _ in 0..SEQUENTIAL / 8 {
            one.run(&launch(1)).await?;
        }
        Ok::<_, varve_cloud::client::ClientError>(())
    });
    for ended in join_all(many).await {
        ended?;
    }
    let concurrent = (CLIENTS * (SEQUENTIAL / 8)) as f64 / begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    let made = one.run(&launch(TOGETHER)).await?.len();
    let together = begin.elapsed();

    // Somebody else, who has exactly so many.
    let lister = client(endpoint, "lister")?;
    let there = lister.tagged(&[]).await?.len();
    if there < LISTED {
        lister.run(&launch(u32::try_from(LISTED - there)?)).await?;
    }
    let mut times = Vec::new();
    for _ in 0..5 {
        let begin = Instant::now();
        let answer = lister.call("DescribeInstances", &Form::default()).await?;
        times.push(begin.elapsed());
        drop(answer);
    }
    times.sort();
    println!("{name}");
    println!("  RunInstances, one after the other   {sequential:.0} per second");
    println!("  RunInstances, {CLIENTS} at a time         {concurrent:.0} per second");
    println!("  RunInstances of {made}              {:.1} ms", together.as_secs_f64() * 1000.0);
    println!(
        "  DescribeInstances of {LISTED} and more  {:.1} ms (median of 5)",
        times[2].as_secs_f64() * 1000.0
    );
    Ok(())
}
