//! The legacy forms' way to read a mapping: keys are taken out one by one in whatever shape they come, and what nobody
//! took is reported.

use std::str::FromStr;

use super::decode::truth;
use super::{Key, Node, Value};
use crate::place::{Notices, Place, shown};
use crate::text::TextError;

/// A mapping whose keys are taken one after another.
pub(crate) struct Fields<'a, 'n> {
    pub(crate) place: Place,
    pub(crate) notices: &'n mut Notices,
    members: &'a [(Key, Node)],
    asked: Vec<&'static str>,
}

impl<'a, 'n> Fields<'a, 'n> {
    /// None, and an error, when `node` is not a mapping; nothing at all is an empty one.
    pub(crate) fn of(node: &'a Node, what: &str, notices: &'n mut Notices) -> Option<Self> {
        let members: &[_] = match &node.value {
            Value::Map(members) => members,
            Value::Null => &[],
            other => {
                notices.error(node.place, format!("{what}: {} where a mapping should stand", other.kind()));
                return None;
            }
        };
        Some(Self { place: node.place, notices, members, asked: Vec::new() })
    }

    /// The value of a key; a key without a value is as none.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        let (_, node) = self.members.iter().find(|(other, _)| other.name == key)?;
        (node.value != Value::Null).then_some(node)
    }

    /// The first of several spellings.
    pub(crate) fn take_any(&mut self, keys: &[&'static str]) -> Option<&'a Node> {
        keys.iter().filter_map(|key| self.take(key)).collect::<Vec<_>>().first().copied()
    }

    /// A scalar as text.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<String> {
        let node = self.take(key)?;
        text(node, key, self.notices)
    }

    /// A scalar as checked text.
    pub(crate) fn checked<T: FromStr<Err = TextError>>(&mut self, key: &'static str) -> Option<T> {
        let node = self.take(key)?;
        let text = text(node, key, self.notices)?;
        checked(&text, node.place, key, self.notices)
    }

    /// A list of checked texts; a single text is split at commas.
    pub(crate) fn checked_words<T: FromStr<Err = TextError>>(&mut self, key: &'static str) -> Vec<T> {
        let words = self.words(key);
        let place = self.place_of(key);
        words.iter().filter_map(|word| checked(word, place, key, self.notices)).collect()
    }

    /// A list of checked lines; a single text is a list of one.
    pub(crate) fn checked_list<T: FromStr<Err = TextError>>(&mut self, key: &'static str) -> Vec<T> {
        let nodes = self.list(key);
        let texts = nodes.iter().filter_map(|node| {
            let text = text(node, key, self.notices)?;
            checked(text.trim(), node.place, key, self.notices)
        });
        texts.collect()
    }

    fn place_of(&self, key: &str) -> Place {
        self.members.iter().find(|(other, _)| other.name == key).map_or(self.place, |(key, _)| key.place)
    }

    /// A boolean, however it is written.
    pub(crate) fn truth(&mut self, key: &'static str) -> Option<bool> {
        let node = self.take(key)?;
        let value = node.text().and_then(truth);
        if value.is_none() {
            self.notices
                .error(node.place, format!("{key}: {} where true or false should stand", found(node)));
        }
        value
    }

    /// A whole number.
    pub(crate) fn number<T: TryFrom<i64>>(&mut self, key: &'static str) -> Option<T> {
        let node = self.take(key)?;
        let value = match &node.value {
            Value::Integer { value, .. } => Some(*value),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let value = value.and_then(|value| T::try_from(value).ok());
        if value.is_none() {
            self.notices.error(node.place, format!("{key}: {} where a number should stand", found(node)));
        }
        value
    }

    /// A list of texts; a single text is a list of one.
    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<String> {
        match self.take(key) {
            Some(node) => self.list_of_texts(node, key),
            None => Vec::new(),
        }
    }

    /// As [`Self::texts`]; a single text is split at commas.
    pub(crate) fn words(&mut self, key: &'static str) -> Vec<String> {
        let split = |text: String| -> Vec<String> {
            text.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
        };
        match self.take(key) {
            Some(node) if node.text().is_some() => {
                self.list_of_texts(node, key).into_iter().flat_map(split).collect()
            }
            Some(node) => self.list_of_texts(node, key),
            None => Vec::new(),
        }
    }

    fn list_of_texts(&mut self, node: &Node, key: &str) -> Vec<String> {
        match &node.value {
            Value::List(list) => list.iter().filter_map(|node| text(node, key, self.notices)).collect(),
            _ => text(node, key, self.notices).into_iter().collect(),
        }
    }

    /// The members of a list; a single value is a list of one.
    pub(crate) fn list(&mut self, key: &'static str) -> &'a [Node] {
        match self.take(key) {
            Some(Node { value: Value::List(list), .. }) => list,
            Some(node) => std::slice::from_ref(node),
            None => &[],
        }
    }

    /// All members that nobody asked for, and no complaint about them.
    pub(crate) fn rest(&mut self) -> Vec<&'a (Key, Node)> {
        let members = std::mem::take(&mut self.members);
        members.iter().filter(|(key, _)| !self.asked.contains(&key.name.as_str())).collect()
    }

    /// Keys that are known and of no meaning here; said once where one is there.
    pub(crate) fn without_meaning(&mut self, keys: &[&'static str], why: &str) {
        for key in keys {
            self.asked.push(key);
            if let Some((found, _)) = self.members.iter().find(|(other, _)| other.name == *key) {
                self.notices.warn(found.place, format!("{key} has no effect: {why}"));
            }
        }
    }

    /// Reports what nobody asked for.
    pub(crate) fn finish(self) {
        for (key, _) in self.members {
            if !self.asked.contains(&key.name.as_str()) {
                self.notices.unknown_key(key.place, &key.name, &self.asked);
            }
        }
    }
}

/// Text as checked text; an error where it isn't.
pub(crate) fn checked<T: FromStr<Err = TextError>>(
    text: &str,
    place: Place,
    what: &str,
    notices: &mut Notices,
) -> Option<T> {
    match text.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            notices.error(place, format!("{what}: {error}"));
            None
        }
    }
}

/// A scalar's text; an error for anything else.
pub(crate) fn text(node: &Node, what: &str, notices: &mut Notices) -> Option<String> {
    match node.text() {
        Some(text) => Some(text.to_owned()),
        None => {
            notices.error(node.place, format!("{what}: {} where a string should stand", found(node)));
            None
        }
    }
}

fn found(node: &Node) -> String {
    node.text().map_or_else(|| node.value.kind().to_owned(), shown)
}
