//! Pairing a machine: from its PIN to its context, and what guessers get.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use varve_context::{MachinePair, protect};

use crate::client::Client;
use crate::contexts::create;
use crate::scene::{Scene, on_both, on_sqlite};

const CONTENT: &[u8] = b"[machine]\nhostname = \"a.example.org\"\n";

async fn start(machine: &Client, key: &MachinePair) -> Value {
    let request = json!({
        "machine_key": key.public().to_text(),
        "facts": { "name": "<b>box</b>", "model": "QEMU", "architecture": "x86_64" },
    });
    machine.call(Method::POST, "/api/v1/pairings", &request).await.json()
}

async fn poll(machine: &Client, started: &Value, wait: u16) -> (StatusCode, Value) {
    let question = json!({ "device_code": started["device_code"], "wait": wait });
    let answer = machine.call(Method::POST, "/api/v1/pairings/poll", &question).await;
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

#[test]
fn a_machine_is_paired_on_both_databases() {
    on_both(|hub| async move {
        let scene = Scene::of(hub).await;
        let looking_after = {
            let hub = scene.hub.clone();
            tokio::spawn(async move { hub.look_after().await })
        };
        let context = create(&scene, "ada", "worker", "private").await;
        let (machine, ada, bob) = (Client::of(&scene.hub), scene.client("ada"), scene.client("bob"));
        let key = MachinePair::generate().unwrap();
        let fingerprint = key.public().fingerprint();
        let started = start(&machine, &key).await;
        let pin = started["user_code"].as_str().unwrap().to_owned();
        assert_eq!(started["verification_uri_complete"], format!("http://hub.example.org/pair?pin={pin}"));
        assert_eq!(poll(&machine, &started, 0).await.1, json!({ "error": "authorization_pending" }));

        // The page shows what will be paired, whatever it calls itself.
        let page = ada.post("/pair", &[("pin", &pin.to_lowercase())]).await.ok();
        assert!(page.contains(&fingerprint) && page.contains("&lt;b&gt;box&lt;/b&gt;"), "{page}");
        assert!(page.contains(&context));

        // Nobody gives a context that isn't theirs to read.
        let decide = |context: &str| json!({ "pin": pin, "approve": { "context": context } });
        let stolen = bob.call(Method::POST, "/api/v1/pairings/decide", &decide(&context)).await;
        assert_eq!(stolen.status, StatusCode::NOT_FOUND);

        // The machine waits while its owner decides.
        let waiting = {
            let (machine, started) = (machine.clone(), started.clone());
            tokio::spawn(async move { poll(&machine, &started, 20).await })
        };
        let approved = ada.call(Method::POST, "/api/v1/pairings/decide", &decide(&context)).await.json();
        assert_eq!(approved["state"], "approved");
        let (status, answer) = waiting.await.unwrap();
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(key.open(&answer["sealed"].to_string()).unwrap(), CONTENT);

        // Once decided, once taken: the PIN is void, and nothing is left of what was sealed.
        let again = ada.call(Method::POST, "/api/v1/pairings/decide", &decide(&context)).await;
        assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
        let taken = json!({ "device_code": started["device_code"] });
        machine.call(Method::POST, "/api/v1/pairings/taken", &taken).await.ok();
        assert_eq!(poll(&machine, &started, 0).await.1, json!({ "error": "expired_token" }));
        let machines = ada.get("/api/v1/pairings").await.json();
        assert_eq!(machines[0]["state"], "taken");
        assert_eq!(bob.get("/api/v1/pairings").await.json(), json!([]));
        let id = machines[0]["id"].as_str().unwrap();
        assert!(ada.get(&format!("/machines/{id}")).await.ok().contains("has its context"));
        assert_eq!(bob.get(&format!("/machines/{id}")).await.status, StatusCode::NOT_FOUND);

        // Another one is refused.
        let started = start(&machine, &MachinePair::generate().unwrap()).await;
        let refusal = json!({ "pin": started["user_code"], "approve": null });
        ada.call(Method::POST, "/api/v1/pairings/decide", &refusal).await.ok();
        assert_eq!(poll(&machine, &started, 20).await.1, json!({ "error": "access_denied" }));
        let log = scene.client("root").get("/api/v1/audit").await.ok();
        for action in ["pairing.approve", "context.fetch", "pairing.deny"] {
            assert!(log.contains(action), "{log}");
        }
        looking_after.abort();
    });
}

#[test]
fn two_who_approve_one_machine_are_one() {
    on_both(|hub| async move {
        let scene = Scene::of(hub).await;
        let context = create(&scene, "ada", "worker", "public").await;
        let machine = Client::of(&scene.hub);
        let started = start(&machine, &MachinePair::generate().unwrap()).await;
        let decision = json!({ "pin": started["user_code"], "approve": { "context": context } });
        let approvals = (0..10).map(|number| {
            let client = scene.client(["ada", "bob"][number % 2]).clone();
            let decision = decision.clone();
            tokio::spawn(async move {
                client.call(Method::POST, "/api/v1/pairings/decide", &decision).await.status.is_success()
            })
        });
        let mut won = 0;
        for approval in approvals.collect::<Vec<_>>() {
            won += usize::from(approval.await.unwrap());
        }
        assert_eq!(won, 1);
    });
}

#[test]
fn guessing_pins_is_slowed_down() {
    on_sqlite(|hub| async move {
        let scene = Scene::of(hub).await;
        let mut bob = scene.client("bob").clone();
        bob.address = [203, 0, 113, 7].into();
        let mut refused = 0;
        for number in 0..14 {
            let pin = format!("BCDFGHJ{}", ["B", "C", "D", "F", "G", "H", "J"][number % 7]);
            let answer = bob.call(Method::POST, "/api/v1/pairings/look", &json!({ "pin": pin })).await;
            match answer.status {
                StatusCode::UNPROCESSABLE_ENTITY => {}
                StatusCode::TOO_MANY_REQUESTS => {
                    refused += 1;
                    assert!(answer.headers.contains_key("retry-after"));
                }
                other => panic!("{other}"),
            }
        }
        assert_eq!(refused, 4);
        // Whoever guesses elsewhere is not in the way of others.
        let started = start(&Client::of(&scene.hub), &MachinePair::generate().unwrap()).await;
        scene
            .client("ada")
            .call(Method::POST, "/api/v1/pairings/look", &json!({ "pin": started["user_code"] }))
            .await
            .ok();
    });
}

#[test]
fn a_protected_context_is_sealed_by_its_owner() {
    on_sqlite(|hub| async move {
        let scene = Scene::of(hub).await;
        let ada = scene.client("ada");
        let content = protect(CONTENT, "only ada knows").unwrap();
        let new = json!({ "description": { "name": "secret" }, "draft": { "content": content } });
        let made = ada.call(Method::POST, "/api/v1/contexts", &new).await.json();
        assert_eq!(made["protected"], true);
        let machine = Client::of(&scene.hub);
        let key = MachinePair::generate().unwrap();
        let started = start(&machine, &key).await;
        let plain = json!({ "pin": started["user_code"], "approve": { "context": made["id"] } });
        let refused = ada.call(Method::POST, "/api/v1/pairings/decide", &plain).await;
        assert!(refused.body.contains("its secret opens it in your browser"), "{}", refused.body);
        let sealed = key.public().seal(CONTENT).unwrap();
        let by_owner =
            json!({ "pin": started["user_code"], "approve": { "context": made["id"], "sealed": sealed } });
        ada.call(Method::POST, "/api/v1/pairings/decide", &by_owner).await.ok();
        let (_, answer) = poll(&machine, &started, 5).await;
        assert_eq!(key.open(&answer["sealed"].to_string()).unwrap(), CONTENT);
    });
}

#[test]
fn a_machine_is_let_go_when_the_hub_ends() {
    on_sqlite(|hub| async move {
        let machine = Client::of(&hub);
        let started = start(&machine, &MachinePair::generate().unwrap()).await;
        let waiting = {
            let (machine, started) = (machine.clone(), started.clone());
            tokio::spawn(async move { poll(&machine, &started, 25).await })
        };
        tokio::time::sleep(Duration::from_millis(20)).await;
        hub.end_waiting();
        assert_eq!(waiting.await.unwrap().1, json!({ "error": "authorization_pending" }));
        for body in [
            json!({}),
            json!({ "machine_key": "x" }),
            json!({ "machine_key": "x".repeat(5000), "facts": [] }),
        ] {
            let answer = machine.call(Method::POST, "/api/v1/pairings", &body).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        }
        let unknown = json!({ "device_code": "nothing", "wait": 20 });
        let answer = machine.call(Method::POST, "/api/v1/pairings/poll", &unknown).await;
        assert!(answer.body.contains("expired_token"));
    });
}
