//! The appliance's API over a root directory of the test's, with programs that note what they were told.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use varve_guest::appliance::{ApplianceConfig, router};
use varve_guest::rebase::Rebase;
use varve_guest::update::{Pinned, Release, Releases, Version, Versions};

#[derive(Debug)]
struct Published;

fn release(revision: u64) -> Release {
    let version = Version {
        hash: format!("hash{revision}"),
        revision: Some(revision),
        tag: Some(format!("os-{revision}")),
    };
    Release { version, published: "2026-11-01T00:00:00Z".to_owned(), description: "monthly".to_owned() }
}

impl Releases for Published {
    fn list(&self) -> Result<Vec<Release>, Box<dyn Error + Send + Sync>> {
        Ok(vec![release(2), release(1)])
    }

    fn compare(&self, _: &Version) -> Result<Rebase, Box<dyn Error + Send + Sync>> {
        Ok(Rebase { untouched: 3, ..Rebase::default() })
    }
}

struct Machine {
    scratch: tempfile::TempDir,
    router: axum::Router,
    token: String,
}

impl Machine {
    fn start() -> Self {
        let scratch = tempfile::tempdir().expect("because there is room");
        let root = scratch.path().join("root");
        let write = |path: &str, content: &str, mode: u32| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("because it is below")).expect("because there is room");
            fs::write(&path, content).expect("because there is room");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("because it is ours");
        };
        write(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nanna:x:1000:1000:Anna:/home/anna:/bin/sh\nben:x:1001:1001::/home/ben:/bin/sh\n",
            0o644,
        );
        write("etc/group", "root:x:0:\nsudo:x:27:anna\nanna:x:1000:\nben:x:1001:\n", 0o644);
        write("etc/shadow", "root:*:1::::::\nanna:*:1::::::\nben:*:1::::::\n", 0o640);
        write("etc/hostname", "node7\n", 0o644);
        write("proc/meminfo", "MemTotal: 2048 kB\nMemAvailable: 1024 kB\n", 0o644);
        write("proc/self/mounts", "varve /cvmfs/a.example.org fuse ro 0 0\n", 0o644);
        write("usr/sbin/unix_chkpwd", "#!/bin/sh\n[ \"$1\" != root ] && grep -q '^right'\n", 0o755);
        let units = r#"[{"unit":"ssh.service","load":"loaded","active":"active","sub":"running","description":"Secure Shell"}]"#;
        let files = r#"[{"unit_file":"ssh.service","state":"enabled","preset":"enabled"}]"#;
        let script = format!(
            "#!/bin/sh\necho \"$@\" >> {log}\ncase \"$*\" in *list-units*) echo '{units}';; *list-unit-files*) echo '{files}';; *broken*) echo 'it is broken' >&2; exit 1;; esac\n",
            log = scratch.path().join("log").display(),
        );
        write("bin/systemctl", &script, 0o755);
        let versions = scratch.path().join("versions");
        fs::create_dir(&versions).expect("because there is room");
        let first = Pinned::first("os.example.org", "tag", release(1).version);
        Versions::in_directory(&versions).pin(&first).expect("because there is room");
        let config = ApplianceConfig {
            systemctl: root.join("bin/systemctl"),
            root,
            versions: Some(versions),
            token: scratch.path().join("token"),
            now: std::time::SystemTime::now,
            releases: Arc::new(Published),
        };
        let router = router(config).expect("because there is room");
        let token = fs::read_to_string(scratch.path().join("token")).expect("because it was written");
        Self { scratch, router, token }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>, token: &str) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(format!("/api/{path}"));
        if !token.is_empty() {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header("Content-Type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let request = request.body(body).expect("because it is well formed");
        let response = self.router.clone().oneshot(request).await.expect("because errors are responses");
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.expect("because it is short");
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn done(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(method, path, body, &self.token).await;
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    async fn refused(&self, method: &str, path: &str, body: Value) -> String {
        let (status, answer) = self.call(method, path, Some(body), &self.token).await;
        assert!(status >= 400, "{method} {path}: {status} {answer}");
        answer["detail"].as_str().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn nothing_answers_without_a_token() {
    let machine = Machine::start();
    for path in ["machine", "users", "services", "versions", "repositories", "proxy"] {
        for token in ["", "wrong"] {
            assert_eq!(machine.call("GET", path, None, token).await.0, 401, "{path}");
        }
        machine.done("GET", path, None).await;
    }
    let mode = fs::metadata(machine.path("token")).expect("because it was written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn administrators_sign_in_with_their_passwords_and_nobody_guesses_for_long() {
    let machine = Machine::start();
    let sign_in = async |user: &str, password: &str| {
        machine.call("POST", "session", Some(json!({ "user": user, "password": password })), "").await
    };
    let (status, session) = sign_in("anna", "right").await;
    assert_eq!(status, 200);
    let token = session["token"].as_str().expect("because she may").to_owned();
    assert_eq!(machine.call("GET", "machine", None, &token).await.0, 200);
    assert_eq!(sign_in("ben", "right").await.0, 403, "no administrator");
    assert_eq!(sign_in("-x", "right").await.0, 403);
    assert_eq!(sign_in("anna", "").await.0, 403);
    for _ in 0..2 {
        assert_eq!(sign_in("anna", "guess").await.0, 403);
    }
    assert_eq!(sign_in("anna", "right").await.0, 429);
    assert_eq!(machine.call("GET", "machine", None, &token).await.0, 200, "who is in stays in");
}

#[tokio::test]
async fn the_machine_says_how_it_is() {
    let machine = Machine::start();
    let shown = machine.done("GET", "machine", None).await;
    assert_eq!(shown["hostname"], "node7");
    assert_eq!(shown["memory"], json!({ "total": 2 << 20, "available": 1 << 20 }));
}

#[tokio::test]
async fn users_are_listed_and_made() {
    let machine = Machine::start();
    let names = async || {
        let list = machine.done("GET", "users", None).await;
        let names = list.as_array().expect("because it is a list").iter().map(|user| user["name"].clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["anna", "ben"]);
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHRlc3Q test";
    let new = json!({ "name": "clara", "full-name": "Clara", "password": "secret", "ssh-keys": [key], "admin": true });
    machine.done("POST", "users", Some(new)).await;
    assert_eq!(names().await, ["anna", "ben", "clara"]);
    assert!(machine.file("root/etc/shadow").contains("clara:$"));
    assert!(!machine.file("root/etc/shadow").contains("secret"));
    assert!(machine.file("root/home/clara/.ssh/authorized_keys").contains(key));
    assert!(
        machine.refused("POST", "users", json!({ "name": "root" })).await.contains("account of the system")
    );
    machine.refused("POST", "users", json!({ "name": "a:b" })).await;
    machine.refused("POST", "users", json!({ "name": "dora", "full-name": "a\nroot::0:0::/:/bin/sh" })).await;
    assert_eq!(names().await, ["anna", "ben", "clara"]);
}

#[tokio::test]
async fn repositories_and_the_proxy_are_kept_in_the_clients_settings() {
    let machine = Machine::start();
    let add = |name: &str| json!({ "name": name, "server": format!("http://s/cvmfs/{name}"), "key": "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----" });
    machine.done("POST", "repositories", Some(add("a.example.org"))).await;
    machine.done("POST", "repositories", Some(add("b.example.org"))).await;
    machine.done("PUT", "proxy", Some(json!({ "proxy": "http://squid:3128" }))).await;
    let list = machine.done("GET", "repositories", None).await;
    assert_eq!(list[0]["name"], "a.example.org");
    assert_eq!((&list[0]["mounted"], &list[1]["mounted"]), (&json!(true), &json!(false)));
    assert_eq!(list[1]["servers"], json!(["http://s/cvmfs/b.example.org"]));
    assert_eq!(machine.done("GET", "proxy", None).await["proxy"], "http://squid:3128");
    let log = machine.file("log");
    assert!(log.contains("restart -- varve-repository-a.example.org.service"), "{log}");
    machine.done("DELETE", "repositories/a.example.org", None).await;
    let list = machine.done("GET", "repositories", None).await;
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    machine.refused("POST", "repositories", json!({ "name": "../etc" })).await;
    machine.refused("PUT", "proxy", json!({ "proxy": "http://squid:port" })).await;
    assert_eq!(machine.call("DELETE", "repositories/none.example.org", None, &machine.token).await.0, 404);
}

#[tokio::test]
async fn services_are_listed_and_told() {
    let machine = Machine::start();
    let list = machine.done("GET", "services", None).await;
    assert_eq!(
        list[0],
        json!({ "name": "ssh", "description": "Secure Shell", "active": "active", "state": "running", "starts": "enabled" })
    );
    machine.done("POST", "services/ssh", Some(json!({ "action": "restart" }))).await;
    assert!(machine.file("log").contains("restart -- ssh.service"));
    assert_eq!(
        machine.refused("POST", "services/broken", json!({ "action": "start" })).await,
        "it is broken"
    );
    machine.refused("POST", "services/a%20b", json!({ "action": "start" })).await;
    machine.refused("POST", "services/ssh", json!({ "action": "explode" })).await;
}

#[tokio::test]
async fn versions_are_compared_asked_for_and_taken_back() {
    let machine = Machine::start();
    let state = machine.done("GET", "versions", None).await;
    assert_eq!(state["current"]["tag"], "os-1");
    assert_eq!(state["releases"][0]["version"]["tag"], "os-2");
    let compared = machine.done("POST", "versions/compare", Some(json!({ "tag": "os-2" }))).await;
    assert_eq!(compared["untouched"], 3);
    machine.done("POST", "versions", Some(json!({ "rebase": "os-2" }))).await;
    assert_eq!(machine.done("GET", "versions", None).await["request"]["rebase"]["tag"], "os-2");
    machine.done("POST", "versions", Some(json!("cancel"))).await;
    machine.done("POST", "versions", Some(json!({ "policy": "follow" }))).await;
    let state = machine.done("GET", "versions", None).await;
    assert_eq!((&state["request"], &state["policy"]), (&Value::Null, &json!("follow")));
    assert!(machine.refused("POST", "versions", json!("undo")).await.contains("no version before"));
    assert_eq!(
        machine.call("POST", "versions", Some(json!({ "rebase": "none" })), &machine.token).await.0,
        404
    );
}

#[tokio::test]
async fn the_page_is_there_and_runs_nothing_of_others() {
    let machine = Machine::start();
    let request = Request::get("/").body(Body::empty()).expect("because it is well formed");
    let response = machine.router.oneshot(request).await.expect("because errors are responses");
    let policy =
        response.headers()["content-security-policy"].to_str().expect("because it is text").to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let page = to_bytes(response.into_body(), 1 << 20).await.expect("because it is short");
    assert!(String::from_utf8_lossy(&page).contains("<title>This machine</title>"));
}
