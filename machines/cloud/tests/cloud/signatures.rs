//! Requests that aren't what they say, over the wire.

use std::time::SystemTime;

use http::{HeaderMap, Method};
use varve_cloud::ec2::{Credentials, Scope, Signed, authorization};

use crate::service::{Service, everywhere, http, launch, secret};

/// A request of Anna's, signed at a time, as headers and a body.
fn signed(service: &Service, body: &str, at: i64, secret: &str) -> HeaderMap {
    let date = jiff_compact(at);
    let mut headers = HeaderMap::new();
    headers.insert("host", service.address.to_string().parse().unwrap());
    headers.insert("x-amz-date", date.parse().unwrap());
    headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    let request = Signed {
        method: &Method::POST,
        path: "/ec2",
        query: "",
        headers: &headers,
        authority: None,
        body: body.as_bytes(),
    };
    let credentials = Credentials { key_id: "anna".into(), secret: secret.into(), session_token: None };
    let authorization = authorization(&request, &credentials, Scope { region: "local", service: "ec2" }, at);
    headers.insert("authorization", authorization.parse().unwrap());
    headers
}

/// `20261122T020000Z`
fn jiff_compact(at: i64) -> String {
    let time = jiff::Timestamp::from_second(at).unwrap();
    let text = format!("{time:.0}");
    text.replace(['-', ':'], "")
}

fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

async fn send(service: &Service, headers: HeaderMap, body: String) -> (u16, String) {
    let client = http();
    let answer = client.post(service.endpoint()).headers(headers).body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[test]
fn only_what_was_signed_is_done() {
    everywhere(async |service| {
        let body = "Action=DescribeRegions&Version=2016-11-15";
        let good = signed(&service, body, now(), &secret("anna"));
        assert_eq!(send(&service, good.clone(), body.into()).await.0, 200);
        let mut without = good.clone();
        without.remove("authorization");
        let mut stranger = good.clone();
        let authorization =
            good["authorization"].to_str().unwrap().replace("Credential=anna", "Credential=nobody");
        stranger.insert("authorization", authorization.parse().unwrap());
        for (headers, body, status, code) in [
            (good.clone(), "Action=DescribeInstances&Version=2016-11-15", 403, "SignatureDoesNotMatch"),
            (signed(&service, body, now(), "guessed"), body, 403, "SignatureDoesNotMatch"),
            (signed(&service, body, now() - 1000, &secret("anna")), body, 400, "RequestExpired"),
            (signed(&service, body, now() + 1000, &secret("anna")), body, 403, "SignatureDoesNotMatch"),
            (without, body, 403, "MissingAuthenticationToken"),
            (stranger, body, 401, "AuthFailure"),
        ] {
            let (seen, document) = send(&service, headers, body.into()).await;
            assert!(
                seen == status && document.contains(&format!("<Code>{code}</Code>")),
                "{seen} {document}"
            );
        }
        for (body, code) in [
            ("Version=2016-11-15", "MissingAction"),
            ("Action=DescribeRegions", "MissingParameter"),
            ("Action=DescribeRegions&Version=2099-01-01", "InvalidParameterValue"),
            ("Action=DescribeRegions&Version=2016-11-15&Action=x", "InvalidQueryParameter"),
        ] {
            let headers = signed(&service, body, now(), &secret("anna"));
            let (_, document) = send(&service, headers, body.into()).await;
            assert!(document.contains(&format!("<Code>{code}</Code>")), "{document}");
        }
        let huge = "x".repeat(2 << 20);
        let headers = signed(&service, &huge, now(), &secret("anna"));
        assert_eq!(send(&service, headers, huge).await.0, 413);
    });
}

/// Whoever overhears a request and sends it again gets what there is already.
#[test]
fn a_replay_makes_nothing_new() {
    everywhere(async |service| {
        let image = service.image().await;
        let _host = service.host("one", 8, 8192).await;
        let body = format!("Action=RunInstances&Version=2016-11-15&ImageId={image}&MinCount=1&MaxCount=1");
        let headers = signed(&service, &body, now(), &secret("anna"));
        let (status, first) = send(&service, headers.clone(), body.clone()).await;
        assert_eq!(status, 200, "{first}");
        let (_, second) = send(&service, headers, body).await;
        let id = |document: &str| document.split_once("<instanceId>").unwrap().1[..19].to_owned();
        assert_eq!(id(&first), id(&second));
        let client = service.client("anna");
        assert_eq!(client.tagged(&[]).await.unwrap().len(), 1);
        client.run(&launch(&image, 1, 1)).await.unwrap();
        assert_eq!(client.tagged(&[]).await.unwrap().len(), 2);
    });
}
