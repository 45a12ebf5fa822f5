//! Nodes into typed sections, through serde: an unknown key is a warning with its place and a suggestion, anything else
//! that doesn't fit is an error with its place.
//!
//! Scalars are taken as the field wants them: `uid = "1000"` and `password: 1234` mean what they say.

use std::cell::RefCell;
use std::fmt;

use serde::de::{self, DeserializeSeed, IntoDeserializer as _, Visitor};

use super::{Key, Node, Value};
use crate::place::{Notices, Place};

/// Makes a `T` of `node`; what is wrong becomes a notice, and then there is none.
pub(crate) fn decode<T: de::DeserializeOwned>(node: &Node, notices: &mut Notices) -> Option<T> {
    let shared = RefCell::new(notices);
    match T::deserialize(Decoder { node, notices: &shared }) {
        Ok(value) => Some(value),
        Err(error) => {
            shared.borrow_mut().error(error.place.unwrap_or(node.place), error.message);
            None
        }
    }
}

/// What did not fit, and where.
#[derive(Debug)]
struct Error {
    place: Option<Place>,
    message: String,
}

impl Error {
    /// An error knows the innermost place it came from.
    fn at(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { place: None, message: message.to_string() }
    }
}

#[derive(Clone, Copy)]
struct Decoder<'a, 'n> {
    node: &'a Node,
    notices: &'a RefCell<&'n mut Notices>,
}

impl<'a, 'n> Decoder<'a, 'n> {
    fn on(self, node: &'a Node) -> Self {
        Self { node, ..self }
    }

    fn number<T: std::str::FromStr + TryFrom<i64>>(self, what: &str) -> Result<T, Error> {
        let fits = match &self.node.value {
            Value::Integer { value, .. } => T::try_from(*value).ok(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        fits.ok_or_else(|| self.wrong(what))
    }

    fn wrong(self, wanted: &str) -> Error {
        let found = match self.node.text() {
            Some(text) => crate::place::shown(text),
            None => self.node.value.kind().to_owned(),
        };
        Error { place: Some(self.node.place), message: format!("{found} where {wanted} should stand") }
    }

    fn list<'de, V: Visitor<'de>>(self, list: &'a [Node], visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Members { list: list.iter(), decoder: self })
    }

    fn map<'de, V: Visitor<'de>>(
        self,
        map: &'a [(Key, Node)],
        fields: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Pairs { map: map.iter(), value: None, decoder: self, fields })
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $kind:ty),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let number = self.number::<$kind>("a number")?;
            visitor.$visit(number).map_err(|error: Error| error.at(self.node.place))
        })*
    };
}

impl<'de> de::Deserializer<'de> for Decoder<'_, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool { value, .. } => visitor.visit_bool(*value),
            Value::Integer { value, .. } => visitor.visit_i64(*value),
            Value::Float { value, .. } => visitor.visit_f64(*value),
            Value::String(text) => visitor.visit_str(text),
            Value::Binary(bytes) => visitor.visit_bytes(bytes),
            Value::List(list) => self.list(list, visitor),
            Value::Map(map) => self.map(map, None, visitor),
        };
        result.map_err(|error: Error| error.at(self.node.place))
    }

    numbers!(
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    );

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = match &self.node.value {
            Value::Bool { value, .. } => Some(*value),
            Value::String(text) => truth(text),
            _ => None,
        };
        visitor.visit_bool(value.ok_or_else(|| self.wrong("true or false"))?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Float { value, .. } => visitor.visit_f64(*value),
            Value::Integer { value, .. } => visitor.visit_f64(*value as f64),
            _ => Err(self.wrong("a number")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = self.node.text().ok_or_else(|| self.wrong("a string"))?;
        visitor.visit_str(text).map_err(|error: Error| error.at(self.node.place))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self).map_err(|error: Error| error.at(self.node.place))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::List(list) => self.list(list, visitor),
            Value::Null => self.list(&[], visitor),
            _ => Err(self.wrong("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Map(map) => self.map(map, None, visitor),
            Value::Null => self.map(&[], None, visitor),
            _ => Err(self.wrong("a table")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let result = match &self.node.value {
            Value::Map(map) => self.map(map, Some(fields), visitor),
            Value::Null => self.map(&[], Some(fields), visitor),
            _ => Err(self.wrong("a table")),
        };
        result.map_err(|error| error.at(self.node.place))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let text = self.node.text().ok_or_else(|| self.wrong("a string"))?;
        if !variants.contains(&text) {
            let known = variants.join(", ");
            return Err(self.wrong(&format!("one of {known}")));
        }
        visitor.visit_enum(text.into_deserializer())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { bytes byte_buf unit unit_struct tuple tuple_struct identifier }
}

/// What people write for true and false.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

struct Members<'a, 'n> {
    list: std::slice::Iter<'a, Node>,
    decoder: Decoder<'a, 'n>,
}

impl<'de> de::SeqAccess<'de> for Members<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.list.next() else { return Ok(None) };
        seed.deserialize(self.decoder.on(node)).map(Some).map_err(|error| error.at(node.place))
    }
}

struct Pairs<'a, 'n> {
    map: std::slice::Iter<'a, (Key, Node)>,
    value: Option<&'a Node>,
    decoder: Decoder<'a, 'n>,
    /// The keys that are known, where they are.
    fields: Option<&'static [&'static str]>,
}

impl<'de> de::MapAccess<'de> for Pairs<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        for (key, node) in self.map.by_ref() {
            if let Some(fields) = self.fields
                && !fields.contains(&key.name.as_str())
            {
                self.decoder.notices.borrow_mut().unknown_key(key.place, &key.name, fields);
                continue;
            }
            self.value = Some(node);
            let name: de::value::StrDeserializer<'_, Error> = key.name.as_str().into_deserializer();
            return seed.deserialize(name).map(Some).map_err(|error| error.at(key.place));
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some(node) = self.value.take() else { return Err(de::Error::custom("a value before its key")) };
        seed.deserialize(self.decoder.on(node)).map_err(|error| error.at(node.place))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::place::Severity;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Person {
        name: String,
        uid: Option<u32>,
        shell: bool,
        keys: Vec<String>,
    }

    fn read(text: &str) -> (Option<Person>, Vec<crate::place::Notice>) {
        let mut notices = Notices::default();
        let person = decode(&super::super::yaml::parse(text).unwrap(), &mut notices);
        (person, notices.into_list())
    }

    #[test]
    fn unknown_keys_are_warnings_with_a_suggestion() {
        let (person, notices) = read("name: ada\nuuid: 3\nshell: 'yes'\nuid: '1000'\nkeys:\n- 12\n");
        let keys = vec!["12".to_owned()];
        assert_eq!(person.unwrap(), Person { name: "ada".into(), uid: Some(1000), shell: true, keys });
        assert_eq!(notices.len(), 1);
        assert_eq!(
            notices[0].to_string(),
            "line 2, column 1: warning: unknown key \"uuid\" (did you mean \"uid\"?)"
        );
    }

    #[test]
    fn what_does_not_fit_is_an_error_with_its_place() {
        let (person, notices) = read("name: ada\nkeys:\n  - a\n  - [b]\n");
        assert_eq!(person, None);
        assert_eq!((notices[0].severity, notices[0].place.line), (Severity::Error, 4));
        assert_eq!(notices[0].message, "a list where a string should stand");
        assert_eq!(read("uid: -1\n").1[0].message, "\"-1\" where a number should stand");
    }
}
