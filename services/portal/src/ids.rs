//! Ids and secrets: drawn at random, checked when they come back.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// What ids are written with: no vowels that make words, nothing that looks alike.
const LETTERS: &[u8; 32] = b"0123456789bcdfghjkmnpqrstvwxyzae";
/// Characters of an id: 100 bits.
const ID: usize = 20;
/// Characters of a secret: 260 bits.
const SECRET: usize = 52;

/// Text that is no id of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such id")]
pub struct IdError;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, schemars::JsonSchema)]
        pub struct $name(String);

        impl $name {
            /// A new one.
            pub fn generate() -> Self {
                Self(random_letters(ID))
            }

            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let sound = text.len() == ID && text.bytes().all(|byte| LETTERS.contains(&byte));
                if sound { Ok(Self(text.to_owned())) } else { Err(IdError) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl From<&$name> for varve_chassis::db::Value {
            fn from(id: &$name) -> Self {
                Self::Text(id.0.clone())
            }
        }

        impl varve_chassis::db::FromValue for $name {
            const WANTED: &'static str = "an id";

            fn from_value(value: varve_chassis::db::Value) -> Result<Self, varve_chassis::db::Value> {
                match value {
                    varve_chassis::db::Value::Text(text) => {
                        text.parse().map_err(|_| varve_chassis::db::Value::Text(text))
                    }
                    other => Err(other),
                }
            }
        })*
    };
}

ids! {
    /// An account.
    AccountId;
    /// A context.
    ContextId;
    /// An API token, by which it is listed; not the token itself.
    TokenId;
    /// A pairing, by which its owner finds it again; not what the machine knows.
    PairingId;
    /// An entry of the audit log.
    EntryId;
}

/// What only its holder knows; kept as its hash.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// A new one.
    pub fn generate() -> Self {
        Self(random_letters(SECRET))
    }

    /// One that somebody shows.
    pub fn shown(text: &str) -> Self {
        Self(text.chars().take(200).collect())
    }

    /// For its holder.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is kept of it. It has so many bits that a fast hash will do.
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes()))
    }

    /// Another secret for a purpose, that who knows it can't get back from.
    pub fn derive(&self, purpose: &str) -> Self {
        Self(hex(&Sha256::digest(format!("{purpose}\0{}", self.0))))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Letters that nobody can guess.
pub(crate) fn random_letters(count: usize) -> String {
    random_of(LETTERS, count)
}

/// Letters out of an alphabet whose length divides 256, or is so short that what remains is drawn again.
pub(crate) fn random_of(alphabet: &[u8], count: usize) -> String {
    let most = 256 / alphabet.len() * alphabet.len();
    let mut text = String::with_capacity(count);
    let mut bytes = [0; 64];
    while text.len() < count {
        getrandom::fill(&mut bytes).expect("because the operating system has random numbers");
        let fair = bytes.iter().filter(|byte| usize::from(**byte) < most);
        let letters = fair.map(|byte| alphabet[usize::from(*byte) % alphabet.len()] as char);
        text.extend(letters.take(count - text.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked_and_differ() {
        let (one, two) = (AccountId::generate(), AccountId::generate());
        assert_ne!(one, two);
        assert_eq!(one.as_str().parse(), Ok(one.clone()));
        for text in ["", "x", "../../etc/passwd00000", &"A".repeat(20), &"0".repeat(21)] {
            assert_eq!(text.parse::<AccountId>(), Err(IdError), "{text}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = SecretText::generate();
        assert_eq!(format!("{secret:?}"), "SecretText(…)");
        assert_ne!(secret.hash(), secret.derive("csrf").as_str());
        assert_eq!(random_of(b"abc", 1000).len(), 1000);
    }
}
