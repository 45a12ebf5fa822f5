//! Every route for every role: who may, and what whoever may not gets. A route that isn't in the table isn't answered, so nothing
//! is left out.

use http::{Method, StatusCode};
use serde_json::json;
use varve_context::MachinePair;
use varve_portal::accounts::Role;
use varve_portal::web::{Access, Kind, Route, routes};

use crate::client::Client;
use crate::contexts::create;
use crate::scene::{Scene, on_sqlite};

const ROLES: [(&str, Option<Role>); 5] = [
    ("nobody", None),
    ("rita", Some(Role::Reader)),
    ("bob", Some(Role::User)),
    ("otto", Some(Role::Operator)),
    ("root", Some(Role::Administrator)),
];

fn may(access: Access, role: Option<Role>) -> bool {
    match access {
        Access::Public => true,
        Access::Role(needed) | Access::Session(needed) => role.is_some_and(|role| role >= needed),
    }
}

/// A path with the ids of things that are Ada's.
fn filled(route: &Route, context: &str, pairing: &str, token: &str, account: &str) -> String {
    let id = match route.path {
        path if path.contains("/contexts/") => context,
        path if path.contains("/pairings/") || path.contains("/machines/") => pairing,
        path if path.contains("/tokens/") => token,
        path if path.contains("/accounts/") => account,
        _ => "",
    };
    route.path.replace("{id}", id).replace("{number}", "1").replace("{name}", "style.css")
}

#[test]
fn every_route_for_every_role_upon_what_is_not_theirs() {
    on_sqlite(|hub| async move {
        let scene = Scene::of(hub).await;
        let ada = scene.client("ada");
        let context = create(&scene, "ada", "worker", "private").await;
        ada.post("/account/tokens", &[("name", "script")]).await.ok();
        let token = ada.get("/api/v1/tokens").await.json()[0]["id"].as_str().unwrap().to_owned();
        let machine = Client::of(&scene.hub);
        let request = json!({ "machine_key": MachinePair::generate().unwrap().public().to_text() });
        let started = machine.call(Method::POST, "/api/v1/pairings", &request).await.json();
        let decision = json!({ "pin": started["user_code"], "approve": { "context": context } });
        let pairing = ada.call(Method::POST, "/api/v1/pairings/decide", &decision).await.json();
        let pairing = pairing["id"].as_str().unwrap().to_owned();

        for route in routes() {
            // An account that nobody has: changing somebody's role would spoil the rest.
            let path = filled(&route, &context, &pairing, &token, "00000000000000000000");
            if path == "/sign-out" {
                continue;
            }
            for (name, role) in ROLES {
                let client = scene.client(name);
                let answer = match (route.method == Method::GET, route.kind) {
                    (true, _) => client.get(&path).await,
                    (false, Kind::Form) => {
                        client
                            .post(
                                &path,
                                &[
                                    ("number", "1"),
                                    ("content", "stolen"),
                                    ("base", "1"),
                                    ("name", "stolen"),
                                    ("role", "reader"),
                                    ("pin", "BCDFGHJK"),
                                    ("decision", "deny"),
                                    ("old", "x"),
                                    ("new", "y"),
                                    ("again", "z"),
                                    ("password", "p"),
                                ],
                            )
                            .await
                    }
                    (false, _) => {
                        client
                            .call(
                                route.method.clone(),
                                &path,
                                &json!({ "content": "stolen", "name": "stolen" }),
                            )
                            .await
                    }
                };
                let status = answer.status;
                let asked = format!("{} {path} by {name}: {status} {}", route.method, answer.body);
                assert!(!status.is_server_error(), "{asked}");
                if !may(route.access, role) {
                    let expected = match (role, route.kind) {
                        (None, Kind::Page | Kind::Form) => StatusCode::SEE_OTHER,
                        (None, _) => StatusCode::UNAUTHORIZED,
                        (Some(_), _) => StatusCode::FORBIDDEN,
                    };
                    assert_eq!(status, expected, "{asked}");
                    if status == StatusCode::SEE_OTHER {
                        assert!(answer.location().starts_with("/sign-in"), "{asked}");
                    }
                } else if path.contains(&context) || path.contains(&pairing) || path.contains(&token) {
                    // They may do that with what is theirs: this is Ada's, and private.
                    let hidden = [
                        StatusCode::NOT_FOUND,
                        StatusCode::UNPROCESSABLE_ENTITY,
                        StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    ];
                    assert!(hidden.contains(&status), "{asked}");
                    assert!(!answer.body.contains("a.example.org"), "{asked}");
                }
            }
        }
        // Nothing of Ada's has changed.
        let (one, content) =
            (format!("/api/v1/contexts/{context}"), format!("/api/v1/contexts/{context}/content"));
        assert_eq!(ada.get(&one).await.json()["version"], 1);
        assert!(ada.get(&content).await.ok().contains("a.example.org"));
        assert_eq!(ada.get("/api/v1/tokens").await.json().as_array().unwrap().len(), 1);
    });
}

#[test]
fn the_interface_is_described_as_it_is() {
    on_sqlite(|hub| async move {
        let client = Client::of(&hub);
        let described = client.get("/api/v1/openapi.json").await.json();
        assert_eq!(described["openapi"], "3.1.0");
        let mut count = 0;
        for route in routes().iter().filter(|route| route.path.starts_with("/api/")) {
            let operation = &described["paths"][route.path][route.method.as_str().to_lowercase()];
            assert_eq!(operation["summary"], route.summary, "{route:?}");
            count += 1;
        }
        assert!(count > 20, "{count}");
        // Every schema that is referred to is there.
        let text = described.to_string();
        for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(described["components"]["schemas"][name].is_object(), "{name}");
        }
    });
}
