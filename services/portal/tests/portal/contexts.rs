//! Contexts: made, changed, shared, looked for, deleted; and what bad input gets.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::scene::{Scene, on_both, on_sqlite};

const CONTENT: &str = "[machine]\nhostname = \"a.example.org\"\n";

pub(crate) async fn create(scene: &Scene, owner: &str, name: &str, visibility: &str) -> String {
    let new = json!({
        "description": { "name": name, "visibility": visibility, "description": "for tests 100%" },
        "draft": { "content": CONTENT },
    });
    let made = scene.client(owner).call(Method::POST, "/api/v1/contexts", &new).await.json();
    made["id"].as_str().unwrap().to_owned()
}

#[test]
fn contexts_on_both_databases() {
    on_both(|hub| async move {
        let scene = Scene::of(hub).await;
        let (ada, bob) = (scene.client("ada"), scene.client("bob"));
        let id = create(&scene, "ada", "worker", "private").await;
        let path = format!("/api/v1/contexts/{id}");
        assert_eq!(ada.get(&format!("{path}/content")).await.ok(), CONTENT);
        assert_eq!(bob.get(&path).await.status, StatusCode::NOT_FOUND);

        // A name is there once for each owner.
        let again = json!({ "description": { "name": "worker" }, "draft": { "content": "" } });
        assert_eq!(ada.call(Method::POST, "/api/v1/contexts", &again).await.status, StatusCode::CONFLICT);
        create(&scene, "bob", "worker", "private").await;

        // A version on top of an old one is refused; the same content makes none.
        let versions = format!("{path}/versions");
        let second = json!({ "content": CONTENT.replace("a.ex", "b.ex"), "note": "renamed", "base": 1 });
        assert_eq!(ada.call(Method::POST, &versions, &second).await.json()["version"], 2);
        let stale = json!({ "content": "", "base": 1 });
        assert_eq!(ada.call(Method::POST, &versions, &stale).await.status, StatusCode::CONFLICT);
        let same = json!({ "content": CONTENT.replace("a.ex", "b.ex"), "base": 2 });
        assert_eq!(ada.call(Method::POST, &versions, &same).await.json()["version"], 2);
        let difference = ada.get(&format!("{path}/difference?from=1&to=2")).await.json();
        assert_eq!(
            difference["text"],
            "@@ -1,2 +1,2 @@\n [machine]\n-hostname = \"a.example.org\"\n+hostname = \"b.example.org\"\n"
        );
        ada.post(&format!("/contexts/{id}/undo"), &[("number", "1")]).await.location();
        assert_eq!(ada.get(&format!("{path}/content")).await.ok(), CONTENT);
        let list = ada.get(&versions).await.json();
        let notes: Vec<&str> =
            list.as_array().unwrap().iter().map(|one| one["note"].as_str().unwrap()).collect();
        assert_eq!(notes, ["as version 1", "renamed", ""]);

        // Shared with one, then public.
        let described = |visibility: &str, readers: &[&str]| json!({ "name": "worker", "visibility": visibility, "readers": readers });
        assert_eq!(
            ada.call(Method::PUT, &path, &described("shared", &["nobody-known"])).await.status,
            StatusCode::UNPROCESSABLE_ENTITY
        );
        ada.call(Method::PUT, &path, &described("shared", &["bob"])).await.ok();
        assert_eq!(bob.get(&path).await.json()["name"], "worker");
        assert_eq!(bob.get("/api/v1/contexts").await.json()["shared"][0]["id"], id.as_str());
        assert_eq!(scene.client("rita").get(&path).await.status, StatusCode::NOT_FOUND);
        assert_eq!(
            bob.call(Method::POST, &versions, &json!({ "content": "" })).await.status,
            StatusCode::FORBIDDEN
        );
        let public = json!({ "name": "worker_1", "visibility": "public", "description": "grows 100%", "template": true });
        ada.call(Method::PUT, &path, &public).await.ok();
        let found = async |word: &str| {
            let list = scene.client("nobody").get(&format!("/api/v1/contexts/public?q={word}")).await.json();
            list.as_array().unwrap().len()
        };
        assert_eq!(found("").await, 1);
        assert_eq!((found("WORKER_1").await, found("100%25").await, found("ada").await), (1, 1, 1));
        assert_eq!((found("worker%25").await, found("w_rker").await, found("'%20OR%201=1").await), (0, 0, 0));
        scene.client("nobody").get(&format!("/contexts/{id}")).await.ok();

        assert_eq!(bob.call(Method::DELETE, &path, &Value::Null).await.status, StatusCode::FORBIDDEN);
        ada.call(Method::DELETE, &path, &Value::Null).await.ok();
        assert_eq!(ada.get(&path).await.status, StatusCode::NOT_FOUND);
    });
}

