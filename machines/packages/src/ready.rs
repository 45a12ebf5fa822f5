//! Ready shopping lists for the usual kinds of systems. They name no mirror: their packages come from where the machine's own do.

/// A list that comes with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyList {
    /// What it is called.
    pub name: &'static str,
    /// Its text, of which the first line says what it is for.
    pub text: &'static str,
}

/// All of them.
pub const READY_LISTS: [ReadyList; 5] = [
    ReadyList { name: "basic", text: include_str!("../lists/basic.toml") },
    ReadyList { name: "worker", text: include_str!("../lists/worker.toml") },
    ReadyList { name: "head", text: include_str!("../lists/head.toml") },
    ReadyList { name: "desktop", text: include_str!("../lists/desktop.toml") },
    ReadyList { name: "container", text: include_str!("../lists/container.toml") },
];

impl ReadyList {
    /// The list of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        READY_LISTS.into_iter().find(|list| list.name == name)
    }

    /// What it is for.
    #[must_use]
    pub fn purpose(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches("# ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_is_named_as_it_names_itself() {
        for list in READY_LISTS {
            let text: toml::Table = list.text.parse().expect("a list is TOML");
            assert_eq!(text.get("name").and_then(toml::Value::as_str), Some(list.name));
            assert!(!text.contains_key("index"), "{} names mirrors", list.name);
            assert!(list.text.starts_with("# ") && list.purpose().ends_with('.'), "{}", list.name);
            assert_eq!(ReadyList::find(list.name), Some(list));
        }
        assert_eq!(ReadyList::find("none"), None);
    }

    #[test]
    fn every_machine_begins_with_the_same_packages() {
        let machine = |name: &str| {
            let text = ReadyList::find(name).expect("a list").text;
            let begin = text.find("machine = [").expect("it has the group");
            text[begin..].split(']').next().map(str::to_owned)
        };
        for name in ["worker", "head", "desktop"] {
            assert_eq!(machine(name), machine("basic"), "{name}");
        }
    }
}
