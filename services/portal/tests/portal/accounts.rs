//! Signing up, in and out; tokens; forged requests; guessing.

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use serde_json::json;

use crate::client::Client;
use crate::scene::{PASSWORD, Scene, on_both, on_sqlite};

#[test]
fn accounts_on_both_databases() {
    on_both(|hub| async move {
        let scene = Scene::of(hub).await;
        assert!(scene.hub.first_code().await.unwrap().is_none(), "there is an administrator");

        // Who signs in again gets another session; the old one is over.
        let mut ada = scene.client("ada").clone();
        let old = ada.clone();
        ada.sign_in("ada", PASSWORD).await;
        assert_ne!(old.cookie, ada.cookie);
        assert_eq!(old.get("/contexts").await.location(), "/sign-in?next=%2F%63%6F%6E%74%65%78%74%73");
        ada.get("/contexts").await.ok();

        // A token is shown once, does what its account may, and nothing to the account.
        let page = ada.post("/account/tokens", &[("name", "script"), ("days", "30")]).await.ok();
        let token = page.split("varve_").nth(1).unwrap().split('<').next().unwrap();
        let script = ada.with_token(&format!("varve_{token}"));
        assert_eq!(script.get("/api/v1/me").await.json()["name"], "ada");
        assert_eq!(script.get("/account").await.status, StatusCode::FORBIDDEN);
        assert!(!ada.get("/account").await.ok().contains(token), "it is not shown again");
        let tokens = script.get("/api/v1/tokens").await.json();
        let id = tokens[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(
            scene.client("bob").post(&format!("/account/tokens/{id}/revoke"), &[]).await.status,
            StatusCode::NOT_FOUND
        );
        ada.post(&format!("/account/tokens/{id}/revoke"), &[]).await.location();
        assert_eq!(script.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED);

        // A new password ends the other sessions.
        let mut second = Client::of(&scene.hub);
        second.sign_in("ada", PASSWORD).await;
        let new = "another horse altogether";
        let wrong = ada.post("/account/password", &[("old", "guess"), ("new", new), ("again", new)]).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        ada.post("/account/password", &[("old", PASSWORD), ("new", new), ("again", new)]).await.location();
        ada.get("/account").await.ok();
        assert_eq!(second.get("/account").await.status, StatusCode::SEE_OTHER);

        // Whoever is kept out is out at once; the last administrator stays.
        let root = scene.client("root");
        let accounts = root.get("/api/v1/accounts").await.json();
        let id_of = |name: &str| {
            let account = accounts.as_array().unwrap().iter().find(|account| account["name"] == name);
            account.unwrap()["id"].as_str().unwrap().to_owned()
        };
        let disable = json!({ "role": "user", "disabled": true });
        root.call(Method::PUT, &format!("/api/v1/accounts/{}", id_of("ada")), &disable).await.ok();
        assert_eq!(ada.get("/contexts").await.status, StatusCode::SEE_OTHER);
        let own = format!("/api/v1/accounts/{}", id_of("root"));
        assert_eq!(
            root.call(Method::PUT, &own, &json!({ "role": "user" })).await.status,
            StatusCode::CONFLICT
        );

        let log = root.get("/api/v1/audit?limit=1000").await.json();
        let actions: Vec<&str> =
            log.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
        for action in [
            "account.sign-up",
            "session.begin",
            "token.create",
            "token.revoke",
            "account.password",
            "account.disable",
        ] {
            assert!(actions.contains(&action), "{action} is not in {actions:?}");
        }
        let own = scene.client("bob").get("/api/v1/audit").await.json();
        assert!(own.as_array().unwrap().iter().all(|entry| entry["actor"] == "bob"), "{own}");

        ada = scene.client("bob").clone();
        ada.post("/sign-out", &[]).await.location();
        assert_eq!(ada.get("/contexts").await.status, StatusCode::SEE_OTHER);
    });
}

#[test]
fn forged_requests_are_refused() {
    on_sqlite(|hub| async move {
        let scene = Scene::of(hub).await;
        let ada = scene.client("ada");
        let forged = |origin: (&'static str, &'static str), mark: &str| {
            Request::post("/contexts")
                .header(header::HOST, "hub.example.org")
                .header(header::COOKIE, ada.cookie.clone().unwrap())
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(origin.0, origin.1)
                .body(Body::from(format!("name=x&content=&csrf={mark}")))
                .unwrap()
        };
        let other = scene.client("bob").csrf.clone();
        for (origin, mark) in [
            (("sec-fetch-site", "cross-site"), ada.csrf.as_str()),
            (("sec-fetch-site", "same-site"), &ada.csrf),
            (("origin", "https://evil.example"), &ada.csrf),
            (("origin", "null"), &ada.csrf),
            (("sec-fetch-site", "same-origin"), ""),
            (("sec-fetch-site", "same-origin"), &other),
            (("origin", "http://hub.example.org"), "x"),
        ] {
            let answer = ada.raw(forged(origin, mark)).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin:?} {mark}");
        }
        let answer = ada.raw(forged(("origin", "http://hub.example.org"), &ada.csrf)).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        // JSON without the mark, by the session's cookie alone.
        let mut thief = ada.clone();
        thief.csrf = String::new();
        let answer = thief.call(Method::POST, "/api/v1/contexts", &json!({ "draft": {} })).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    });
}

