//! Tags: words that people put on things.

use std::str::FromStr;

use crate::instance::UnknownWord;

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// What can have tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// An instance.
    Instance,
    /// An image.
    Image,
    /// A key pair.
    KeyPair,
}

impl ResourceKind {
    /// As EC2 writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Image => "image",
            Self::KeyPair => "key-pair",
        }
    }

    /// Which kind an id is of.
    pub fn of(id: &str) -> Option<Self> {
        match id.split_once('-')?.0 {
            "i" => Some(Self::Instance),
            "ami" => Some(Self::Image),
            "key" => Some(Self::KeyPair),
            _ => None,
        }
    }
}

impl FromStr for ResourceKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Instance, Self::Image, Self::KeyPair]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownWord)
    }
}
