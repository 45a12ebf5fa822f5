//! Why an image can't be ingested.

use std::io;
use std::path::PathBuf;

use crate::base_revision::BaseError;
use crate::container::{ConfigurationError, Digest, ImageNameError};
use crate::ingest::{ArchiveError, IngestError};

/// Why a container image can't be ingested. Nothing is published.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The operating system refused.
    #[error("cannot read {path}")]
    Open {
        /// The directory, archive, or file in one of them.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The archive that the layout is in is damaged.
    #[error("cannot use {path}")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ArchiveError,
    },
    /// It is neither an image layout nor an archive of Docker's.
    #[error("{path} holds no container image: it has neither an index.json nor a manifest.json")]
    NoImage {
        /// What was opened.
        path: PathBuf,
    },
    /// A blob is missing.
    #[error("the image lacks {name}")]
    Missing {
        /// The blob's name.
        name: String,
    },
    /// A blob is not what its name says.
    #[error("the blob {digest} is damaged: it {problem}")]
    Blob {
        /// What it should be.
        digest: Digest,
        /// What is wrong.
        problem: BlobProblem,
    },
    /// A document is larger than any honest one.
    #[error("{name} is too large")]
    TooLarge {
        /// Which.
        name: String,
    },
    /// A document can't be read.
    #[error("{name} is malformed")]
    Document {
        /// Which.
        name: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A digest is none.
    #[error(transparent)]
    Digest(#[from] ImageNameError),
    /// The configuration can't be used.
    #[error("cannot use the image's configuration")]
    Configuration(#[from] ConfigurationError),
    /// Manifest and configuration don't fit to each other.
    #[error("the manifest has {layers} layers, the configuration {described}")]
    Layers {
        /// Those of the manifest.
        layers: usize,
        /// Those of the configuration.
        described: usize,
    },
    /// No image for that platform.
    #[error("there is no image for {wanted}, but for {found}")]
    NoPlatform {
        /// What was looked for.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// More than one image.
    #[error("there are several images: {found}")]
    Ambiguous {
        /// What they are called.
        found: String,
    },
    /// A layer is damaged, or asks for what can't be done.
    #[error("layer {digest} can't be used")]
    Layer {
        /// The layer.
        digest: Digest,
        /// What is wrong.
        #[source]
        source: ArchiveError,
    },
    /// The changes can't be put together.
    #[error(transparent)]
    Changes(#[from] IngestError),
    /// The repository can't be read.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// What an earlier ingest has left in the repository is not what it should be.
    #[error("{path} in the repository is malformed")]
    Stored {
        /// The file.
        path: String,
    },
}

/// What is wrong with a blob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobProblem {
    /// Another number of bytes.
    #[error("has {found} bytes, not {expected}")]
    Size {
        /// As described.
        expected: u64,
        /// As found.
        found: u64,
    },
    /// Other bytes.
    #[error("has the digest {found}")]
    Digest {
        /// As found.
        found: Digest,
    },
    /// Other bytes, once the compression is taken off.
    #[error("has the digest {found} without its compression, not {expected}")]
    Content {
        /// As the configuration says.
        expected: Digest,
        /// As found.
        found: Digest,
    },
    /// A kind of layer that is not read.
    #[error("is encrypted, or of another kind that is not read")]
    Kind,
}

impl ContainerError {
    /// What whoever reads the message can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoImage { .. } => Some(
                "write one with `skopeo copy … oci:DIRECTORY` or `podman save --format oci-archive -o FILE`",
            ),
            Self::NoPlatform { .. } => Some("choose another one with --platform"),
            Self::Ambiguous { .. } => Some("choose one with --reference"),
            Self::Blob { .. } | Self::Missing { .. } => Some("fetch or save the image again"),
            _ => None,
        }
    }
}