#[test]
fn guessing_passwords_is_slowed_down() {
    on_sqlite(|hub| async move {
        let scene = Scene::of(hub).await;
        let mut guesser = Client::of(&scene.hub);
        guesser.address = [203, 0, 113, 9].into();
        let mut refused = 0;
        for number in 0..12 {
            let name = if number % 2 == 0 { "ada" } else { "no-such-one" };
            let answer = guesser.post("/sign-in", &[("name", name), ("password", "guess")]).await;
            match answer.status {
                StatusCode::UNAUTHORIZED => {
                    assert!(answer.body.contains("that name and that password don't go together"));
                    assert!(answer.body.contains(name) && !answer.headers.contains_key(header::SET_COOKIE));
                }
                StatusCode::TOO_MANY_REQUESTS => refused += 1,
                other => panic!("{other}"),
            }
        }
        assert_eq!(refused, 2);
        let mut ada = Client::of(&scene.hub);
        ada.sign_in("ada", PASSWORD).await;
    });
}

#[test]
fn accounts_need_a_code_that_counts_once() {
    on_sqlite(|hub| async move {
        let first = hub.first_code().await.unwrap().unwrap();
        let code = hub.first_code().await.unwrap().unwrap();
        let client = Client::of(&hub);
        let sign_up = async |name: &str, password: &str, again: &str, code: &str| {
            let fields = [("name", name), ("password", password), ("again", again), ("code", code)];
            client.post("/sign-up", &fields).await
        };
        for (name, password, again, code, said) in [
            ("root", PASSWORD, PASSWORD, "", "made with a code"),
            ("root", PASSWORD, PASSWORD, first.as_str(), "not known, was used, or is too old"),
            ("root", PASSWORD, PASSWORD, "nonsense", "not known"),
            ("root", "short", "short", code.as_str(), "at least 10 characters"),
            ("root", PASSWORD, "other", code.as_str(), "the passwords differ"),
            ("<script>", PASSWORD, PASSWORD, code.as_str(), "2 to 64 letters"),
        ] {
            let answer = sign_up(name, password, again, code).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
            assert!(answer.body.contains(said), "{said}: {}", answer.body);
            assert!(!answer.body.contains("value=\"<script>"));
        }
        assert_eq!(sign_up("root", PASSWORD, PASSWORD, code.as_str()).await.location(), "/");
        let again = sign_up("other", PASSWORD, PASSWORD, code.as_str()).await;
        assert!(again.body.contains("not known"), "{}", again.body);
    });
}
