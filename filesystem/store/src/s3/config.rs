//! What has to be said about a bucket, checked once. Where it was written is not known here; who may use it stands in
//! [`super::credentials`].

use std::fmt;
use std::time::Duration;

use reqwest::Url;

use super::credentials::S3Credentials;

/// How long a request that fails is tried again, unless somebody chooses otherwise.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The region that services without regions expect.
const REGION: &str = "us-east-1";

/// A place in a bucket, as it is written in settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Location {
    /// The bucket's name.
    pub bucket: BucketName,
    /// What stands before every key, without slashes at its ends; may be empty.
    pub prefix: KeyPrefix,
    /// Where the service is reached; `None` for Amazon's own in the region.
    pub endpoint: Option<Endpoint>,
    /// The bucket's region.
    pub region: String,
    /// Whether the bucket stands in the path of an address, else in the host's name.
    pub path_style: bool,
    /// How long a request that fails is tried again.
    pub patience: Duration,
}

impl S3Location {
    /// Checks and completes what was written. Only with `allow_http` the endpoint may be one without TLS.
    ///
    /// # Errors
    /// [`S3LocationError`].
    pub fn new(
        bucket: &str,
        prefix: &str,
        endpoint: Option<&str>,
        allow_http: bool,
    ) -> Result<Self, S3LocationError> {
        let endpoint = endpoint.map(|text| Endpoint::parse(text, allow_http)).transpose()?;
        Ok(Self {
            bucket: BucketName::parse(bucket)?,
            prefix: KeyPrefix::parse(prefix)?,
            path_style: endpoint.is_some(),
            endpoint,
            region: REGION.to_owned(),
            patience: PATIENCE,
        })
    }

    /// The place of a repository of this name: `PREFIX/NAME`, as CernVM-FS lays it out.
    #[must_use]
    pub fn of_repository(&self, name: &str) -> Self {
        Self { prefix: self.prefix.join(name), ..self.clone() }
    }

    /// A key with its bucket and service, for messages.
    pub(super) fn address_of(&self, key: &str) -> String {
        let slash = if key.is_empty() { "" } else { "/" };
        let service = match &self.endpoint {
            Some(endpoint) => format!("at {}", endpoint.0),
            None => format!("in {}", self.region),
        };
        format!("s3://{}{slash}{key} {service}", self.bucket.0)
    }

    /// Whether requests are encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        self.endpoint.as_ref().is_none_or(|endpoint| endpoint.0.starts_with("https:"))
    }

    /// The endpoint as the library wants it: with the bucket in the host's name where it belongs there.
    pub(super) fn address(&self) -> Option<String> {
        let endpoint = &self.endpoint.as_ref()?.0;
        if self.path_style {
            return Some(endpoint.clone());
        }
        let (scheme, rest) = endpoint.split_once("://")?;
        Some(format!("{scheme}://{}.{rest}", self.bucket.0))
    }
}

impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address_of(&self.prefix.0))
    }
}

/// A bucket's name: 3 to 63 letters, digits, dots, hyphens and underscores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketName(String);

impl BucketName {
    fn parse(text: &str) -> Result<Self, S3LocationError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let ends_well = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        let bytes = text.as_bytes();
        let fits = (3..=63).contains(&bytes.len()) && !text.contains("..");
        let ends = ends_well(bytes.first().copied()) && ends_well(bytes.last().copied());
        if fits && ends && bytes.iter().copied().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(S3LocationError::Bucket { text: shortened(text) })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What stands before every key of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    fn parse(text: &str) -> Result<Self, S3LocationError> {
        let trimmed = text.trim_matches('/');
        // What the library would have to encode differently than others do is left out.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!()/".contains(&byte);
        let good = |part: &str| !part.is_empty() && part != "." && part != "..";
        let fits = trimmed.is_empty() || trimmed.split('/').all(good);
        if fits && trimmed.len() <= 512 && trimmed.bytes().all(allowed) {
            return Ok(Self(trimmed.to_owned()));
        }
        Err(S3LocationError::Prefix { text: shortened(text) })
    }

    /// A key below the prefix.
    pub(super) fn key(&self, below: &str) -> String {
        if self.0.is_empty() { below.to_owned() } else { format!("{}/{below}", self.0) }
    }

    fn join(&self, name: &str) -> Self {
        Self(self.key(name))
    }
}

/// Where a service is reached: `https://host[:port]`, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

impl Endpoint {
    fn parse(text: &str, allow_http: bool) -> Result<Self, S3LocationError> {
        let malformed = || S3LocationError::Endpoint { text: shortened(text) };
        let url: Url = text.parse().map_err(|_| malformed())?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || !plain {
            return Err(malformed());
        }
        if url.scheme() == "http" && !allow_http {
            return Err(S3LocationError::PlainHttp { endpoint: shortened(text) });
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

/// Everything that is needed to use a bucket.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Config {
    /// Where the objects of the repository are: what is given to [`super::S3Store::new`] ends with its name.
    pub location: S3Location,
    /// Who asks.
    pub credentials: S3Credentials,
}

impl fmt::Debug for S3Config {
    /// Without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config").field("location", &self.location).finish_non_exhaustive()
    }
}

/// What is wrong with the description of a place in a bucket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum S3LocationError {
    /// No bucket has such a name.
    #[error("'{text}' is not the name of a bucket (3 to 63 letters, digits, '.', '-', '_')")]
    Bucket {
        /// The offending text.
        text: String,
    },
    /// Not a prefix that every service and proxy writes alike.
    #[error(
        "'{text}' is not a prefix of keys (letters, digits, '-', '_', '.', '!', '(', ')', between them '/')"
    )]
    Prefix {
        /// The offending text.
        text: String,
    },
    /// Not the address of a service.
    #[error("'{text}' is not the address of a service (https://host:port)")]
    Endpoint {
        /// The offending text.
        text: String,
    },
    /// Without TLS everybody on the way could read and change what is published.
    #[error("{endpoint} is plain HTTP, which has to be allowed (allow-http = true)")]
    PlainHttp {
        /// The address.
        endpoint: String,
    },
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written() {
        let place = S3Location::new("bucket", "/a/b/", Some("http://127.0.0.1:9000/"), true);
        let place = place.expect("well formed").of_repository("lab.example");
        assert_eq!(place.to_string(), "s3://bucket/a/b/lab.example at http://127.0.0.1:9000");
        assert_eq!(place.prefix.key("data/ab/c"), "a/b/lab.example/data/ab/c");
        assert_eq!(place.address().as_deref(), Some("http://127.0.0.1:9000"));
        let hosted = S3Location { path_style: false, ..place };
        assert_eq!(hosted.address().as_deref(), Some("http://bucket.127.0.0.1:9000"));
        let amazon = S3Location::new("bucket", "", None, false).expect("well formed");
        assert_eq!((amazon.to_string().as_str(), amazon.path_style), ("s3://bucket in us-east-1", false));
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        for bucket in ["", "ab", "-abc", "abc.", "a..b", "a b c", "a/b/c", &"a".repeat(64)] {
            assert!(S3Location::new(bucket, "", None, false).is_err(), "{bucket}");
        }
        for prefix in ["a//b", "..", "a/../b", "a b", "a?b", "a%b", "ä"] {
            assert!(S3Location::new("bucket", prefix, None, false).is_err(), "{prefix}");
        }
        for endpoint in
            ["host", "ftp://host", "http://host", "https://u:p@host", "https://host/?a=b", "https://"]
        {
            assert!(S3Location::new("bucket", "", Some(endpoint), false).is_err(), "{endpoint}");
        }
    }
}
