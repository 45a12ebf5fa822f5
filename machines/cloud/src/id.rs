//! Names that the cloud gives: a prefix that says of what, and 17 hexadecimal digits that nobody can guess.

use std::fmt;
use std::str::FromStr;

/// How many digits there are.
const DIGITS: usize = 17;

/// Text that is no such name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not {what}", crate::ec2::shown(.text))]
pub struct IdError {
    text: String,
    what: &'static str,
}

/// New digits.
pub(crate) fn random_digits() -> String {
    let mut bytes = [0; DIGITS / 2 + 1];
    getrandom::fill(&mut bytes).expect("because the kernel has random numbers");
    let mut digits = hex::encode(bytes);
    digits.truncate(DIGITS);
    digits
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// What it begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new one.
            pub fn new() -> Self {
                Self(format!("{}{}", $prefix, random_digits()))
            }

            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let digits = text.strip_prefix($prefix).unwrap_or_default();
                let hexadecimal = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                if digits.len() != DIGITS || !hexadecimal {
                    return Err(IdError { text: text.to_owned(), what: $what });
                }
                Ok(Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl From<&$name> for varve_chassis::db::Value {
            fn from(id: &$name) -> Self {
                Self::from(id.as_str())
            }
        }
    };
}

id!(
    /// An instance: a machine of the cloud.
    InstanceId,
    "i-",
    "the id of an instance"
);
id!(
    /// The instances that one request made.
    ReservationId,
    "r-",
    "the id of a reservation"
);
id!(
    /// An image.
    ImageId,
    "ami-",
    "the id of an image"
);
id!(
    /// A key pair.
    KeyPairId,
    "key-",
    "the id of a key pair"
);
id!(
    /// A host.
    HostId,
    "h-",
    "the id of a host"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_they_say() {
        let id = InstanceId::new();
        assert_eq!(id.as_str().parse::<InstanceId>().unwrap(), id);
        assert_ne!(InstanceId::new(), id);
        for text in [
            "",
            "i-",
            "i-0123456789abcdef",
            "i-0123456789abcdefg",
            "ami-0123456789abcdef0",
            "I-0123456789abcdef0",
        ] {
            assert!(text.parse::<InstanceId>().is_err(), "{text}");
        }
    }
}
