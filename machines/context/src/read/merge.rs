//! Several parts of cloud-config as one. Unless a part says otherwise by `merge_how`, its keys replace those of the parts
//! before it, as cloud-init does it.

use crate::value::{Key, Node, Value};

/// How one part is merged into those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rules {
    lists: Lists,
    keep: bool,
    recurse_maps: bool,
    recurse_lists: bool,
    append_text: bool,
}

/// What becomes of two lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Lists {
    #[default]
    Replace,
    Append,
    Prepend,
    Keep,
}

/// Takes `later` on top of what is there, by the rules that its header or it itself gives.
pub(super) fn merge(earlier: &mut Option<Node>, later: Node, header: Option<&str>) {
    let rules = Rules::of(&later, header);
    match earlier {
        Some(earlier) => rules.merge(earlier, later),
        None => *earlier = Some(later),
    }
}

impl Rules {
    fn of(node: &Node, header: Option<&str>) -> Self {
        let mut rules = Self::default();
        header.into_iter().for_each(|header| rules.read_text(header));
        let Value::Map(members) = &node.value else { return rules };
        for (key, value) in members {
            if matches!(key.name.as_str(), "merge_how" | "merge_type") {
                rules = Self::default();
                rules.read(value);
            }
        }
        rules
    }

    /// `list(append)+dict(recurse_array)+str()`, or the same as a list of `{name, settings}`.
    fn read(&mut self, node: &Node) {
        match &node.value {
            Value::List(list) => {
                for node in list {
                    let Value::Map(members) = &node.value else { continue };
                    let find =
                        |name: &str| members.iter().find(|(key, _)| key.name == name).map(|(_, node)| node);
                    let name = find("name").and_then(Node::text).unwrap_or_default();
                    let settings = match find("settings").map(|node| &node.value) {
                        Some(Value::List(list)) => list.iter().filter_map(Node::text).collect(),
                        _ => Vec::new(),
                    };
                    self.set(name, &settings);
                }
            }
            _ => self.read_text(node.text().unwrap_or_default()),
        }
    }

    fn read_text(&mut self, text: &str) {
        for part in text.split('+') {
            let (name, settings) =
                part.trim().trim_end_matches(')').split_once('(').unwrap_or((part.trim(), ""));
            let settings: Vec<&str> = settings.split(',').map(str::trim).collect();
            self.set(name, &settings);
        }
    }

    fn set(&mut self, name: &str, settings: &[&str]) {
        for setting in settings {
            match (name, *setting) {
                ("list", "append") => self.lists = Lists::Append,
                ("list", "prepend") => self.lists = Lists::Prepend,
                ("list", "no_replace") => self.lists = Lists::Keep,
                ("list", "replace") => self.lists = Lists::Replace,
                ("dict", "no_replace") => self.keep = true,
                ("dict", "recurse_dict") => self.recurse_maps = true,
                ("dict", "recurse_array" | "recurse_list") => self.recurse_lists = true,
                ("str", "append") => self.append_text = true,
                _ => {}
            }
        }
    }

    fn merge(self, earlier: &mut Node, later: Node) {
        let (Value::Map(old), Value::Map(new)) = (&mut earlier.value, later.value) else { return };
        for (key, node) in new {
            self.member(old, key, node);
        }
    }

    fn member(self, old: &mut Vec<(Key, Node)>, key: Key, node: Node) {
        let Some((_, there)) = old.iter_mut().find(|(other, _)| other.name == key.name) else {
            return old.push((key, node));
        };
        match (&mut there.value, node.value) {
            (Value::Map(_), value @ Value::Map(_)) if self.recurse_maps => {
                self.merge(there, Node { place: node.place, value });
            }
            (Value::List(earlier), Value::List(mut later))
                if self.recurse_lists || self.lists != Lists::Replace =>
            {
                match self.lists {
                    Lists::Append => earlier.append(&mut later),
                    Lists::Prepend => {
                        later.append(earlier);
                        *earlier = later;
                    }
                    Lists::Keep => {}
                    Lists::Replace => *earlier = later,
                }
            }
            (Value::String(earlier), Value::String(later)) if self.append_text => *earlier += &later,
            (_, value) if !self.keep => *there = Node { place: node.place, value },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::yaml;

    fn merged(parts: &[&str]) -> Node {
        let mut all = None;
        parts.iter().for_each(|part| merge(&mut all, yaml::parse(part).unwrap(), None));
        all.unwrap()
    }

    fn list(node: &Node, key: &str) -> Vec<String> {
        let Value::Map(members) = &node.value else { panic!("a mapping") };
        let Value::List(list) = &members.iter().find(|(name, _)| name.name == key).unwrap().1.value else {
            panic!("a list")
        };
        list.iter().map(|node| node.text().unwrap().to_owned()).collect()
    }

    #[test]
    fn later_keys_replace_unless_told_otherwise() {
        assert_eq!(list(&merged(&["runcmd: [a]\nx: 1", "runcmd: [b]"]), "runcmd"), ["b"]);
        let how = "merge_how: 'list(append)+dict(recurse_array)+str()'\nruncmd: [b]";
        assert_eq!(list(&merged(&["runcmd: [a]", how]), "runcmd"), ["a", "b"]);
        let how = "merge_how:\n- name: list\n  settings: [prepend]\nruncmd: [b]";
        assert_eq!(list(&merged(&["runcmd: [a]", how]), "runcmd"), ["b", "a"]);
        assert_eq!(
            list(&merged(&["runcmd: [a]", "merge_how: dict(no_replace)\nruncmd: [b]"]), "runcmd"),
            ["a"]
        );
    }
}
