//! The two families of package formats.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whose packages they are: what the files look like, how versions compare, which program installs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// `.deb` files, installed by dpkg.
    Debian,
    /// `.rpm` files.
    Rpm,
}

/// A word that names no family.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no family of packages: debian or rpm")]
pub struct UnknownFamily(String);

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debian => "debian",
            Self::Rpm => "rpm",
        })
    }
}

impl FromStr for Family {
    type Err = UnknownFamily;

    fn from_str(text: &str) -> Result<Self, UnknownFamily> {
        match text {
            "debian" => Ok(Self::Debian),
            "rpm" => Ok(Self::Rpm),
            other => Err(UnknownFamily(other.to_owned())),
        }
    }
}
