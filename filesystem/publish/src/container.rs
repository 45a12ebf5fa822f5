//! How container images lie in a repository, and what their configuration says. The layout is the one that users know from
//! unpacked.cern.ch, and that container engines read as it is.
//!
//! ```text
//! /REGISTRY/NAME:TAG                        a link to the image's root directory
//! /.flat/XX/ID                              the root directory: all layers over each other, and what engines need to mount on
//! /.layers/XX/DIGEST/layerfs                one layer, whiteouts in the form of overlayfs
//! /.layers/XX/DIGEST/.metadata/layers.json  its digests and sizes
//! /.metadata/REGISTRY/NAME:TAG              manifest.json
//! /podmanStore                              the same layers and images as an additional image store of Podman
//! ```
//!
//! An image's id is the SHA-256 of its configuration, a layer's digest that of its blob. XX are the first two digits.

use std::fmt;
use std::str::FromStr;

use varve_repository::{EntryName, RepositoryPath};

mod configuration;

pub use configuration::{ConfigurationError, ImageConfiguration};

/// The most bytes of a configuration, a manifest or an index.
pub const DOCUMENT_LIMIT: u64 = 4 << 20;

/// The SHA-256 of a blob, in lower-case digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

/// The name under which an image is published: `REGISTRY/NAME:TAG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName(String);

/// Text that is no digest or no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageNameError {
    /// Not `sha256:` and 64 digits.
    #[error("'{text}' is no digest: expected sha256: and 64 hexadecimal digits")]
    Digest {
        /// What was read.
        text: String,
    },
    /// Not a name of an image.
    #[error("'{text}' is no name of an image: expected REGISTRY/NAME:TAG")]
    Name {
        /// What was read.
        text: String,
    },
}

impl Digest {
    /// Of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self::from_sum(&sha2::Sha256::digest(bytes))
    }

    pub(crate) fn from_sum(sum: &[u8]) -> Self {
        Self(sum.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// From 64 lower-case digits.
    pub fn from_digits(digits: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (digits.len() == 64 && digits.bytes().all(is_digit)).then(|| Self(digits.to_owned()))
    }

    /// The digits alone.
    pub fn digits(&self) -> &str {
        &self.0
    }

    fn below(&self, directory: &str) -> RepositoryPath {
        path(&format!("{directory}/{}/{}", &self.0[..2], self.0))
    }

    /// Where the image of this id has its root directory.
    pub fn root_directory(&self) -> RepositoryPath {
        self.below(".flat")
    }

    /// Where the layer of this digest lies.
    pub(crate) fn layer(&self) -> RepositoryPath {
        self.below(".layers")
    }

    /// The file with the configuration of the image of this id.
    pub fn configuration(&self) -> RepositoryPath {
        self.image_file(&self.to_string())
    }

    /// A file that Podman keeps of the image of this id: its names are encoded if they are no plain words.
    pub(crate) fn image_file(&self, key: &str) -> RepositoryPath {
        use base64::Engine as _;
        let plain = key.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_'));
        let name = if plain {
            key.to_owned()
        } else {
            format!("={}", base64::engine::general_purpose::STANDARD.encode(key))
        };
        path(&format!("podmanStore/overlay-images/{}/{name}", self.0))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl FromStr for Digest {
    type Err = ImageNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("sha256:")
            .and_then(Self::from_digits)
            .ok_or_else(|| ImageNameError::Digest { text: text.to_owned() })
    }
}

impl ImageName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the link to its root directory is.
    pub fn link(&self) -> RepositoryPath {
        path(&self.0)
    }

    /// Where its manifest is.
    pub(crate) fn manifest(&self) -> RepositoryPath {
        path(&format!(".metadata/{}/manifest.json", self.0))
    }

    /// The target of its link.
    pub(crate) fn target(&self, id: &Digest) -> String {
        format!("{}{}", "../".repeat(self.0.matches('/').count()), &id.root_directory().to_string()[1..])
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ImageName {
    type Err = ImageNameError;

    /// Without a tag it is `latest`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || ImageNameError::Name { text: text.to_owned() };
        let (path, last) = text.rsplit_once('/').ok_or_else(malformed)?;
        let (name, tag) = last.split_once(':').unwrap_or((last, "latest"));
        let (registry, middle) =
            path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let word = |word: &str, more: &[u8]| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(&byte);
            word.len() <= 128
                && word.bytes().all(plain)
                && word.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
        };
        let is_valid = word(registry, b"._-:")
            && middle.into_iter().flat_map(|middle| middle.split('/')).all(|part| word(part, b"._-"))
            && word(name, b"._-")
            && word(tag, b"._-")
            && text.len() <= 512
            && registry != "podmanStore";
        if is_valid { Ok(Self(format!("{path}/{name}:{tag}"))) } else { Err(malformed()) }
    }
}

/// A path of parts that were checked.
pub(crate) fn path(text: &str) -> RepositoryPath {
    text.split('/').fold(RepositoryPath::ROOT, |path, part| {
        path.join(&EntryName::new(part).expect("because digits and checked words are names"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths() {
        let name: ImageName = "registry.example.org/library/debian:12".parse().expect("a name");
        let id = Digest::of(b"");
        assert_eq!(name.link().to_string(), "/registry.example.org/library/debian:12");
        assert_eq!(name.target(&id), format!("../../.flat/e3/{}", id.digits()));
        let short: ImageName = "localhost:5000/tool".parse().expect("a name");
        assert_eq!(short.as_str(), "localhost:5000/tool:latest");
        assert_eq!(short.manifest().to_string(), "/.metadata/localhost:5000/tool:latest/manifest.json");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "debian",
            "a/../b",
            ".flat/ab",
            "a//b",
            "a/b:",
            "a/b@sha256:00",
            "/a/b",
            "a/b:c:d",
            "podmanStore/x",
            "a/b c",
            "a/.layers/c",
        ] {
            assert!(text.parse::<ImageName>().is_err(), "{text}");
        }
        for text in ["sha256:", "sha256:../..", "sha512:00", &"0".repeat(64)] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    #[test]
    fn podman_finds_its_files() {
        let id = Digest::of(b"");
        let file = id.configuration().to_string();
        assert!(file.contains("/=c2hhMjU2OmUzYjBj"), "{file}");
        assert!(id.image_file("manifest").to_string().ends_with("/manifest"));
    }
}
