//! A service with the cloud and nothing else, and hosts that only say that they do what they are told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use varve_chassis::db::{Database, DatabaseConfig, Location};
use varve_cloud::client::{Client, ClientConfig, ClientError, Element, Form, Launch, RemoteInstance};
use varve_cloud::ec2::Credentials;
use varve_cloud::hosts::protocol::{Joined, Order, Orders, Report};
use varve_cloud::instance::{Power, Seen, Wanted};
use varve_cloud::{
    AccessKey, Account, AccountId, Accounts, AccountsUnavailable, Cloud, CloudConfig, Quota, SCHEMA, ec2,
    hosts,
};
use varve_testkit::{Postgres, Scratch};

/// What everybody may have.
pub(crate) const QUOTA: Quota = Quota { instances: 40, cores: 60, memory: 60 << 10 };

/// Anna, Ben, and the operator, whose secrets are their names.
struct Three;

impl Accounts for Three {
    fn access_key<'a>(
        &'a self,
        key_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<AccessKey>, AccountsUnavailable>> {
        Box::pin(async move {
            let known = ["anna", "ben", "operator"].contains(&key_id);
            Ok(known.then(|| AccessKey {
                secret: secret(key_id),
                session_token: None,
                account: Account {
                    id: AccountId::new(key_id).expect("because it is an id"),
                    operator: key_id == "operator",
                    quota: QUOTA,
                },
            }))
        })
    }
}

pub(crate) fn secret(key_id: &str) -> String {
    format!("the secret of {key_id}")
}

/// A running service.
pub(crate) struct Service {
    pub(crate) cloud: Cloud,
    pub(crate) address: SocketAddr,
    pub(crate) scratch: Arc<Scratch>,
    location: Location,
    clock: fn() -> SystemTime,
}

impl Service {
    /// One over a new database in a scratch directory, or at a location.
    pub(crate) async fn start(location: Option<Location>, clock: fn() -> SystemTime) -> Self {
        let scratch = Arc::new(Scratch::new());
        let location = location.unwrap_or_else(|| Location::Sqlite(scratch.join("cloud.db")));
        scratch.directory("images");
        let mut disk = vec![0; 64 << 10];
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        std::fs::write(scratch.join("images/disk.img"), disk).expect("because it is writable");
        Self::over(location, scratch, clock).await
    }

    /// Another process over the same database.
    pub(crate) async fn another(&self) -> Self {
        Self::over(self.location.clone(), Arc::clone(&self.scratch), self.clock).await
    }

    async fn over(location: Location, scratch: Arc<Scratch>, clock: fn() -> SystemTime) -> Self {
        let config =
            DatabaseConfig { location: location.clone(), threads: 4, patience: Duration::from_secs(30) };
        let open = tokio::task::spawn_blocking(move || Database::open(&config, &[SCHEMA]));
        let database = open.await.expect("because it doesn't panic").expect("because it can be made");
        let listener =
            tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("because there are free ports");
        let address = listener.local_addr().expect("because it is bound");
        let config = CloudConfig {
            region: "local".into(),
            images: scratch.join("images"),
            endpoint: format!("http://{address}/ec2"),
            clock,
        };
        let cloud = Cloud::new(database, Arc::new(Three), config);
        let router = ec2::router(cloud.clone(), "/ec2").merge(hosts::router(cloud.clone()));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { cloud, address, scratch, location, clock }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}/ec2", self.address)
    }

    pub(crate) fn client(&self, who: &str) -> Client {
        let credentials = Credentials { key_id: who.into(), secret: secret(who), session_token: None };
        let config = ClientConfig {
            endpoint: self.endpoint(),
            region: "local".into(),
            credentials,
            clock: self.clock,
        };
        Client::new(config).expect("because the address is one")
    }

    /// The image that everybody can use.
    pub(crate) async fn image(&self) -> String {
        let mut form = Form::default();
        form.add("Name", "disk");
        form.add("ImageLocation", "disk.img");
        let answer = self.client("operator").call("RegisterImage", &form).await.expect("because it is one");
        answer.text("imageId").expect("because it was registered").to_owned()
    }

    pub(crate) async fn host(&self, name: &str, cores: u32, memory: u64) -> Host {
        let http = http();
        let token = self.cloud.join_token().await.expect("because the database is there");
        let join = serde_json::json!({ "name": name, "cores": cores, "memory": memory, "version": "1" });
        let base = format!("http://{}/cloud/hosts", self.address);
        let request = http.post(format!("{base}/join")).bearer_auth(token);
        let request = request.header("content-type", "application/json").body(join.to_string());
        let answer = request.send().await.expect("because it listens");
        assert!(answer.status().is_success(), "{}", answer.status());
        let bytes = answer.bytes().await.expect("because it answers");
        let joined: Joined = serde_json::from_slice(&bytes).expect("because it joined");
        Host { http, base, joined, cores, memory, revision: 0 }
    }
}

