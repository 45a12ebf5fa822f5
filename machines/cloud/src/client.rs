//! A client for any EC2 endpoint: this cloud's, Amazon's, or another's. It has what clusters need.
//!
//! Requests are signed, tried again when the server says that it could not, and bounded in what is read of their answers.

mod document;

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method};

pub use self::document::{DocumentError, Element};
use crate::ec2::{Credentials, Scope, Signed, VERSION, authorization, time};
use crate::id::random_digits;
use crate::tag::Tag;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest answer that is read.
const LONGEST: usize = 64 << 20;
/// The pauses after a server said that it could not.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];
/// How many instances are described at a time.
const PIECE: usize = 1000;

/// Where an endpoint is, and who asks there.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Its address, such as `https://ec2.eu-west-1.amazonaws.com/`.
    pub endpoint: String,
    /// The region that is signed for.
    pub region: String,
    /// Whose requests they are.
    pub credentials: Credentials,
    /// The wall clock.
    pub clock: fn() -> SystemTime,
}

/// A client. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    config: ClientConfig,
    host: String,
    path: String,
}

/// Why something was not done, or isn't known.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not an address.
    #[error("'{0}' is no address of an EC2 endpoint")]
    Endpoint(String),
    /// Nobody answered.
    #[error("the EC2 endpoint {endpoint} was not reached: {reason}")]
    Unreachable {
        /// Where.
        endpoint: String,
        /// Why not.
        reason: String,
    },
    /// It said no.
    #[error("the EC2 endpoint refused {action}: {message} ({code})")]
    Refused {
        /// What it was asked for.
        action: &'static str,
        /// Its word for it.
        code: String,
        /// For people.
        message: String,
    },
    /// What came is no answer.
    #[error("the EC2 endpoint's answer to {action} can't be read: {reason}")]
    Unsound {
        /// What it was asked for.
        action: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl ClientError {
    /// The endpoint's word for why it refused.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// What new instances are to be.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// The image's id.
    pub image: String,
    /// The name of their size.
    pub kind: Option<String>,
    /// How many at least, and at most.
    pub count: (u32, u32),
    /// The name of the key that lets in.
    pub key_name: Option<String>,
    /// Their user data.
    pub user_data: Option<Vec<u8>>,
    /// The part of the cloud that they are to be in.
    pub zone: Option<String>,
    /// Their tags.
    pub tags: Vec<Tag>,
    /// By which the same request is known again; one is made up if there is none.
    pub client_token: Option<String>,
    /// Whether they are gone when the systems in them shut down.
    pub terminates_itself: bool,
}

/// An instance of any cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteInstance {
    /// Its id.
    pub id: String,
    /// How it is, in EC2's words.
    pub state: String,
    /// Why, if that is said.
    pub reason: Option<String>,
    /// The image that it started from.
    pub image: String,
    /// The name of its size.
    pub kind: String,
    /// Its number among those of one request.
    pub launch_index: u32,
    /// The address that others reach it at.
    pub address: Option<String>,
    /// Its address in its own network.
    pub private_address: Option<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

impl Client {
    /// A client.
    ///
    /// # Errors
    /// [`ClientError::Endpoint`].
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let unusable = || ClientError::Endpoint(config.endpoint.clone());
        let uri: http::Uri = config.endpoint.parse().map_err(|_| unusable())?;
        let host = uri.authority().ok_or_else(unusable)?.to_string();
        let encrypted = uri.scheme_str() == Some("https");
        if !encrypted && uri.scheme_str() != Some("http") {
            return Err(unusable());
        }
        let path = uri.path().to_owned();
        // Fails if the program has chosen a provider already, which is as good.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .timeout(PATIENCE);
        let builder = if encrypted { builder } else { builder.tls_certs_only([]) };
        let http = builder.build().map_err(|_| unusable())?;
        Ok(Self { http, config, host, path })
    }

    /// New instances, as many as there can be within what was asked for.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn run(&self, launch: &Launch) -> Result<Vec<RemoteInstance>, ClientError> {
        let mut parameters = Form::default();
        parameters.add("ImageId", &launch.image);
        parameters.add("MinCount", launch.count.0);
        parameters.add("MaxCount", launch.count.1);
        parameters.optional("InstanceType", launch.kind.as_ref());
        parameters.optional("KeyName", launch.key_name.as_ref());
        parameters.optional("UserData", launch.user_data.as_ref().map(|bytes| STANDARD.encode(bytes)));
        parameters.optional("Placement.AvailabilityZone", launch.zone.as_ref());
        if launch.terminates_itself {
            parameters.add("InstanceInitiatedShutdownBehavior", "terminate");
        }
        parameters.add("ClientToken", launch.client_token.clone().unwrap_or_else(random_digits));
        if !launch.tags.is_empty() {
            parameters.add("TagSpecification.1.ResourceType", "instance");
            parameters.tags("TagSpecification.1.Tag", &launch.tags);
        }
        let answer = self.call("RunInstances", &parameters).await?;
        Ok(instances(&answer))
    }

    /// Instances with all of these tags, in any state; all of them if there are none.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tagged(&self, tags: &[Tag]) -> Result<Vec<RemoteInstance>, ClientError> {
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut parameters = Form::default();
            for (number, tag) in (1..).zip(tags) {
                parameters.add(&format!("Filter.{number}.Name"), format!("tag:{}", tag.key));
                parameters.add(&format!("Filter.{number}.Value.1"), literal(&tag.value));
            }
            parameters.add("MaxResults", PIECE);
            parameters.optional("NextToken", next.as_ref());
            let answer = self.call("DescribeInstances", &parameters).await?;
            found.extend(answer.items("reservationSet").flat_map(instances));
            next = answer.text("nextToken").filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// Certain instances.
    ///
    /// # Errors
    /// [`ClientError`]; if one isn't there, nothing is said of the others.
    pub async fn describe(&self, ids: &[String]) -> Result<Vec<RemoteInstance>, ClientError> {
        let mut parameters = Form::default();
        parameters.list("InstanceId", ids);
        let answer = self.call("DescribeInstances", &parameters).await?;
        Ok(answer.items("reservationSet").flat_map(instances).collect())
    }

    /// Instances are to be gone.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn terminate(&self, ids: &[String]) -> Result<(), ClientError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut parameters = Form::default();
        parameters.list("InstanceId", ids);
        self.call("TerminateInstances", &parameters).await.map(drop)
    }

    /// Puts tags on things.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tag(&self, ids: &[String], tags: &[Tag]) -> Result<(), ClientError> {
        let mut parameters = Form::default();
        parameters.list("ResourceId", ids);
        parameters.tags("Tag", tags);
        self.call("CreateTags", &parameters).await.map(drop)
    }

    /// What an instance wrote to its console last.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn console(&self, id: &str) -> Result<Vec<u8>, ClientError> {
        let mut parameters = Form::default();
        parameters.add("InstanceId", id);
        let answer = self.call("GetConsoleOutput", &parameters).await?;
        let output: String = answer.text("output").unwrap_or_default().split_ascii_whitespace().collect();
        let unsound = |_| ClientError::Unsound { action: "GetConsoleOutput", reason: "no BASE64".to_owned() };
        STANDARD.decode(output).map_err(unsound)
    }

    /// Any action; what came is its document.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn call(&self, action: &'static str, parameters: &Form) -> Result<Element, ClientError> {
        let body = parameters.body(action);
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match self.try_call(action, &body).await {
                Ok(document) => return Ok(document),
                Err(error) => error,
            };
            let passes = match &error {
                ClientError::Unreachable { .. } => true,
                ClientError::Refused { code, .. } => {
                    matches!(
                        code.as_str(),
                        "Unavailable" | "InternalError" | "RequestLimitExceeded" | "ServiceUnavailable"
                    )
                }
                _ => false,
            };
            match pauses.next().filter(|_| passes) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    async fn try_call(&self, action: &'static str, body: &str) -> Result<Element, ClientError> {
        let unreachable =
            |reason: String| ClientError::Unreachable { endpoint: self.config.endpoint.clone(), reason };
        let request = self.http.post(&self.config.endpoint).headers(self.headers(body)).body(body.to_owned());
        let mut response = request.send().await.map_err(|error| unreachable(chain(&error)))?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| unreachable(chain(&error)))? {
            if bytes.len() + piece.len() > LONGEST {
                return Err(ClientError::Unsound { action, reason: "it is too long".to_owned() });
            }
            bytes.extend_from_slice(&piece);
        }
        let unsound = |reason: String| ClientError::Unsound { action, reason };
        let document = match Element::read(&bytes) {
            Ok(document) => document,
            Err(error) if status.is_success() => return Err(unsound(error.to_string())),
            // Something on the way has answered.
            Err(_) => return Err(unreachable(format!("the server says {status}"))),
        };
        if status.is_success() {
            return Ok(document);
        }
        let error =
            document.child("Errors").and_then(|errors| errors.child("Error")).cloned().unwrap_or_default();
        let word = |name: &str| error.text(name).unwrap_or("without a word").to_owned();
        Err(ClientError::Refused { action, code: word("Code"), message: word("Message") })
    }

    fn headers(&self, body: &str) -> HeaderMap {
        let now = (self.config.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at = i64::try_from(now.as_secs()).unwrap_or_default();
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        put("host", &self.host);
        put("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        put("x-amz-date", &time::compact(at));
        if let Some(token) = &self.config.credentials.session_token {
            put("x-amz-security-token", token);
        }
        let request = Signed {
            method: &Method::POST,
            path: &self.path,
            query: "",
            headers: &headers,
            authority: None,
            body: body.as_bytes(),
        };
        let scope = Scope { region: &self.config.region, service: "ec2" };
        let authorization = authorization(&request, &self.config.credentials, scope, at);
        if let Ok(value) = HeaderValue::from_str(&authorization) {
            headers.insert("authorization", value);
        }
        headers
    }
}

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub struct Form {
    pairs: Vec<(String, String)>,
}

impl Form {
    /// Adds one.
    // By value, so that numbers are written as they are.
    #[allow(clippy::needless_pass_by_value)]
    pub fn add(&mut self, name: &str, value: impl ToString) {
        self.pairs.push((name.to_owned(), value.to_string()));
    }

    fn optional(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    fn list(&mut self, name: &str, values: &[String]) {
        for (number, value) in (1..).zip(values) {
            self.add(&format!("{name}.{number}"), value);
        }
    }

    fn tags(&mut self, name: &str, tags: &[Tag]) {
        for (number, tag) in (1..).zip(tags) {
            self.add(&format!("{name}.{number}.Key"), &tag.key);
            self.add(&format!("{name}.{number}.Value"), &tag.value);
        }
    }

    fn body(&self, action: &str) -> String {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.append_pair("Action", action).append_pair("Version", VERSION);
        body.extend_pairs(&self.pairs).finish()
    }
}

/// A value that a filter takes as it is.
fn literal(value: &str) -> String {
    value.replace('\\', r"\\").replace('*', r"\*").replace('?', r"\?")
}

/// The instances of a reservation.
fn instances(reservation: &Element) -> Vec<RemoteInstance> {
    let text = |element: &Element, name: &str| element.text(name).unwrap_or_default().to_owned();
    let present =
        |element: &Element, name: &str| element.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let instance = |item: &Element| RemoteInstance {
        id: text(item, "instanceId"),
        state: item.child("instanceState").map(|state| text(state, "name")).unwrap_or_default(),
        reason: item.child("stateReason").and_then(|reason| present(reason, "message")),
        image: text(item, "imageId"),
        kind: text(item, "instanceType"),
        launch_index: item.text("amiLaunchIndex").and_then(|text| text.parse().ok()).unwrap_or_default(),
        address: present(item, "ipAddress"),
        private_address: present(item, "privateIpAddress"),
        tags: item
            .items("tagSet")
            .map(|tag| Tag { key: text(tag, "key"), value: text(tag, "value") })
            .collect(),
    };
    reservation.items("instancesSet").map(instance).collect()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
