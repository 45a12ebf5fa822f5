//! Secrets: what is never printed. A secret stands in a document as itself, sealed to a key, or as a place to fetch it from.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Something that only its owner should know.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The secret itself.
    Plain(String),
    /// Encrypted by age to one or more keys, armored.
    Sealed(String),
    /// Where it can be fetched, once.
    Fetch(String),
    /// It was fetched before, and what it is for has been done.
    Taken,
}

impl Secret {
    /// The secret, if it is at hand.
    pub fn plain(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Sealed(_) | Self::Fetch(_) | Self::Taken => None,
        }
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Secret::Plain(…)",
            Self::Sealed(_) => "Secret::Sealed(…)",
            Self::Fetch(_) => "Secret::Fetch(…)",
            Self::Taken => "Secret::Taken",
        })
    }
}

impl Serialize for Secret {
    /// A plain secret is left out: what is serialized is printed.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Plain(_) | Self::Taken => map.serialize_entry("hidden", &true)?,
            Self::Sealed(text) => map.serialize_entry("sealed", text)?,
            Self::Fetch(address) => map.serialize_entry("fetch", address)?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret: text, { sealed = \"…\" } or { fetch = \"https://…\" }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::Plain(text.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::custom("a number where a secret should stand: put it between quotes"))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        let wrong = || de::Error::custom("a secret is text, { sealed = \"…\" } or { fetch = \"https://…\" }");
        let (kind, text): (String, String) = map.next_entry()?.ok_or_else(wrong)?;
        let secret = match kind.as_str() {
            "sealed" => Secret::Sealed(text),
            "fetch" if text.starts_with("https://") => Secret::Fetch(text),
            "fetch" => return Err(de::Error::custom("a secret is fetched from an https:// address only")),
            _ => return Err(wrong()),
        };
        match map.next_key::<String>()? {
            None => Ok(secret),
            Some(_) => Err(wrong()),
        }
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A secret: in plain, sealed by `varve context seal`, or an address that it is fetched from",
            "anyOf": [
                { "type": "string" },
                { "type": "object", "properties": { "sealed": { "type": "string" } }, "required": ["sealed"], "additionalProperties": false },
                { "type": "object", "properties": { "fetch": { "type": "string" } }, "required": ["fetch"], "additionalProperties": false }
            ]
        })
    }
}
