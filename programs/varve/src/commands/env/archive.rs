//! The archive of an environment: what its members are called, and in which order they stand. The page inside of it,
//! `archive/README.md`, says how to read it without Varve.
//!
//! ```text
//! README.md
//! environment.toml
//! repositories/NAME/key.pub              for each repository, sorted by name:
//! repositories/NAME/.cvmfswhitelist        the files of its proof
//! repositories/NAME/.cvmfspublished
//! repositories/NAME/data/ab/cdef…        certificate, tags, then every object before the catalogs that need it
//! images/DIGITS                          the boot image, if there is one
//! ```

use varve_content::ObjectName;
use varve_environment::{Image, Sha256};
use varve_repository::RepositoryName;
use varve_store::RepositoryFile;

pub(super) const README: &str = "README.md";
pub(super) const DOCUMENT: &str = "environment.toml";

/// The page that is put into every archive.
pub(super) const README_TEXT: &str = include_str!("archive/README.md");

/// What a member of an archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Readme,
    Document,
    Repository(RepositoryName, Part),
    Image(Sha256),
}

/// What of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Key,
    File(RepositoryFile),
    Object(ObjectName),
}

/// The signed files that an archive may have.
const FILES: [RepositoryFile; 3] =
    [RepositoryFile::Manifest, RepositoryFile::Whitelist, RepositoryFile::WhitelistPkcs7];

impl Member {
    /// What a path in an archive means; `None` for what has no place in one.
    pub(super) fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.splitn(3, '/').collect();
        match parts.as_slice() {
            [README] => Some(Self::Readme),
            [DOCUMENT] => Some(Self::Document),
            ["images", digits] => Some(Self::Image(format!("sha256:{digits}").parse().ok()?)),
            ["repositories", name, rest] => Some(Self::Repository(name.parse().ok()?, Part::of(rest)?)),
            _ => None,
        }
    }

    /// Its path.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Readme => README.to_owned(),
            Self::Document => DOCUMENT.to_owned(),
            Self::Image(sha256) => format!("images/{}", sha256.digits()),
            Self::Repository(name, part) => {
                let rest = match part {
                    Part::Key => "key.pub".to_owned(),
                    Part::File(file) => file.name().to_owned(),
                    Part::Object(object) => format!("data/{}", object.path()),
                };
                format!("repositories/{name}/{rest}")
            }
        }
    }

    /// That of an image.
    pub(super) fn image(image: &Image) -> Self {
        Self::Image(image.sha256)
    }
}

impl Part {
    fn of(rest: &str) -> Option<Self> {
        if rest == "key.pub" {
            return Some(Self::Key);
        }
        if let Some(object) = rest.strip_prefix("data/") {
            return Some(Self::Object(ObjectName::from_path(object).ok()?));
        }
        FILES.into_iter().find(|file| file.name() == rest).map(Self::File)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_back_and_others_are_none() {
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for path in [
            "README.md".to_owned(),
            "environment.toml".to_owned(),
            format!("images/{digits}"),
            "repositories/a.b/key.pub".to_owned(),
            "repositories/a.b/.cvmfspublished".to_owned(),
            "repositories/a.b/data/8e/b208f7e05d987a9b044a8e98c6b087f15a0bfc-rmd160C".to_owned(),
        ] {
            assert_eq!(Member::of(&path).map(|member| member.path()), Some(path));
        }
        for path in [
            "",
            "/README.md",
            "./README.md",
            "images/../x",
            "repositories/a.b/.cvmfsreflog",
            "repositories/a.b/data/../../x",
            "repositories/../key.pub",
            "repositories/a.b/data/txn/x",
        ] {
            assert_eq!(Member::of(path), None, "{path}");
        }
    }
}
