//! Images on a host: fetched once, checked by their digest, used by any number of machines.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::link::{Link, LinkError};
use crate::hosts::protocol::ImageSource;

/// Why an image isn't there.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImageFetchError {
    /// The service.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Something else came.
    #[error("the file of image {0} is not the one that was registered")]
    Other(String),
    /// The disk.
    #[error("cannot keep an image")]
    Keep(#[from] io::Error),
}

impl ImageFetchError {
    pub(super) fn is_lasting(&self) -> bool {
        matches!(self, Self::Other(_))
    }
}

/// The directory of images.
#[derive(Debug)]
pub(super) struct Images {
    directory: PathBuf,
    /// One is fetched at a time, so that none is fetched twice.
    fetching: tokio::sync::Mutex<()>,
}

impl Images {
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(Self { directory, fetching: tokio::sync::Mutex::new(()) })
    }

    /// The file of an image.
    pub(super) async fn fetch(&self, link: &Link, image: &ImageSource) -> Result<PathBuf, ImageFetchError> {
        let other = || ImageFetchError::Other(image.id.to_string());
        if image.digest.len() != 64 || !image.digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(other());
        }
        let path = self.directory.join(&image.digest);
        let _one = self.fetching.lock().await;
        if path.exists() {
            return Ok(path);
        }
        let new = self.directory.join(".new");
        let mut file = fs::File::create(&new)?;
        let mut digest = Sha256::new();
        let mut left = image.size;
        let mut pieces = link.image(&image.id).await?;
        while let Some(piece) = pieces.chunk().await.map_err(LinkError::from)? {
            left = left.checked_sub(piece.len() as u64).ok_or_else(other)?;
            digest.update(&piece);
            file.write_all(&piece)?;
        }
        if left != 0 || hex::encode(digest.finalize()) != image.digest {
            return Err(other());
        }
        file.sync_all()?;
        fs::rename(&new, &path)?;
        fs::File::open(&self.directory)?.sync_all()?;
        Ok(path)
    }
}
