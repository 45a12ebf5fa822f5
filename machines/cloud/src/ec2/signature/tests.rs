//! Amazon's published examples of Signature Version 4, and what is to be refused.

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30 12:36:00
const AT: i64 = 1_440_938_160;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn credentials() -> Credentials {
    Credentials { key_id: "AKIDEXAMPLE".into(), secret: SECRET.into(), session_token: None }
}

/// Method, query, content type, body, host, service, signature.
type Example =
    (Method, &'static str, Option<&'static str>, &'static str, &'static str, &'static str, &'static str);

fn examples() -> [Example; 5] {
    let form = Some("application/x-www-form-urlencoded");
    let (host, service) = ("example.amazonaws.com", "service");
    [
        (
            Method::GET,
            "",
            None,
            "",
            host,
            service,
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            Method::POST,
            "",
            None,
            "",
            host,
            service,
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            Method::POST,
            "",
            form,
            "Param1=value1",
            host,
            service,
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        (
            Method::GET,
            "Param2=value2&Param1=value1",
            None,
            "",
            host,
            service,
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            Method::GET,
            "Action=ListUsers&Version=2010-05-08",
            Some("application/x-www-form-urlencoded; charset=utf-8"),
            "",
            "iam.amazonaws.com",
            "iam",
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ]
}

#[test]
fn published_examples_are_signed_and_verified() {
    for (method, query, content_type, body, host, service, signature) in examples() {
        let mut headers = headers(&[("host", host), ("x-amz-date", "20150830T123600Z")]);
        if let Some(content_type) = content_type {
            headers.insert("content-type", content_type.parse().unwrap());
        }
        let request = Signed {
            method: &method,
            path: "/",
            query,
            headers: &headers,
            authority: None,
            body: body.as_bytes(),
        };
        let authorization =
            authorization(&request, &credentials(), Scope { region: "us-east-1", service }, AT);
        assert!(
            authorization.ends_with(&format!("Signature={signature}")),
            "{method} {query}: {authorization}"
        );

        let mut sent = headers.clone();
        sent.insert("authorization", authorization.parse().unwrap());
        let request = Signed { headers: &sent, ..request };
        let claim = Claim::read(&request).unwrap();
        assert_eq!(
            (claim.key_id.as_str(), claim.region.as_str(), claim.at),
            ("AKIDEXAMPLE", "us-east-1", AT)
        );
        claim.verify(&request, SECRET, service, AT + 14 * 60).unwrap();
        claim.verify(&request, SECRET, service, AT - 4 * 60).unwrap();
        for (secret, service, now, code) in [
            ("other", service, AT, "SignatureDoesNotMatch"),
            (SECRET, "s3", AT, "SignatureDoesNotMatch"),
            (SECRET, service, AT + 16 * 60, "RequestExpired"),
            (SECRET, service, AT - 6 * 60, "SignatureDoesNotMatch"),
        ] {
            assert_eq!(claim.verify(&request, secret, service, now).unwrap_err().code(), code);
        }
        for changed in [
            Signed { body: b"x", ..request },
            Signed { query: "Param1=value2", ..request },
            Signed { path: "/other", ..request },
            Signed { method: &Method::PUT, ..request },
        ] {
            assert_eq!(
                claim.verify(&changed, SECRET, service, AT).unwrap_err().code(),
                "SignatureDoesNotMatch"
            );
        }
        let mut more = sent.clone();
        more.insert("x-amz-security-token", "t".parse().unwrap());
        let smuggled = Signed { headers: &more, ..request };
        assert!(
            claim
                .verify(&smuggled, SECRET, service, AT)
                .unwrap_err()
                .message()
                .contains("x-amz-security-token")
        );
    }
}

/// As botocore makes it.
#[test]
fn a_presigned_request_is_verified() {
    let headers = headers(&[("host", "ec2.example.com")]);
    let query = "Action=DescribeInstances&Version=2016-11-15&X=a%20b&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=\
                 AKIDEXAMPLE%2F20150830%2Feu-west-1%2Fec2%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&\
                 X-Amz-SignedHeaders=host&X-Amz-Signature=2d676cb146f556ade0273025460dc5c8b311aecdf6164999f8fbf4f74b9b2be7";
    let request =
        Signed { method: &Method::GET, path: "/ec2", query, headers: &headers, authority: None, body: b"" };
    let claim = Claim::read(&request).unwrap();
    assert_eq!((claim.expires, claim.validity(AT + 10)), (Some(60), Duration::from_secs(50)));
    claim.verify(&request, SECRET, "ec2", AT + 59).unwrap();
    assert_eq!(claim.verify(&request, SECRET, "ec2", AT + 61).unwrap_err().code(), "RequestExpired");
    let longer = query.replace("Expires=60", "Expires=61");
    let request = Signed { query: &longer, ..request };
    let claim = Claim::read(&request).unwrap();
    assert_eq!(claim.verify(&request, SECRET, "ec2", AT).unwrap_err().code(), "SignatureDoesNotMatch");
    let forever = query.replace("Expires=60", "Expires=99999999999999999999");
    assert!(Claim::read(&Signed { query: &forever, ..request }).is_err());
}

#[test]
fn what_is_no_signature_is_refused() {
    let date = ("x-amz-date", "20150830T123600Z");
    let scope = "AKIDEXAMPLE/20150830/us-east-1/ec2/aws4_request";
    let hex = "0".repeat(64);
    let mut refused = vec![
        (vec![], "MissingAuthenticationToken"),
        (vec![("authorization", "Basic x".to_owned()), (date.0, date.1.to_owned())], "IncompleteSignature"),
    ];
    for (authorization, code) in [
        (format!("{ALGORITHM} Credential={scope}, SignedHeaders=host"), "IncompleteSignature"),
        (format!("{ALGORITHM} Credential=a/b, SignedHeaders=host, Signature={hex}"), "IncompleteSignature"),
        (format!("{ALGORITHM} Credential={scope}, SignedHeaders=host, Signature=zz"), "IncompleteSignature"),
        (format!("{ALGORITHM} Credential={scope}, SignedHeaders=host, Other=1"), "IncompleteSignature"),
        (
            format!(
                "{ALGORITHM} Credential={}, SignedHeaders=host, Signature={hex}",
                scope.replace("0830", "0831")
            ),
            "SignatureDoesNotMatch",
        ),
    ] {
        refused.push((vec![("authorization", authorization.clone()), (date.0, date.1.to_owned())], code));
        if code == "IncompleteSignature" {
            refused.push((vec![("authorization", authorization)], code));
        }
    }
    for (pairs, code) in refused {
        let pairs: Vec<(&'static str, &str)> =
            pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let headers = headers(&pairs);
        let request = Signed {
            method: &Method::GET,
            path: "/",
            query: "",
            headers: &headers,
            authority: Some("h"),
            body: b"",
        };
        assert_eq!(Claim::read(&request).unwrap_err().code(), code, "{pairs:?}");
    }
}
