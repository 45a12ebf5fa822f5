//! TOML into [`Node`]s.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Key, MAX_DEPTH, MAX_NODES, Node, SyntaxError, Value};
use crate::place::Place;

/// Parses a TOML document; places are relative to `text`.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let lines = Lines::new(text);
    let root = DeTable::parse(text).map_err(|error| SyntaxError {
        place: error.span().map(|span| lines.place(span.start)).unwrap_or_default(),
        message: error.message().replace('\n', ", "),
    })?;
    Conversion { lines, nodes: 0 }.table(root.get_ref(), Place { line: 1, column: 1, part: 0 }, 0)
}

/// Byte offsets to lines and columns.
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1));
        Self { text, starts: starts.collect() }
    }

    pub(crate) fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        Place { part: 0, line: line as u32, column: column as u32 }
    }
}

struct Conversion<'a> {
    lines: Lines<'a>,
    nodes: usize,
}

impl Conversion<'_> {
    fn table(&mut self, table: &DeTable<'_>, place: Place, depth: usize) -> Result<Node, SyntaxError> {
        // The library keeps tables sorted by key; people's order is the one of the places.
        let mut members: Vec<_> = table.iter().collect();
        members.sort_by_key(|(key, _)| key.span().start);
        let mut map = Vec::with_capacity(members.len());
        for (key, value) in members {
            let name = key.get_ref().to_string();
            let key = Key { place: self.lines.place(key.span().start), name };
            map.push((key, self.value(value, depth + 1)?));
        }
        Ok(Node { place, value: Value::Map(map) })
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, depth: usize) -> Result<Node, SyntaxError> {
        let place = self.lines.place(value.span().start);
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(SyntaxError { place, message: "nested too deeply, or too many values".to_owned() });
        }
        let value = match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(value) => Value::Integer { value, text: self.written(value, number.radix()) },
                Err(_) => return Err(SyntaxError { place, message: "a number beyond 64 bits".to_owned() }),
            },
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(value) => Value::Float { value, text: number.as_str().to_owned() },
                Err(_) => return Err(SyntaxError { place, message: "not a number".to_owned() }),
            },
            DeValue::Boolean(value) => Value::Bool { value: *value, text: value.to_string() },
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Array(list) => {
                Value::List(list.iter().map(|value| self.value(value, depth + 1)).collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => return self.table(table, place, depth),
        };
        Ok(Node { place, value })
    }

    fn written(&self, value: i64, radix: u32) -> String {
        match radix {
            8 => format!("0{value:o}"),
            _ => value.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_columns() {
        let node = parse("# first\n[machine]\nhostname = \"é\"\ntime = 3\n").unwrap();
        let Value::Map(map) = node.value else { panic!("a table") };
        let Value::Map(inner) = &map[0].1.value else { panic!("a table") };
        assert_eq!(inner[0].0.place, Place { part: 0, line: 3, column: 1 });
        assert_eq!(inner[0].1.place, Place { part: 0, line: 3, column: 12 });
        assert_eq!(inner[1].1.place.line, 4);
    }

    #[test]
    fn errors_have_a_line() {
        assert_eq!(parse("a = 1\nb = \n").unwrap_err().place.line, 2);
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = format!("a = {}{}", "[".repeat(60), "]".repeat(60));
        assert!(parse(&text).is_err());
    }
}
