//! The library's client for one bucket, used from plain threads.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpClient, HttpConnector};
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::time::{Instant, timeout_at};
use varve_content::ObjectName;

use super::config::{S3Config, S3Location};
use super::fault::{Attempt, timed_out, translate};
use crate::http::EventLoop;
use crate::{Deadline, RepositoryFile, StoreError};

/// One prefix of a bucket.
pub(super) struct Bucket {
    pub(super) client: AmazonS3,
    /// For what the library does not know; the same connections.
    pub(super) http: Client,
    location: S3Location,
    place: String,
    threads: Arc<EventLoop>,
}

impl Bucket {
    /// Sets up connections, but makes none.
    pub(super) fn new(config: &S3Config) -> Result<Self, StoreError> {
        let location = config.location.clone();
        let place = location.to_string();
        let unusable = |reason: String| StoreError::Transport {
            name: location.bucket.as_str().to_owned(),
            place: place.clone(),
            reason,
        };
        let http = http_client(&location).map_err(|error| unusable(error.to_string()))?;
        let patience = location.patience;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(location.bucket.as_str())
            .with_region(&location.region)
            .with_virtual_hosted_style_request(!location.path_style)
            .with_access_key_id(&config.credentials.key_id)
            .with_secret_access_key(&config.credentials.secret)
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: 12,
                retry_timeout: patience,
            })
            .with_client_options(ClientOptions::new().with_allow_http(!location.is_encrypted()))
            .with_http_connector(Connector(http.clone()));
        if let Some(token) = &config.credentials.token {
            builder = builder.with_token(token);
        }
        if let Some(address) = location.address() {
            builder = builder.with_endpoint(address);
        }
        let client = builder.build().map_err(|error| unusable(error.to_string()))?;
        let threads = EventLoop::shared().map_err(|error| unusable(error.to_string()))?;
        Ok(Self { client, http, location, place, threads })
    }

    /// How long the service is asked again.
    pub(super) fn patience(&self) -> Duration {
        self.location.patience
    }

    /// The whole place, for messages.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// The key of a thing below the prefix.
    pub(super) fn key(&self, below: &str) -> Path {
        Path::from(self.location.prefix.key(below))
    }

    /// What all keys below a name begin with.
    pub(super) fn keys_below(&self, below: &str) -> String {
        self.location.prefix.key(below) + "/"
    }

    /// The key of an object.
    pub(super) fn object_key(&self, name: &ObjectName) -> Path {
        self.key(&format!("data/{}", name.path()))
    }

    /// The key of a file.
    pub(super) fn file_key(&self, file: RepositoryFile) -> Path {
        self.key(file.name())
    }

    /// A key with bucket and service, for messages.
    pub(super) fn address(&self, key: &str) -> String {
        self.location.address_of(key)
    }

    /// Runs something to its end on the calling thread, which must not belong to an async runtime.
    pub(super) fn run<F: Future>(&self, future: F) -> F::Output {
        self.threads.run(future)
    }

    /// Lets something run beside the caller.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.threads.spawn(future);
    }

    /// Runs one request of the library's, until the deadline.
    pub(super) fn request<T>(
        &self,
        action: &'static str,
        name: &str,
        key: &Path,
        deadline: Option<Deadline>,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        self.run(self.requested(action, name, key, deadline, request))
    }

    /// As [`Self::request`], in an async context.
    pub(super) async fn requested<T>(
        &self,
        action: &'static str,
        name: &str,
        key: &Path,
        deadline: Option<Deadline>,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        let explain = |error: Option<&object_store::Error>| {
            let object = self.address(key.as_ref());
            let attempt = Attempt { action, name, object: &object, place: &self.place };
            error.map_or_else(|| timed_out(attempt), |error| translate(error, attempt))
        };
        let Some(deadline) = deadline else { return request.await.map_err(|error| explain(Some(&error))) };
        match timeout_at(Instant::from_std(deadline.instant()), request).await {
            Ok(result) => result.map_err(|error| explain(Some(&error))),
            Err(_elapsed) => Err(explain(None)),
        }
    }
}

/// Gives the library our own client: it would else follow the environment's proxies.
#[derive(Debug)]
struct Connector(Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

fn http_client(location: &S3Location) -> Result<Client, reqwest::Error> {
    // Fails if the program has chosen a provider already, which is as good.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("Varve/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .referer(false)
        .redirect(Policy::none())
        .tcp_nodelay(true)
        .connect_timeout(location.patience.mul_f64(0.5))
        // Counted from the beginning of a request: the slowest upload of a piece has to fit in.
        .read_timeout(location.patience * 2)
        .https_only(location.is_encrypted());
    if location.is_encrypted() { builder.build() } else { builder.tls_certs_only(Vec::new()).build() }
}
