//! Documents that endpoints answer with, as a tree of elements. Attributes and namespaces say nothing here.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};

/// The deepest that elements lie in one another.
const DEEPEST: usize = 32;

/// An element: its name, and the text or the elements in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    name: String,
    text: String,
    children: Vec<Self>,
}

/// Bytes that are no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DocumentError(String);

impl Element {
    /// Reads a document: its outermost element.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let unsound = |reason: &dyn ToString| DocumentError(reason.to_string());
        let mut reader = Reader::from_reader(bytes);
        let mut open: Vec<Self> = Vec::new();
        let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        loop {
            let closed = match reader.read_event().map_err(|error| unsound(&error))? {
                Event::Start(start) => {
                    if open.len() >= DEEPEST {
                        return Err(unsound(&"its elements lie too deep in one another"));
                    }
                    open.push(Self { name: name(start.local_name().as_ref()), ..Self::default() });
                    None
                }
                Event::Empty(start) => {
                    Some(Self { name: name(start.local_name().as_ref()), ..Self::default() })
                }
                Event::End(_) => open.pop(),
                Event::Text(text) => {
                    if let Some(inside) = open.last_mut() {
                        inside.text.push_str(&text.decode().map_err(|error| unsound(&error))?);
                    }
                    None
                }
                Event::CData(text) => {
                    if let Some(inside) = open.last_mut() {
                        inside.text.push_str(&String::from_utf8_lossy(&text));
                    }
                    None
                }
                Event::GeneralRef(entity) => {
                    if let Some(inside) = open.last_mut() {
                        inside.text.push_str(&resolve(&entity)?);
                    }
                    None
                }
                Event::Eof => return Err(unsound(&"it ends too early")),
                _ => None,
            };
            if let Some(element) = closed {
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => return Ok(element),
                }
            }
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first element of a name in it.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first element of a name in it.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim())
    }

    /// The items of a list in it.
    pub fn items(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.child(name)
            .into_iter()
            .flat_map(|list| list.children.iter().filter(|child| child.name == "item"))
    }
}

fn resolve(entity: &BytesRef<'_>) -> Result<String, DocumentError> {
    let unknown = || DocumentError("it has an entity that is not known".to_owned());
    if let Some(character) = entity.resolve_char_ref().map_err(|_| unknown())? {
        return Ok(character.to_string());
    }
    let name = entity.decode().map_err(|_| unknown())?;
    resolve_predefined_entity(&name).map(str::to_owned).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_trees() {
        let bytes = br#"<?xml version="1.0"?><!-- x --><R xmlns="urn:x"><a>1 &lt; &#50;<![CDATA[&]]></a><l><item><b/></item><item>2</item></l></R>"#;
        let document = Element::read(bytes).unwrap();
        assert_eq!((document.name(), document.text("a")), ("R", Some("1 < 2&")));
        assert_eq!(document.items("l").count(), 2);
        assert!(document.items("l").next().unwrap().child("b").is_some());
        assert_eq!(document.items("x").count(), 0);
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let deep = "<a>".repeat(100);
        for text in
            ["", "text", "<a>", "<a></b>", "<a>&x;</a>", "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", &deep]
        {
            assert!(Element::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
