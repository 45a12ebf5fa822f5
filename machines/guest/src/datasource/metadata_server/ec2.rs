//! Amazon EC2 and those who do as it does: with a session token (IMDSv2), without one where the server knows none (IMDSv1).

use reqwest::Method;

use super::super::{Facts, Found};
use super::{MetadataError, Server, found};

const VERSION: &str = "/latest";
const TOKEN_PATH: &str = "/latest/api/token";
const TOKEN_SECONDS: (&str, &str) = ("X-aws-ec2-metadata-token-ttl-seconds", "300");
const TOKEN: &str = "X-aws-ec2-metadata-token";

pub(super) async fn read(server: &Server) -> Result<Found, MetadataError> {
    let token = match server.call(Method::PUT, TOKEN_PATH, &[TOKEN_SECONDS]).await {
        Ok(token) => token.and_then(|token| String::from_utf8(token).ok()),
        // An older server refuses to be written to. Whether anybody is there, the next request tells.
        Err(MetadataError::Absent) => None,
        Err(error) => return Err(error),
    };
    let headers: Vec<(&str, &str)> =
        token.as_deref().map(|token| (TOKEN, token.trim())).into_iter().collect();
    // Only these clouds have this one at all.
    let path = |rest: &str| format!("{VERSION}{rest}");
    let Some(instance_id) = server.text(&path("/meta-data/instance-id"), &headers).await? else {
        return Err(MetadataError::Absent);
    };
    Ok(Found {
        user_data: server.get(&path("/user-data"), &headers).await?,
        facts: Facts {
            instance_id: Some(instance_id),
            hostname: server.text(&path("/meta-data/local-hostname"), &headers).await?,
            public_keys: keys(server, &headers).await?,
        },
        network_config: None,
        identity: None,
    })
    .and_then(found)
}

/// The list has a line `NUMBER=NAME` for each key.
async fn keys(server: &Server, headers: &[(&str, &str)]) -> Result<Vec<String>, MetadataError> {
    let base = format!("{VERSION}/meta-data/public-keys/");
    let list = server.text(&base, headers).await?.unwrap_or_default();
    let mut keys = Vec::new();
    for line in list.lines().take(20) {
        let number = line.split('=').next().unwrap_or_default();
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let text = server.text(&format!("{base}{number}/openssh-key"), headers).await?.unwrap_or_default();
        keys.extend(text.lines().map(str::to_owned));
    }
    Ok(keys)
}
