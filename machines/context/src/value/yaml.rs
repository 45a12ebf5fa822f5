//! YAML into [`Node`]s: the scalars as YAML 1.1 means them, since that is what cloud-init reads (`yes`, `0644`).
//!
//! An alias is a copy of what it names, and every copy counts against the bound, so that a few lines can't become gigabytes.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::{Key, MAX_DEPTH, MAX_NODES, Node, SyntaxError, Value};
use crate::place::{Place, shown};

/// More keys in one mapping are refused.
const MAX_KEYS: usize = 4096;
/// So many bytes of text count as much as a value, so that copies of a long text are bounded too.
const TEXT_PER_NODE: usize = 256;

/// Parses the first document of a YAML stream; places are relative to `text`. An empty document is [`Value::Null`].
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut events = Parser::new_from_str(text);
    let mut builder = Builder::default();
    loop {
        let (event, span) = match events.next() {
            None => break,
            Some(Ok(pair)) => pair,
            Some(Err(error)) => {
                let place = Place {
                    part: 0,
                    line: error.marker().line() as u32,
                    column: error.marker().col() as u32 + 1,
                };
                return Err(SyntaxError { place, message: error.info().to_owned() });
            }
        };
        if builder.take(event, place(span))? {
            break;
        }
    }
    let start = Place { part: 0, line: 1, column: 1 };
    Ok(builder.root.unwrap_or(Node { place: start, value: Value::Null }))
}

fn place(span: Span) -> Place {
    Place { part: 0, line: span.start.line() as u32, column: span.start.col() as u32 + 1 }
}

/// A list or mapping whose end has not come yet.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<Key>,
    merged: Vec<(Key, Node)>,
    /// How much it holds, all levels together.
    size: usize,
}

#[derive(Default)]
struct Builder {
    stack: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder {
    /// Takes the next event; whether the document has ended.
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<bool, SyntaxError> {
        match event {
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
            Event::StreamEnd | Event::DocumentEnd => return Ok(true),
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref(), place)?;
                self.finished(Node { place, value }, anchor, 1 + text.len() / TEXT_PER_NODE)?;
            }
            Event::SequenceStart(anchor, _) => self.open(place, Value::List(Vec::new()), anchor)?,
            Event::MappingStart(anchor, _) => self.open(place, Value::Map(Vec::new()), anchor)?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(mut open) = self.stack.pop() {
                    closed(&mut open);
                    self.finished(open.node, open.anchor, open.size)?;
                }
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(SyntaxError { place, message: "an alias for nothing".to_owned() });
                };
                self.finished(Node { place, value: node.value }, 0, size)?;
            }
        }
        Ok(false)
    }

    fn open(&mut self, place: Place, value: Value, anchor: usize) -> Result<(), SyntaxError> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(SyntaxError { place, message: format!("nested more than {MAX_DEPTH} levels deep") });
        }
        self.stack.push(Open { node: Node { place, value }, anchor, key: None, merged: Vec::new(), size: 1 });
        Ok(())
    }

    fn finished(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), SyntaxError> {
        self.nodes += size;
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values");
            return Err(SyntaxError { place: node.place, message });
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.size += size;
        match (&mut open.node.value, open.key.take()) {
            (Value::Map(_), Some(key)) => insert(open, key, node)?,
            (Value::Map(_), None) => {
                let Some(name) = node.text() else {
                    let message = format!("{} can't be a key", node.value.kind());
                    return Err(SyntaxError { place: node.place, message });
                };
                open.key = Some(Key { place: node.place, name: name.to_owned() });
            }
            (Value::List(members), _) => members.push(node),
            _ => {}
        }
        Ok(())
    }
}

/// A member of a mapping; what `<<` brings is kept apart, since members that are written out come before it.
fn insert(open: &mut Open, key: Key, node: Node) -> Result<(), SyntaxError> {
    let Value::Map(members) = &mut open.node.value else { return Ok(()) };
    if key.name == "<<" {
        let sources = if let Value::List(list) = node.value { list } else { vec![node] };
        for source in sources {
            if let Value::Map(source) = source.value {
                open.merged.extend(source);
            }
        }
        return Ok(());
    }
    if members.len() >= MAX_KEYS {
        return Err(SyntaxError {
            place: key.place,
            message: format!("more than {MAX_KEYS} keys in one mapping"),
        });
    }
    if let Some((first, _)) = members.iter().find(|(other, _)| other.name == key.name) {
        let message = format!("the key {} is there already, in line {}", shown(&key.name), first.place.line);
        return Err(SyntaxError { place: key.place, message });
    }
    members.push((key, node));
    Ok(())
}

