//! Where a database is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A file, or a server.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A database of PostgreSQL, as `postgresql://user@host/name`.
    Postgres(String),
}

/// Text that names no database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no database: it is sqlite:PATH or postgresql://USER@HOST/NAME")]
pub struct LocationError(String);

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if text.starts_with("postgresql://") || text.starts_with("postgres://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        match text.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            _ => Err(LocationError(text.chars().take(100).collect())),
        }
    }
}

impl fmt::Display for Location {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(address) => f.write_str(&without_password(address)),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// An address as it may be shown.
pub(super) fn without_password(address: &str) -> String {
    let (address, _) = address.split_once('?').unwrap_or((address, ""));
    let Some((scheme, rest)) = address.split_once("://") else { return "postgresql".to_owned() };
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            let (user, _) = user.split_once(':').unwrap_or((user, ""));
            format!("{scheme}://{user}@{host}")
        }
        None => format!("{scheme}://{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let location: Location = "postgresql://me:se@cret@db.example/hub?sslmode=require".parse().unwrap();
        assert_eq!(location.to_string(), "postgresql://me@db.example/hub");
        assert_eq!(format!("{:?}", "sqlite:/a/b".parse::<Location>().unwrap()), "sqlite:/a/b");
        assert!("mysql://x".parse::<Location>().is_err() && "sqlite:".parse::<Location>().is_err());
    }
}
