//! A browser or a program that uses the hub, without a network.

use std::net::IpAddr;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use varve_chassis::Peer;
use varve_portal::{Hub, web};

use crate::scene::PASSWORD;

#[derive(Clone)]
pub(crate) struct Client {
    router: Router,
    pub(crate) cookie: Option<String>,
    pub(crate) csrf: String,
    pub(crate) token: Option<String>,
    pub(crate) address: IpAddr,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn ok(self) -> String {
        assert!(self.status.is_success(), "{}: {}", self.status, self.body);
        self.body
    }

    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    pub(crate) fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.body);
        self.headers[header::LOCATION].to_str().unwrap()
    }
}

impl Client {
    pub(crate) fn of(hub: &Hub) -> Self {
        let address = [192, 0, 2, 1].into();
        Self { router: web::router(hub), cookie: None, csrf: String::new(), token: None, address }
    }

    /// With a token instead of a session.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { cookie: None, csrf: String::new(), token: Some(token.to_owned()), ..self.clone() }
    }

    pub(crate) async fn send(&self, method: Method, path: &str, kind: &str, body: String) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "hub.example.org");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie).header("sec-fetch-site", "same-origin");
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if kind == "application/json" && !self.csrf.is_empty() {
            request = request.header("x-csrf-token", &self.csrf);
        }
        self.raw(request.body(Body::from(body)).unwrap()).await
    }

    pub(crate) async fn raw(&self, mut request: Request<Body>) -> Answer {
        request.extensions_mut().insert(Peer(self.address));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "", String::new()).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.send(method, path, "application/json", body.to_string()).await
    }

    /// Sends a form, with the session's mark.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mark = ("csrf", self.csrf.as_str());
        let fields = fields.iter().chain([&mark]).map(|(name, value)| format!("{name}={}", encoded(value)));
        let body = fields.collect::<Vec<_>>().join("&");
        self.send(Method::POST, path, "application/x-www-form-urlencoded", body).await
    }

    pub(crate) async fn sign_up(&mut self, name: &str, code: &str) {
        let fields = [("name", name), ("password", PASSWORD), ("again", PASSWORD), ("code", code)];
        let answer = self.post("/sign-up", &fields).await;
        self.keep_session(&answer).await;
    }

    pub(crate) async fn sign_in(&mut self, name: &str, password: &str) {
        let answer = self.post("/sign-in", &[("name", name), ("password", password), ("next", "/")]).await;
        self.keep_session(&answer).await;
    }

    async fn keep_session(&mut self, answer: &Answer) {
        assert_eq!(answer.location(), "/");
        let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
        self.cookie = cookie.split(';').next().map(str::to_owned);
        let page = self.get("/").await.ok();
        let mark = page.split("name=\"csrf\" content=\"").nth(1).unwrap().split('"').next().unwrap();
        mark.clone_into(&mut self.csrf);
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
