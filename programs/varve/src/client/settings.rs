//! The settings of a client: their names, their types, and where each value comes from. What they lead to is decided
//! elsewhere.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use varve_store::ByteSize;

/// A value, and where it was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sourced<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// Where a value was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// An option of the command.
    CommandLine,
    /// A line of a file; 0 for the whole file.
    File {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::File { path, line: 0 } => path.display().fmt(f),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// An amount of bytes, written as people do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Size(pub(crate) ByteSize);

impl TryFrom<String> for Size {
    type Error = <ByteSize as std::str::FromStr>::Err;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl From<Size> for String {
    /// Exactly, unlike what is shown to people elsewhere: it is read again.
    fn from(size: Size) -> Self {
        let bytes = size.0.get();
        let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let unit = units.iter().find(|(_, bits)| bytes > 0 && bytes.is_multiple_of(1 << bits));
        unit.map_or_else(|| bytes.to_string(), |(unit, bits)| format!("{}{unit}", bytes >> bits))
    }
}

/// A setting as it is listed.
#[derive(Debug)]
pub(crate) struct Listed<'a> {
    /// As in the configuration file.
    pub(crate) name: String,
    pub(crate) value: serde_json::Value,
    pub(crate) origin: &'a Origin,
}

macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        /// Settings as they are written in one place, every one optional.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub(crate) struct Section {
            $($(#[$doc])* pub(crate) $field: Option<$type>,)*
        }

        /// Settings from all places, the last word of each.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub(crate) struct Settings {
            $($(#[$doc])* pub(crate) $field: Option<Sourced<$type>>,)*
        }

        impl Settings {
            /// Lets what a place says win over what was said before.
            pub(crate) fn overlay(&mut self, section: Section, origin: &Origin) {
                $(if let Some(value) = section.$field {
                    self.$field = Some(Sourced { value, origin: origin.clone() });
                })*
            }

            /// Everything that is set.
            pub(crate) fn listed(&self) -> Vec<Listed<'_>> {
                let mut listed = Vec::new();
                $(if let Some(Sourced { value, origin }) = &self.$field {
                    let name = stringify!($field).replace('_', "-");
                    let value = serde_json::to_value(value).unwrap_or_default();
                    listed.push(Listed { name, value, origin });
                })*
                listed
            }
        }

        #[cfg(test)]
        pub(crate) const NAMES: &[&str] = &[$(stringify!($field)),*];
    };
}

settings! {
    /// Where the repository is served, best first, with `@fqrn@` and `@org@` for parts of its name.
    servers: Vec<String>,
    /// Groups of proxies.
    proxy: String,
    /// Groups of proxies for when those have failed; `DIRECT` among those then doesn't count.
    fallback_proxy: String,
    /// Where the content of external files is.
    external_servers: Vec<String>,
    /// Groups of proxies on the way there.
    external_proxy: String,
    /// Files or directories of public master keys.
    keys: Vec<PathBuf>,
    /// Seconds that a proxy may be silent or too slow.
    timeout: u64,
    /// Seconds that a server may be, without a proxy.
    timeout_direct: u64,
    /// Bytes a second below which it is too slow.
    low_speed: u64,
    /// How often everything is tried once more.
    retries: u32,
    /// Seconds before the first such retry, at most.
    backoff: u64,
    /// Seconds before any such retry, at most.
    backoff_limit: u64,
    /// Seconds until servers before the current one are used again; 0 for never.
    server_reset: u64,
    /// Seconds until failed proxies are used again; 0 for never.
    proxy_reset: u64,
    /// How many redirects are followed.
    redirects: usize,
    /// Whether servers tell which of them are near.
    geo: bool,
    /// How many servers are used.
    max_servers: usize,
    /// Seconds after which new revisions are asked for at the latest.
    refresh: u64,
    /// A tag, a root hash or a date.
    revision: String,
    /// Whether set-user-id bits are honoured.
    suid: bool,
    /// Whether every file is shown as its mounter's.
    claim_ownership: bool,
    /// The repositories that a tree lists.
    repositories: Vec<String>,
    /// Whether a tree has no others.
    only_listed: bool,
    /// What is added to a repository's name without a dot.
    default_domain: String,
    /// The directory that keeps what was fetched.
    cache: PathBuf,
    /// How large that may become.
    cache_quota: Size,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for text in ["0", "1", "4000MiB", "4GiB", "5KiB", "123456789"] {
            let size = Size::try_from(text.to_owned()).expect("a size");
            assert_eq!(String::from(size), text);
        }
    }
}
