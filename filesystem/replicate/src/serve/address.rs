//! Addresses: which of the few things that a server has does a request's path name? Pure.

use varve_content::ObjectName;
use varve_store::{Announcements, Batch, RepositoryFile};

/// Files at the top of a repository besides [`RepositoryFile`]: old, optional, or of other tools.
const FURTHER_FILES: [&str; 2] = [".cvmfs_is_snapshotting", ".cvmfs_partial_replica"];

/// A thing that may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address<'a> {
    /// The page for people.
    Index,
    /// What the server tells about itself.
    Info(Info),
    /// Many objects of a repository at once.
    Batch {
        /// The directory's name.
        repository: &'a str,
        /// The address below it, as [`Batch::parse_address`] reads it.
        path: &'a str,
    },
    /// Announcements of a repository's revisions.
    Events {
        /// The directory's name.
        repository: &'a str,
    },
    /// Which servers of a repository are near.
    Geo {
        /// The directory's name.
        repository: &'a str,
        /// Who asks, and for whom.
        question: &'a str,
    },
    /// A file of a repository. The name of the repository is not checked.
    File {
        /// The directory's name.
        repository: &'a str,
        /// The file below it, one of the known forms.
        path: &'a str,
        /// How it is to be treated.
        kind: Kind,
    },
}

/// A JSON document below `/cvmfs/info/v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Info {
    Repositories,
    Meta,
}

/// What decides the headers of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Named by its hash: never changes.
    Object,
    /// A `.cvmfs…` file: changes with every revision.
    Dot,
    /// The same in JSON.
    Json,
}

impl<'a> Address<'a> {
    /// The thing that `path` names. Doubled slashes count as one, as a base address with a slash at its end makes them.
    pub(crate) fn parse(path: &'a str) -> Option<Self> {
        let path = path.strip_prefix('/')?.trim_start_matches('/');
        if path.is_empty() {
            return Some(Self::Index);
        }
        let rest = path.strip_prefix("cvmfs/")?.trim_start_matches('/');
        match rest {
            "" => return Some(Self::Index),
            "info/v1/repositories.json" => return Some(Self::Info(Info::Repositories)),
            "info/v1/meta.json" => return Some(Self::Info(Info::Meta)),
            _ => {}
        }
        let Some((repository, path)) = rest.split_once('/') else {
            let repository =
                rest.strip_suffix(RepositoryFile::GLUED_WHITELIST_PKCS7).filter(|name| !name.is_empty())?;
            return Some(Self::whitelist(repository));
        };
        let path = path.trim_start_matches('/');
        if let Some(object) = path.strip_prefix("data/") {
            ObjectName::from_path(object).ok()?;
            return Some(Self::File { repository, path, kind: Kind::Object });
        }
        if path.starts_with("api/v1/batch/") {
            return Batch::parse_address(path).map(|_| Self::Batch { repository, path });
        }
        if path == Announcements::ADDRESS {
            return Some(Self::Events { repository });
        }
        if let Some(question) = path.strip_prefix("api/v1.0/geo/") {
            return Some(Self::Geo { repository, question });
        }
        if path == RepositoryFile::GLUED_WHITELIST_PKCS7 {
            return Some(Self::whitelist(repository));
        }
        let known = RepositoryFile::ALL.iter().any(|file| file.name() == path)
            || FURTHER_FILES.contains(&path)
            || path.strip_prefix(".cvmfsalt-").is_some_and(|object| object.parse::<ObjectName>().is_ok());
        let kind = if path.ends_with(".json") { Kind::Json } else { Kind::Dot };
        known.then_some(Self::File { repository, path, kind })
    }

    fn whitelist(repository: &'a str) -> Self {
        Self::File { repository, path: RepositoryFile::WhitelistPkcs7.name(), kind: Kind::Dot }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OBJECT: &str = "data/8e/b208f7e05d987a9b044a8e98c6b087f15a0bfc-rmd160C";

    fn file<'a>(repository: &'a str, path: &'a str, kind: Kind) -> Option<Address<'a>> {
        Some(Address::File { repository, path, kind })
    }

    #[test]
    fn what_exists() {
        assert_eq!(Address::parse("/"), Some(Address::Index));
        assert_eq!(Address::parse("/cvmfs/info/v1/meta.json"), Some(Address::Info(Info::Meta)));
        assert_eq!(Address::parse("/cvmfs/a.b/.cvmfspublished"), file("a.b", ".cvmfspublished", Kind::Dot));
        assert_eq!(
            Address::parse("/cvmfs/a.b/.cvmfs_status.json"),
            file("a.b", ".cvmfs_status.json", Kind::Json)
        );
        assert_eq!(Address::parse(&format!("/cvmfs/a.b/{OBJECT}")), file("a.b", OBJECT, Kind::Object));
        assert_eq!(Address::parse(&format!("//cvmfs//a.b//{OBJECT}")), file("a.b", OBJECT, Kind::Object));
        assert_eq!(Address::parse("/cvmfs/a.b/api/v1/events"), Some(Address::Events { repository: "a.b" }));
        let alternative = ".cvmfsalt-8eb208f7e05d987a9b044a8e98c6b087f15a0bfc-rmd160C";
        assert_eq!(Address::parse(&format!("/cvmfs/a.b/{alternative}")), file("a.b", alternative, Kind::Dot));
    }

    #[test]
    fn the_whitelist_that_the_original_asks_for_by_a_wrong_name() {
        let whitelist = file("a.b", ".cvmfswhitelist.pkcs7", Kind::Dot);
        for path in [
            "/cvmfs/a.b/.cvmfswhitelist.pkcs7",
            "/cvmfs/a.bcvmfswhitelist.pkcs7",
            "/cvmfs/a.b/cvmfswhitelist.pkcs7",
        ] {
            assert_eq!(Address::parse(path), whitelist, "{path}");
        }
    }

    #[test]
    fn nothing_else_exists() {
        let object = OBJECT.strip_prefix("data/").expect("it begins so");
        for path in [
            "".into(),
            "*".into(),
            "/etc/passwd".into(),
            "/cvmfs".into(),
            "/cvmfs/a.b".into(),
            "/cvmfs/a.b/".into(),
            "/cvmfs/a.b/data".into(),
            "/cvmfs/a.b/data/".into(),
            "/cvmfs/a.b/data/txn/x".into(),
            "/cvmfs/a.b/data/../.cvmfspublished".into(),
            "/cvmfs/a.b/%2ecvmfspublished".into(),
            "/cvmfs/a.b/.cvmfsalt-../../x".into(),
            "/cvmfs/a.b/.cvmfspublished/".into(),
            "/cvmfs/cvmfswhitelist.pkcs7".into(),
            format!("/cvmfs/a.b/data/{}", object.replace('/', "")),
            format!("/cvmfs/a.b/data/{}", object.to_uppercase()),
            format!("/cvmfs/a.b/data/{object}/"),
            format!("/cvmfs/a.b/data/{object}\0"),
        ] {
            assert_eq!(Address::parse(&path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leaves_its_repository(path in "(/|cvmfs|data|\\.\\.|\\.|a\\.b|[0-9a-f]{2}|[0-9a-f]{38}|%2e|\\.cvmfspublished|C){0,9}") {
            if let Some(Address::File { path, .. }) = Address::parse(&path) {
                prop_assert!(path.split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
            }
        }
    }
}
