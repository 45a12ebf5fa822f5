//! Where a repository's objects are stored, as it is written and as it is meant. Credentials never stand here, only where
//! they are found.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use varve_store::{AwsEnvironment, CredentialsError, S3Config, S3Location};

use super::{SettingsError, unknown};

/// Where objects are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "kind")]
pub enum StorageFile {
    /// A directory, by default the one of the local repositories.
    Directory {
        /// Another place.
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<PathBuf>,
    },
    /// A bucket of an S3 service.
    S3(S3File),
}

/// A bucket as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct S3File {
    /// The bucket's name.
    pub bucket: String,
    /// What stands before the repository's name in every key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Where the service is reached; Amazon's own without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The bucket's region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Whether the bucket stands in the path of an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// Whether the endpoint may be one without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_http: Option<bool>,
    /// A file with access keys, of the form that Amazon's tools have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<PathBuf>,
    /// Which of the keys in such a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Seconds for which a request that fails is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<NonZeroU32>,
}

/// Where objects are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In the directory of the local repository.
    Local,
    /// In another directory.
    Directory(PathBuf),
    /// In a bucket.
    S3(S3Storage),
}

/// A bucket, and where the key to it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Storage {
    /// The place that repositories lie below.
    pub location: S3Location,
    /// A file with access keys.
    pub credentials: Option<PathBuf>,
    /// Which of them.
    pub profile: Option<String>,
}

impl StorageFile {
    pub(super) fn resolve(&self) -> Result<Storage, SettingsError> {
        match self {
            Self::Directory { path: None } => Ok(Storage::Local),
            Self::Directory { path: Some(path) } => Ok(Storage::Directory(path.clone())),
            Self::S3(file) => Ok(Storage::S3(file.resolve()?)),
        }
    }
}

impl S3File {
    fn resolve(&self) -> Result<S3Storage, SettingsError> {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let allow_http = self.allow_http.unwrap_or(false);
        let mut location = S3Location::new(&self.bucket, prefix, self.endpoint.as_deref(), allow_http)?;
        if let Some(region) = &self.region {
            if region.is_empty() || !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                return Err(unknown("storage.region", region, "names such as eu-central-1"));
            }
            location.region.clone_from(region);
        }
        location.path_style = self.path_style.unwrap_or(location.path_style);
        if let Some(seconds) = self.patience {
            location.patience = Duration::from_secs(seconds.get().into());
        }
        let (credentials, profile) = (self.credentials.clone(), self.profile.clone());
        Ok(S3Storage { location, credentials, profile })
    }
}

impl S3Storage {
    /// What is needed to use the repository of this name.
    ///
    /// # Errors
    /// [`CredentialsError`] if no credentials are found.
    pub fn config(&self, name: &str, environment: &AwsEnvironment) -> Result<S3Config, CredentialsError> {
        let credentials = environment.credentials(self.credentials.as_deref(), self.profile.as_deref())?;
        Ok(S3Config { location: self.location.of_repository(name), credentials })
    }
}

/// Every setting of a bucket, for the test of the documentation.
#[cfg(test)]
pub(super) fn everything() -> S3File {
    S3File {
        bucket: "bucket".to_owned(),
        prefix: Some(String::new()),
        endpoint: Some(String::new()),
        region: Some(String::new()),
        path_style: Some(true),
        allow_http: Some(true),
        credentials: Some("/".into()),
        profile: Some(String::new()),
        patience: NonZeroU32::new(1),
    }
}

#[cfg(test)]
mod tests {
    use super::super::SettingsFile;
    use super::*;

    #[test]
    fn a_bucket_is_read_and_written() {
        let text = "[storage]\nkind = \"s3\"\nbucket = \"software\"\nprefix = \"cvmfs\"\nendpoint = \"http://s3.lab:9000\"\n\
            region = \"eu-west-1\"\nallow-http = true\nprofile = \"publisher\"\npatience = 5\n";
        let file: SettingsFile = toml::from_str(text).expect("valid");
        assert_eq!(file.to_text(), text);
        let settings = file.resolve().expect("consistent");
        let Storage::S3(storage) = settings.storage else { panic!("{settings:?}") };
        assert_eq!(
            storage.location.of_repository("lab.example").to_string(),
            "s3://software/cvmfs/lab.example at http://s3.lab:9000"
        );
        assert!(storage.location.path_style);
        assert_eq!(storage.location.patience, Duration::from_secs(5));
    }
}