pub(crate) fn http() -> reqwest::Client {
    // Fails if another test has chosen a provider already, which is as good.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("because it needs nothing")
}

/// A host that does what it is told in no time.
pub(crate) struct Host {
    http: reqwest::Client,
    base: String,
    pub(crate) joined: Joined,
    cores: u32,
    memory: u64,
    revision: i64,
}

impl Host {
    pub(crate) async fn sync(&mut self, machines: Vec<Seen>, wait: u64) -> Orders {
        let report = Report {
            revision: self.revision,
            wait,
            cores: self.cores,
            memory: self.memory,
            version: "1".into(),
            machines,
        };
        let body = serde_json::to_vec(&report).expect("because it is data");
        let request = self.http.post(format!("{}/sync", self.base)).bearer_auth(&self.joined.token);
        let answer = request
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .expect("because it listens");
        assert!(answer.status().is_success(), "{}", answer.status());
        let bytes = answer.bytes().await.expect("because it answers");
        let orders: Orders = serde_json::from_slice(&bytes).expect("because it is an answer");
        self.revision = orders.revision;
        orders
    }

    /// Asks what is wanted, and says that it is so.
    pub(crate) async fn obey(&mut self) -> Vec<Order> {
        let orders = self.sync(vec![], 0).await;
        let seen = orders.instances.iter().map(|order| {
            let power = match order.wanted {
                Wanted::Running => Power::On,
                Wanted::Stopped | Wanted::StoppedByForce => Power::Off,
                Wanted::Terminated => Power::Absent,
            };
            seen(order, power)
        });
        self.sync(seen.collect(), 0).await.instances
    }
}

pub(crate) fn seen(order: &Order, power: Power) -> Seen {
    Seen {
        instance: order.instance.clone(),
        power,
        started: order.starts,
        failure: None,
        host_restarted: false,
        ports: "22=192.0.2.1:40022".into(),
    }
}

pub(crate) fn launch(image: &str, least: u32, most: u32) -> Launch {
    Launch { image: image.into(), kind: Some("t2.nano".into()), count: (least, most), ..Launch::default() }
}

pub(crate) fn ids(instances: &[RemoteInstance]) -> Vec<String> {
    instances.iter().map(|instance| instance.id.clone()).collect()
}

pub(crate) fn states(instances: &[RemoteInstance]) -> Vec<&str> {
    instances.iter().map(|instance| instance.state.as_str()).collect()
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    let error = result.expect_err("because it is refused");
    error.code().unwrap_or_else(|| panic!("{error}")).to_owned()
}

/// Any action with any parameters.
pub(crate) async fn call(
    client: &Client,
    action: &'static str,
    parameters: &[(&str, &str)],
) -> Result<Element, ClientError> {
    let mut form = Form::default();
    for (name, value) in parameters {
        form.add(name, value);
    }
    client.call(action, &form).await
}

/// Runs a test on both engines; PostgreSQL where it is installed.
pub(crate) fn everywhere<F: Future<Output = ()>>(test: impl Fn(Service) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let runtime = runtime.expect("because there are threads");
    runtime.block_on(async { test(Service::start(None, SystemTime::now).await).await });
    if let Some(server) = Postgres::start() {
        let location = Location::Postgres(server.address());
        runtime.block_on(async { test(Service::start(Some(location), SystemTime::now).await).await });
    }
}