#[test]
fn two_writers_never_make_one_version() {
    on_both(|hub| async move {
        let scene = Scene::of(hub).await;
        let id = create(&scene, "ada", "busy", "private").await;
        let path = format!("/api/v1/contexts/{id}/versions");
        let writers = (0..20).map(|number| {
            let (ada, path) = (scene.client("ada").clone(), path.clone());
            tokio::spawn(async move {
                let draft = json!({ "content": format!("# {number}\n"), "base": 1 });
                ada.call(Method::POST, &path, &draft).await.status
            })
        });
        let mut won = 0;
        for writer in writers.collect::<Vec<_>>() {
            match writer.await.unwrap() {
                StatusCode::OK => won += 1,
                StatusCode::CONFLICT => {}
                other => panic!("{other}"),
            }
        }
        assert_eq!(won, 1);
        assert_eq!(scene.client("ada").get(&path).await.json().as_array().unwrap().len(), 2);
    });
}

#[test]
fn bad_input_gets_an_answer_and_never_a_script() {
    on_sqlite(|hub| async move {
        let scene = Scene::of(hub).await;
        let ada = scene.client("ada");
        let nasty = "<script>alert(1)</script>\"'&";
        let new = json!({
            "description": { "name": nasty, "description": nasty, "visibility": "public" },
            "draft": { "content": format!("# {nasty}\n[{nasty}"), "note": nasty },
        });
        let made = ada.call(Method::POST, "/api/v1/contexts", &new).await.json();
        let id = made["id"].as_str().unwrap();
        for path in ["/", "/contexts", "/contexts/public", "/audit"]
            .map(str::to_owned)
            .into_iter()
            .chain(["", "/edit", "/sharing", "/versions/1"].map(|end| format!("/contexts/{id}{end}")))
        {
            let answer = ada.get(&path).await;
            let policy = answer.headers["content-security-policy"].to_str().unwrap();
            assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
            let page = answer.ok();
            assert!(!page.contains("<script>") && !page.contains("alert(1)</"), "{path}");
        }
        let huge =
            json!({ "draft": { "content": "x".repeat((1 << 20) + 1) }, "description": { "name": "huge" } });
        assert_eq!(
            ada.call(Method::POST, "/api/v1/contexts", &huge).await.status,
            StatusCode::PAYLOAD_TOO_LARGE
        );
        for (path, body) in [
            ("/api/v1/contexts", json!({ "draft": { "content": "a\0b" }, "description": { "name": "x" } })),
            ("/api/v1/contexts", json!({ "draft": {}, "description": { "name": " " } })),
            ("/api/v1/contexts", json!({ "draft": {}, "description": { "name": "x", "visibility": "all" } })),
            ("/api/v1/contexts", json!({ "nonsense": 1 })),
            ("/api/v1/contexts", json!([])),
            ("/api/v1/check", json!({ "content": 5 })),
            ("/api/v1/import", json!({ "content": "" })),
        ] {
            let answer = ada.call(Method::POST, path, &body).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", answer.body);
            assert_eq!(answer.headers["content-type"], "application/problem+json");
        }
        for path in [
            "/contexts/../../etc",
            "/contexts/0",
            "/api/v1/contexts/%00",
            "/nothing",
            "/assets/../Cargo.toml",
        ] {
            assert_eq!(ada.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
        }
        let checked = ada.call(Method::POST, "/api/v1/check", &json!({ "content": CONTENT })).await.json();
        assert_eq!(checked["values"], json!({ "machine": { "hostname": "a.example.org" } }));
        let written = ada.call(Method::POST, "/api/v1/document", &checked["values"]).await.json();
        assert_eq!(written["content"], CONTENT);
    });
}
