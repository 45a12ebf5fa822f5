//! What can go wrong with a store, sorted by what a caller can do about it.

use std::io;
use std::path::Path;

use varve_content::CompressionError;

/// Why an object or a file of a repository could not be had or kept.
///
/// Three questions decide what happens next: [`Self::is_integrity`] (never serve, ask another mirror),
/// [`Self::is_absence`] (it definitely does not exist there), everything else is transport (try again later).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The place answered, definitely: it does not have this.
    #[error("{name} does not exist at {place}")]
    NotFound {
        /// The object or file.
        name: String,
        /// The directory or server that was asked.
        place: String,
    },
    /// The bytes that came are not the bytes that were named.
    #[error("{name} from {place} has the wrong content (its hash is {actual})")]
    WrongHash {
        /// The object.
        name: String,
        /// The directory or server it came from.
        place: String,
        /// The hash of what came.
        actual: String,
    },
    /// The stored bytes match their hash, but don't decompress to what the catalog says.
    #[error("{name} does not decompress to its recorded size")]
    Content {
        /// The object.
        name: String,
        /// What the decoder found.
        #[source]
        source: CompressionError,
    },
    /// More bytes came than the object can have.
    #[error("{name} from {place} is larger than the {limit} bytes it may have")]
    TooLarge {
        /// The object or file.
        name: String,
        /// The directory or server it came from.
        place: String,
        /// The most bytes allowed.
        limit: u64,
    },
    /// Nothing usable came in time.
    #[error("{name} did not arrive from {place} in time")]
    TimedOut {
        /// The object or file.
        name: String,
        /// The directory or server that was asked last.
        place: String,
    },
    /// A server, a proxy or the way to them failed.
    #[error("{name} could not be fetched from {place}: {reason}")]
    Transport {
        /// The object or file.
        name: String,
        /// The server or proxy that was asked last.
        place: String,
        /// What it did instead of answering.
        reason: String,
    },
    /// A service that keeps objects has refused or failed.
    #[error("cannot {action} {object}: {reason}")]
    Service {
        /// What was tried: `read`, `store`, `list`, …
        action: &'static str,
        /// The object's or file's whole address.
        object: String,
        /// What the service said, or what stood in the way to it.
        reason: String,
        /// What kind of fault that is.
        fault: ServiceFault,
    },
    /// A kept copy was found damaged and has been dropped: asking for the object again fetches it anew.
    #[error("the cached copy {path} is damaged and was dropped")]
    DamagedCopy {
        /// The file in the cache.
        path: String,
    },
    /// A local file could not be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried: `read`, `write`, `create`, …
        action: &'static str,
        /// The path.
        path: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// What is wrong with a service that keeps objects, by what can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceFault {
    /// The credentials are wrong, or don't permit this.
    Denied,
    /// There is no such bucket.
    NoBucket,
    /// The bucket is in another region.
    Region,
    /// There is no way to the service.
    Unreachable,
    /// The service fails, for now or for another reason.
    Failed,
}

impl ServiceFault {
    /// Whether the same may succeed later without anything being mended.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Unreachable | Self::Failed)
    }

    /// What whoever reads the message can do.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Denied => {
                "the credentials must be right and permit to get, put, list and delete below storage.prefix \
                 (AWS_ACCESS_KEY_ID, storage.credentials)"
            }
            Self::NoBucket => "make the bucket first, or correct storage.bucket in the repository's settings",
            Self::Region => "say the bucket's region with storage.region in the repository's settings",
            Self::Unreachable => {
                "look whether the service runs and storage.endpoint is right, then try again"
            }
            Self::Failed => "the last published revision stands; try again when the service is well",
        }
    }
}

impl StoreError {
    /// What whoever reads the message can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Service { fault, .. } => Some(fault.hint()),
            _ => None,
        }
    }

    /// The bytes were wrong: never retry the same place, never serve them.
    pub fn is_integrity(&self) -> bool {
        matches!(
            self,
            Self::WrongHash { .. } | Self::Content { .. } | Self::TooLarge { .. } | Self::DamagedCopy { .. }
        )
    }

    /// It definitely does not exist.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// A local failure with `path`.
    pub(crate) fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.display().to_string(), source: source.into() }
    }

    /// The same error once more, for each of several threads that wanted the same thing.
    pub(crate) fn repeat(&self) -> Self {
        match self {
            Self::NotFound { name, place } => Self::NotFound { name: name.clone(), place: place.clone() },
            Self::WrongHash { name, place, actual } => {
                Self::WrongHash { name: name.clone(), place: place.clone(), actual: actual.clone() }
            }
            Self::Content { name, source } => {
                let source = match source {
                    CompressionError::TooLarge { limit } => CompressionError::TooLarge { limit: *limit },
                    CompressionError::Damaged => CompressionError::Damaged,
                    CompressionError::WriteOnlyElsewhere => CompressionError::WriteOnlyElsewhere,
                    CompressionError::Io(source) => CompressionError::Io(repeat_io(source)),
                };
                Self::Content { name: name.clone(), source }
            }
            Self::TooLarge { name, place, limit } => {
                Self::TooLarge { name: name.clone(), place: place.clone(), limit: *limit }
            }
            Self::TimedOut { name, place } => Self::TimedOut { name: name.clone(), place: place.clone() },
            Self::Transport { name, place, reason } => {
                Self::Transport { name: name.clone(), place: place.clone(), reason: reason.clone() }
            }
            Self::Service { action, object, reason, fault } => {
                Self::Service { action, object: object.clone(), reason: reason.clone(), fault: *fault }
            }
            Self::DamagedCopy { path } => Self::DamagedCopy { path: path.clone() },
            Self::Io { action, path, source } => {
                Self::Io { action, path: path.clone(), source: repeat_io(source) }
            }
        }
    }
}

/// The same I/O error: its number where the operating system gave one, else its text.
fn repeat_io(source: &io::Error) -> io::Error {
    match source.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(source.kind(), source.to_string()),
    }
}
