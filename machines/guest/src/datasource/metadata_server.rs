//! Metadata servers: HTTP at an address that every machine of a cloud has. All clouds are asked at a time; the first in the
//! order of [`SERVICES`] that answers counts.

mod azure;
mod cloud_stack;
mod ec2;
mod gce;
mod open_stack;

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};

use super::{Found, MOST_METADATA, MOST_USER_DATA, UserData};
use crate::plain_http;

/// Where most clouds have it.
const LINK_LOCAL: &str = "http://169.254.169.254";
/// How long a server may take to be there at all.
const CONNECT: Duration = Duration::from_secs(1);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How long all of it may take.
const ALL: Duration = Duration::from_secs(15);

/// Why a cloud has nothing to say.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetadataError {
    /// Nobody is there, or it isn't this cloud.
    #[error("no such cloud")]
    Absent,
    /// The cloud is there and doesn't answer as it should.
    #[error("{path}: {reason}")]
    Unsound {
        /// What was asked for.
        path: String,
        /// What came of it.
        reason: String,
    },
}

/// Asks every cloud; `dhcp_servers` are those that gave the machine its addresses.
pub(super) fn read(dhcp_servers: &[IpAddr], say: impl Fn(String)) -> Option<UserData> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async { tokio::time::timeout(ALL, ask(LINK_LOCAL, dhcp_servers, &say)).await.ok()? })
}

async fn ask(base: &str, dhcp_servers: &[IpAddr], say: &impl Fn(String)) -> Option<UserData> {
    let server = Server::at(base)?;
    let behind_dhcp = async {
        for address in dhcp_servers {
            if let Some(server) = Server::at(&format!("http://{address}"))
                && let Ok(found) = cloud_stack::read(&server).await
            {
                return Ok(found);
            }
        }
        Err(MetadataError::Absent)
    };
    let (gce, ec2, open_stack, azure, cloud_stack) = tokio::join!(
        gce::read(&server),
        ec2::read(&server),
        open_stack::read(&server),
        azure::read(&server),
        behind_dhcp
    );
    let answers = [
        ("GCE", gce),
        ("Azure", azure),
        ("OpenStack", open_stack),
        ("EC2", ec2),
        ("CloudStack", cloud_stack),
    ];
    let mut result = None;
    for (name, answer) in answers {
        match answer {
            Ok(found) if result.is_none() => {
                result = Some(UserData { source: format!("{name} metadata server"), found });
            }
            Ok(_) | Err(MetadataError::Absent) => {}
            Err(error) => say(format!("{name}: {error}")),
        }
    }
    result
}

/// A metadata server.
struct Server {
    base: String,
    client: Client,
}

impl Server {
    fn at(base: &str) -> Option<Self> {
        let client = plain_http::client().no_proxy().connect_timeout(CONNECT).timeout(ANSWER).build().ok()?;
        Some(Self { base: base.to_owned(), client })
    }

    /// What is at a path; `None` if there is nothing.
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Option<Vec<u8>>, MetadataError> {
        self.call(Method::GET, path, headers).await
    }

    /// The same as text.
    async fn text(&self, path: &str, headers: &[(&str, &str)]) -> Result<Option<String>, MetadataError> {
        let bytes = self.get(path, headers).await?.filter(|bytes| bytes.len() as u64 <= MOST_METADATA);
        Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Option<Vec<u8>>, MetadataError> {
        let unsound = |reason: String| MetadataError::Unsound { path: path.to_owned(), reason };
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => return Err(MetadataError::Absent),
            Err(error) if error.is_timeout() => return Err(unsound("no answer".to_owned())),
            Err(error) => return Err(unsound(crate::console::chain(&error))),
        };
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::NO_CONTENT => return Ok(None),
            status if status.is_client_error() => return Err(MetadataError::Absent),
            status => return Err(unsound(format!("the server says {status}"))),
        }
        let mut bytes = Vec::new();
        while let Some(chunk) =
            answer.chunk().await.map_err(|error| unsound(crate::console::chain(&error)))?
        {
            if bytes.len() as u64 + chunk.len() as u64 > MOST_USER_DATA {
                return Err(unsound(format!("longer than {MOST_USER_DATA} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(bytes))
    }
}

/// Something was found if there are user data or at least a name.
fn found(found: Found) -> Result<Found, MetadataError> {
    let found = Found { facts: found.facts.checked(), ..found };
    let known = found.user_data.is_some() || found.facts.instance_id.is_some();
    known.then_some(found).ok_or(MetadataError::Absent)
}

#[cfg(test)]
mod tests;
