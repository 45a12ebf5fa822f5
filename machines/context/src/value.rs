//! The tree that every structured form of user data is parsed into before anything is made of it: values with places.
//!
//! TOML and YAML become [`Node`]s; [`decode`] makes typed sections of them (unknown keys become warnings), [`fields`] is
//! for the legacy forms, whose keys take many shapes. Bounds on depth and size hold before anything is allocated.

pub(crate) mod decode;
pub(crate) mod fields;
pub(crate) mod toml;
pub(crate) mod yaml;

use crate::place::Place;

/// Deeper nesting is refused.
pub(crate) const MAX_DEPTH: usize = 32;
/// More values are refused, aliases counted as often as they are used.
pub(crate) const MAX_NODES: usize = 100_000;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// A key of a mapping and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) name: String,
}

/// What a value is. Numbers keep the text that was written: `0644` and `1.10` may be meant as text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool { value: bool, text: String },
    Integer { value: i64, text: String },
    Float { value: f64, text: String },
    String(String),
    Binary(Vec<u8>),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

impl Value {
    /// What a person calls such a value.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool { .. } => "a boolean",
            Self::Integer { .. } => "a number",
            Self::Float { .. } => "a fraction",
            Self::String(_) => "a string",
            Self::Binary(_) => "bytes",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl Node {
    /// A scalar's text as it was written; none for lists and mappings.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Bool { text, .. } | Value::Integer { text, .. } | Value::Float { text, .. } => Some(text),
            Value::String(text) => Some(text),
            Value::Null | Value::Binary(_) | Value::List(_) | Value::Map(_) => None,
        }
    }
}

impl Node {
    /// Says of every place which part it is in.
    pub(crate) fn stamp(&mut self, part: u32) {
        if part == 0 {
            return;
        }
        self.place.part = part;
        match &mut self.value {
            Value::List(list) => list.iter_mut().for_each(|node| node.stamp(part)),
            Value::Map(map) => {
                for (key, node) in map {
                    key.place.part = part;
                    node.stamp(part);
                }
            }
            _ => {}
        }
    }
}

/// Why user data can't be taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) place: Place,
    pub(crate) message: String,
}
