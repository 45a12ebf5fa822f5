//! INI as Python's ConfigParser reads it: sections, `key = value` or `key: value`, continued by indented lines, comments by
//! `#` and `;`. Own code, since no library keeps the lines.

use crate::place::{Notices, Place};
use crate::value::{Key, Node, Value};

/// A section: its name in small letters, and its keys, also in small letters.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) node: Node,
}

/// Reads text; what stands before the first section is passed over.
pub(super) fn parse(text: &str, notices: &mut Notices) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let place = Place { part: notices.part(), line: number, column: 0 };
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) || trimmed.starts_with("rem ") {
            continue;
        }
        if let Some(name) = heading(trimmed) {
            let name = name.to_ascii_lowercase();
            sections.push(Section { place, name, node: Node { place, value: Value::Map(Vec::new()) } });
            continue;
        }
        let Some(Section { node: Node { value: Value::Map(members), .. }, .. }) = sections.last_mut() else {
            continue;
        };
        if line.starts_with([' ', '\t'])
            && let Some((_, Node { value: Value::String(value), .. })) = members.last_mut()
        {
            value.push('\n');
            value.push_str(trimmed);
            continue;
        }
        let Some(at) = trimmed.find(['=', ':']) else {
            notices.error(place, format!("{} is no key = value", crate::place::shown(trimmed)));
            continue;
        };
        let name = trimmed[..at].trim().to_ascii_lowercase();
        let value = without_comment(trimmed[at + 1..].trim());
        let node = Node { place, value: Value::String(value.to_owned()) };
        members.retain(|(key, _)| key.name != name);
        members.push((Key { place, name }, node));
        if members.len() > 1000 {
            notices.error(place, "more than 1000 keys in one section");
            break;
        }
    }
    sections
}

/// The name in a line such as `[cernvm]`.
pub(super) fn heading(line: &str) -> Option<&str> {
    let name = line.strip_prefix('[')?.strip_suffix(']')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_ ".contains(&byte);
    (!name.is_empty() && name.len() <= 60 && name.bytes().all(plain)).then_some(name)
}

/// A semicolon behind a blank begins a comment.
fn without_comment(value: &str) -> &str {
    value.find(" ;").map_or(value, |at| value[..at].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::fields::Fields;

    #[test]
    fn sections_keys_comments_and_continued_lines() {
        let text = "junk\n[CernVM]\nUsers = a:b:c ; who\n# comment\nlong: one\n   two\nnothing\n[next]\n";
        let mut notices = Notices::default();
        let sections = parse(text, &mut notices);
        let names: Vec<&str> = sections.iter().map(|section| section.name.as_str()).collect();
        assert_eq!(names, ["cernvm", "next"]);
        let mut rest = Notices::default();
        let mut fields = Fields::of(&sections[0].node, "cernvm", &mut rest).unwrap();
        assert_eq!(fields.text("users").as_deref(), Some("a:b:c"));
        assert_eq!(fields.text("long").as_deref(), Some("one\ntwo"));
        assert_eq!(notices.into_list()[0].place.line, 7);
    }
}
