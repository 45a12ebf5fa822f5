//! Hosts that come, wait for news, end, are lost, and aren't hosts at all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use varve_cloud::instance::{Power, Seen};

use crate::service::{Service, call, code, everywhere, http, launch, seen, states};

#[test]
fn a_host_hears_at_once_what_is_wanted() {
    everywhere(async |service| {
        let (client, image) = (service.client("anna"), service.image().await);
        let mut host = service.host("one", 8, 8192).await;
        host.obey().await;
        // Through another process over the same database.
        let waiting = tokio::spawn(async move { (host.sync(vec![], 20).await, host) });
        let asked = Instant::now();
        let other = service.another().await.client("anna");
        let made = other.run(&launch(&image, 1, 1)).await.unwrap();
        let (orders, mut host) = waiting.await.unwrap();
        assert_eq!(orders.instances[0].instance.as_str(), made[0].id);
        assert!(asked.elapsed() < Duration::from_secs(15), "it did not wait to the end");

        // It fails there, and says why.
        let failed = Seen {
            failure: Some("no disk".into()),
            power: Power::Absent,
            started: 0,
            ..seen(&orders.instances[0], Power::Absent)
        };
        host.sync(vec![failed], 0).await;
        host.obey().await;
        let gone = client.tagged(&[]).await.unwrap();
        assert_eq!(states(&gone), ["terminated"]);
        assert!(gone[0].reason.as_ref().unwrap().contains("no disk"));
    });
}

#[test]
fn a_machine_that_nobody_knows_is_left_alone() {
    everywhere(async |service| {
        let image = service.image().await;
        let (mut one, mut two) = (service.host("one", 8, 8192).await, service.host("two", 1, 512).await);
        service.client("anna").run(&launch(&image, 1, 1)).await.unwrap();
        let order = one.obey().await.remove(0);
        // Another host says that it has it.
        let orders = two.sync(vec![seen(&order, Power::Off)], 0).await;
        assert_eq!((orders.strangers, orders.instances.len()), (vec![order.instance], 0));
        assert_eq!(states(&service.client("anna").tagged(&[]).await.unwrap()), ["running"]);
    });
}

#[test]
fn only_hosts_are_told_things() {
    everywhere(async |service| {
        let image = service.image().await;
        let mut host = service.host("one", 8, 8192).await;
        let other = service.host("two", 1, 256).await;
        let made = service.client("anna").run(&launch(&image, 1, 1)).await.unwrap();
        host.obey().await;
        let http = http();
        let base = format!("http://{}/cloud/hosts", service.address);
        let definition = format!("{base}/instances/{}", made[0].id);
        let status = async |url: &str, token: &str| {
            http.get(url).bearer_auth(token).send().await.unwrap().status().as_u16()
        };
        assert_eq!(status(&definition, &host.joined.token).await, 200);
        // Not even another host learns what a machine is told.
        assert_eq!(status(&definition, &other.joined.token).await, 404);
        let join = service.cloud.join_token().await.unwrap();
        for token in ["", "x", join.as_str()] {
            assert_eq!(status(&definition, token).await, 401, "{token}");
            assert_eq!(status(&format!("{base}/images/{image}"), token).await, 401, "{token}");
        }
        assert_eq!(status(&base, &join).await, 200);
        assert_eq!(status(&base, "x").await, 401);
        let bytes =
            http.get(format!("{base}/images/{image}")).bearer_auth(&other.joined.token).send().await.unwrap();
        assert_eq!(bytes.bytes().await.unwrap().len(), 64 << 10);
        let console = http.put(format!("{definition}/console")).bearer_auth(&host.joined.token);
        assert_eq!(console.body("hello").send().await.unwrap().status().as_u16(), 204);
        let output = service.client("anna").console(&made[0].id).await.unwrap();
        assert_eq!(output, b"hello");
        let long = http.put(format!("{definition}/console")).bearer_auth(&host.joined.token);
        assert_eq!(long.body(vec![0; 1 << 20]).send().await.unwrap().status().as_u16(), 400);

        let renewed = service.cloud.renew_join_token().await.unwrap();
        assert_ne!(renewed, join);
        assert_eq!(status(&base, &join).await, 401);
        assert_eq!(status(&definition, &host.joined.token).await, 200);
    });
}

/// How far the clock of the next test is ahead.
static AHEAD: AtomicU64 = AtomicU64::new(0);

fn ahead() -> SystemTime {
    SystemTime::now() + Duration::from_secs(AHEAD.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_host_is_noticed_and_the_old_is_forgotten() {
    let service = Service::start(None, ahead).await;
    let (client, image) = (service.client("anna"), service.image().await);
    let mut host = service.host("one", 8, 8192).await;
    let made = client.run(&launch(&image, 2, 2)).await.unwrap();
    host.obey().await;
    AHEAD.store(61, Ordering::SeqCst);
    let found = client.tagged(&[]).await.unwrap();
    assert_eq!(states(&found), ["running"; 2]);
    assert!(found[0].reason.as_ref().unwrap().starts_with("Server.HostLost"));
    let statuses = call(&client, "DescribeInstanceStatus", &[]).await.unwrap();
    let first = statuses.items("instanceStatusSet").next().unwrap();
    assert_eq!(first.child("systemStatus").unwrap().text("status"), Some("impaired"));
    assert_eq!(code(client.run(&launch(&image, 1, 1)).await), "InsufficientInstanceCapacity");
    // It comes back, with its machines.
    host.obey().await;
    assert!(client.tagged(&[]).await.unwrap()[0].reason.is_none());

    client.terminate(&[made[0].id.clone()]).await.unwrap();
    host.obey().await;
    service.cloud.forget_old().await.unwrap();
    assert_eq!(client.tagged(&[]).await.unwrap().len(), 2);
    AHEAD.store(61 + 3601, Ordering::SeqCst);
    service.cloud.forget_old().await.unwrap();
    assert_eq!(client.tagged(&[]).await.unwrap().len(), 1);
}