/// Ends a mapping: what was merged in fills the gaps.
fn closed(open: &mut Open) {
    if let Value::Map(members) = &mut open.node.value {
        for (key, node) in open.merged.drain(..).take(MAX_KEYS) {
            if members.iter().all(|(other, _)| other.name != key.name) {
                members.push((key, node));
            }
        }
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Result<Value, SyntaxError> {
    if let Some(tag) = tag.filter(|tag| tag.is_yaml_core_schema()) {
        return match tag.suffix.as_str() {
            "binary" => {
                let packed: String = text.split_ascii_whitespace().collect();
                let bytes = STANDARD.decode(packed);
                bytes.map(Value::Binary).map_err(|_| SyntaxError {
                    place,
                    message: "marked as !!binary, but not base64".to_owned(),
                })
            }
            "str" => Ok(Value::String(text.to_owned())),
            _ => Ok(plain(text)),
        };
    }
    Ok(if style == ScalarStyle::Plain { plain(text) } else { Value::String(text.to_owned()) })
}

/// A plain scalar in the sense of YAML 1.1's usual types.
fn plain(text: &str) -> Value {
    let own = || text.to_owned();
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Value::Bool { value: true, text: own() };
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Value::Bool { value: false, text: own() };
        }
        _ => {}
    }
    if let Some(value) = integer(text) {
        return Value::Integer { value, text: own() };
    }
    let numeric =
        text.contains('.') && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    match text.parse() {
        Ok(value) if numeric => Value::Float { value, text: own() },
        _ => Value::String(own()),
    }
}

fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x', ..] => (&digits[2..], 16),
        [b'0', b'o', ..] => (&digits[2..], 8),
        [b'0', b'b', ..] => (&digits[2..], 2),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if !digits.bytes().next()?.is_ascii_alphanumeric() {
        return None;
    }
    let value = i64::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(node: &'a Node, key: &str) -> &'a Value {
        let Value::Map(members) = &node.value else { panic!("a mapping") };
        &members.iter().find(|(name, _)| name.name == key).unwrap().1.value
    }

    #[test]
    fn scalars_are_those_of_yaml_1_1() {
        let node =
            parse("a: 0644\nb: yes\nc: '0644'\nd: 1.10\ne: ~\nf: 1:30\ng: |\n  x\n  y\nh: !!binary aGk=\n")
                .unwrap();
        assert_eq!(*at(&node, "a"), Value::Integer { value: 0o644, text: "0644".into() });
        assert_eq!(*at(&node, "b"), Value::Bool { value: true, text: "yes".into() });
        assert_eq!(*at(&node, "c"), Value::String("0644".into()));
        assert_eq!(*at(&node, "d"), Value::Float { value: 1.1, text: "1.10".into() });
        assert_eq!(*at(&node, "e"), Value::Null);
        assert_eq!(*at(&node, "f"), Value::String("1:30".into()));
        assert_eq!(*at(&node, "g"), Value::String("x\ny\n".into()));
        assert_eq!(*at(&node, "h"), Value::Binary(b"hi".to_vec()));
    }

    #[test]
    fn merges_and_aliases_are_followed() {
        let node = parse("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  z: 3\n").unwrap();
        let Value::Map(members) = at(&node, "use") else { panic!("a mapping") };
        assert_eq!(members.len(), 3);
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let list = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} [{list}]\n");
        }
        assert!(parse(&text).unwrap_err().message.contains("more than"));
    }

    #[test]
    fn duplicates_and_bad_syntax_have_a_line() {
        assert_eq!(parse("a: 1\nb: 2\na: 3\n").unwrap_err().place.line, 3);
        assert!(parse("a: [1,\nb: }\n").unwrap_err().place.line >= 2);
        assert!(parse(&"[".repeat(5000)).is_err());
    }
}
