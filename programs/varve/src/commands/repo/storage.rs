//! Options that say where a repository's objects are stored. What they say goes into the repository's settings.

use std::path::PathBuf;

use clap::Args;
use varve_publish::{S3File, StorageFile};

use crate::failure::Failure;

/// Where the objects of a new repository are stored.
#[derive(Args, Debug)]
pub(crate) struct StorageOptions {
    /// Store the objects there: another directory, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE")]
    storage: Option<String>,
    /// The address of the S3 service; that of Amazon without it
    #[arg(long, value_name = "URL", requires = "storage")]
    s3_endpoint: Option<String>,
    /// The bucket's region
    #[arg(long, value_name = "REGION", requires = "storage")]
    s3_region: Option<String>,
    /// Reach the service without TLS
    #[arg(long, requires = "s3_endpoint")]
    s3_allow_http: bool,
    /// A file with access keys, as Amazon's tools write it, instead of the AWS_ variables
    #[arg(long, value_name = "FILE", requires = "storage")]
    s3_credentials: Option<PathBuf>,
    /// Which of the access keys in such a file
    #[arg(long, value_name = "NAME", requires = "storage")]
    s3_profile: Option<String>,
}

impl StorageOptions {
    /// The settings; `None` for the repository's own directory.
    ///
    /// # Errors
    /// A usage error if options of S3 are given for a directory.
    pub(crate) fn to_settings(&self) -> Result<Option<StorageFile>, Failure> {
        let Some(place) = &self.storage else { return Ok(None) };
        let absolute =
            |path: &PathBuf| std::path::absolute(path).map_err(|error| Failure::io("find", path, error));
        let Some(bucket) = place.strip_prefix("s3://") else {
            let of_s3 = self.s3_endpoint.is_some()
                || self.s3_region.is_some()
                || self.s3_credentials.is_some()
                || self.s3_profile.is_some();
            if of_s3 {
                return Err(Failure::usage("options of S3 go with --storage s3://BUCKET/PREFIX"));
            }
            return Ok(Some(StorageFile::Directory { path: Some(absolute(&PathBuf::from(place))?) }));
        };
        let (bucket, prefix) = bucket.split_once('/').unwrap_or((bucket, ""));
        Ok(Some(StorageFile::S3(S3File {
            bucket: bucket.to_owned(),
            prefix: Some(prefix.to_owned()).filter(|prefix| !prefix.is_empty()),
            endpoint: self.s3_endpoint.clone(),
            region: self.s3_region.clone(),
            allow_http: self.s3_allow_http.then_some(true),
            credentials: self.s3_credentials.as_ref().map(absolute).transpose()?,
            profile: self.s3_profile.clone(),
            ..S3File::default()
        })))
    }
}
