//! The shopping list: what a system shall have, without versions. Reading the text; what the names mean is found out when
//! there are indexes.

use std::collections::BTreeMap;
use std::path::Path;

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use crate::digest::{Fingerprint, Sha256};
use crate::family::Family;
use crate::index::IndexSource;
use crate::location::MirrorUrl;
use crate::name::{Architecture, IndexId};
use crate::openpgp::Keyring;
use crate::sources::SourcesError;

/// A list, for one architecture.
#[derive(Clone, Debug)]
pub struct ShoppingList {
    /// What it calls itself.
    pub name: String,
    /// Of its text.
    pub sha256: Sha256,
    /// Whose packages it names.
    pub family: Family,
    /// What the system runs on.
    pub architecture: Architecture,
    /// What is asked for, groups of the list resolved, in the order of the list.
    pub requests: Vec<Request>,
    /// Names that must not be there.
    pub exclude: Exclusions,
    /// Names that are chosen where something else would do as well.
    pub prefer: Vec<String>,
    /// Whether what packages recommend is wanted too.
    pub recommends: bool,
    /// Whether essential packages come without being asked for.
    pub essential: bool,
    /// The indexes that the list names; none means those of the machine.
    pub indexes: Vec<ListedIndex>,
}

/// One line of what is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// As the list says it.
    pub text: String,
    /// What it means.
    pub subject: Subject,
}

/// What a request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A group that the indexes define: `task:ssh-server`, `priority:standard`, `group:core`.
    Group(String),
    /// A package, or what packages provide.
    Package {
        /// Its name.
        name: String,
        /// Which versions of it: an operator (`=`, `>=`, `<=`, `>>`, `<<`) and a version.
        version: Option<(String, String)>,
        /// The index that it is to come from.
        index: Option<IndexId>,
    },
}

/// Names that must not be there; `*` and `?` stand for any characters.
#[derive(Clone, Debug, Default)]
pub struct Exclusions {
    patterns: Vec<String>,
    set: GlobSet,
}

/// An index as the list names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ListedIndex {
    id: Option<IndexId>,
    mirror: MirrorUrl,
    #[serde(default)]
    suite: String,
    #[serde(default)]
    components: Vec<String>,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    fingerprints: Vec<Fingerprint>,
    #[serde(default)]
    unsigned: bool,
    #[serde(default)]
    ignore_age: bool,
    security: Option<bool>,
}

/// A text that is not a list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Not TOML, or not with the right keys and values.
    #[error("not a list of packages")]
    Syntax(#[source] Box<toml::de::Error>),
    /// A request can't be understood.
    #[error("'{}' is not a request for packages: write a name, 'name = version', 'name >= version', 'name/index' or '@group'", .0.escape_debug())]
    Request(String),
    /// A group that is nowhere.
    #[error("group '@{name}' is not defined{}", suggested(suggestions))]
    Group {
        /// Its name.
        name: String,
        /// What could be meant.
        suggestions: Vec<String>,
    },
    /// A pattern of what is to be left out.
    #[error("'{pattern}' is not a pattern of names")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: globset::Error,
    },
    /// Nothing says what the system runs on.
    #[error("the list names no architecture")]
    NoArchitecture,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Text {
    name: String,
    family: Option<Family>,
    architecture: Option<Architecture>,
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    prefer: Vec<String>,
    #[serde(default)]
    recommends: bool,
    #[serde(default = "yes")]
    essential: bool,
    #[serde(default)]
    groups: BTreeMap<String, Vec<String>>,
    #[serde(default, rename = "only")]
    only: BTreeMap<Architecture, Additions>,
    #[serde(default, rename = "index")]
    indexes: Vec<ListedIndex>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Additions {
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
}

fn yes() -> bool {
    true
}

impl ShoppingList {
    /// Reads a list's text. `architecture` counts before the one in the list, and `fallback` if there is none.
    ///
    /// # Errors
    /// If it isn't one.
    pub fn parse(
        text: &str,
        architecture: Option<&Architecture>,
        fallback: Option<&Architecture>,
    ) -> Result<Self, ListError> {
        let sha256 = Sha256::of(text.as_bytes());
        let text: Text = toml::from_str(text).map_err(|error| ListError::Syntax(Box::new(error)))?;
        let architecture = architecture.or(text.architecture.as_ref()).or(fallback);
        let architecture = architecture.ok_or(ListError::NoArchitecture)?.clone();
        let additions = text.only.get(&architecture);
        let (mut requests, mut open) = (Vec::new(), Vec::new());
        for word in text.include.iter().chain(additions.iter().flat_map(|only| &only.include)) {
            take(word, &text.groups, &mut open, &mut requests)?;
        }
        let exclude = text.exclude.iter().chain(additions.iter().flat_map(|only| &only.exclude));
        Ok(Self {
            name: text.name,
            sha256,
            family: text.family.unwrap_or(Family::Debian),
            architecture,
            requests,
            exclude: Exclusions::new(exclude.cloned().collect())?,
            prefer: text.prefer,
            recommends: text.recommends,
            essential: text.essential,
            indexes: text.indexes,
        })
    }
}

/// Takes a word of the list apart; groups of the list become what is in them.
fn take(
    word: &str,
    groups: &BTreeMap<String, Vec<String>>,
    open: &mut Vec<String>,
    requests: &mut Vec<Request>,
) -> Result<(), ListError> {
    let Some(name) = word.strip_prefix('@') else {
        let request = Request::parse(word)?;
        if !requests.contains(&request) {
            requests.push(request);
        }
        return Ok(());
    };
    let Some(members) = groups.get(name) else {
        let suggestions = crate::suggest::similar(name, groups.keys().map(String::as_str), 3);
        return Err(ListError::Group { name: name.to_owned(), suggestions });
    };
    // A group may name others, and they it.
    if open.iter().any(|other| other == name) {
        return Ok(());
    }
    open.push(name.to_owned());
    for member in members {
        take(member, groups, open, requests)?;
    }
    open.pop();
    Ok(())
}

impl Request {
    /// Reads one line of what is asked for.
    ///
    /// # Errors
    /// If it has a wrong form.
    pub fn parse(text: &str) -> Result<Self, ListError> {
        let text = text.trim();
        let wrong = || ListError::Request(text.to_owned());
        let subject = |subject| Self { text: text.to_owned(), subject };
        let is_word = |word: &str| {
            !word.is_empty()
                && word.len() < 500
                && !word.starts_with('-')
                && !word.chars().any(|c| c.is_whitespace() || c.is_control())
        };
        if ["task:", "priority:", "group:"].iter().any(|prefix| text.starts_with(prefix)) {
            return if is_word(text) { Ok(subject(Subject::Group(text.to_owned()))) } else { Err(wrong()) };
        }
        if let Some(at) = text.find(['<', '>', '=']) {
            let (name, rest) = text.split_at(at);
            let end = rest.find(|c: char| !"<>=".contains(c)).ok_or_else(wrong)?;
            let (operator, version) = (&rest[..end], rest[end..].trim());
            let name = name.trim();
            if !["=", ">=", "<=", ">>", "<<"].contains(&operator) || !is_word(name) || !is_word(version) {
                return Err(wrong());
            }
            let version = Some((operator.to_owned(), version.to_owned()));
            return Ok(subject(Subject::Package { name: name.to_owned(), version, index: None }));
        }
        if !is_word(text) {
            return Err(wrong());
        }
        // A file's name, of an RPM package, begins with a slash.
        if let Some((name, index)) = text.split_once('/').filter(|(name, _)| !name.is_empty()) {
            let index = index.parse().map_err(|_| wrong())?;
            return Ok(subject(Subject::Package {
                name: name.to_owned(),
                version: None,
                index: Some(index),
            }));
        }
        Ok(subject(Subject::Package { name: text.to_owned(), version: None, index: None }))
    }
}

impl Exclusions {
    fn new(patterns: Vec<String>) -> Result<Self, ListError> {
        let mut set = GlobSetBuilder::new();
        for pattern in &patterns {
            set.add(
                Glob::new(pattern)
                    .map_err(|source| ListError::Pattern { pattern: pattern.clone(), source })?,
            );
        }
        let wrong = |source| ListError::Pattern { pattern: patterns.join(" "), source };
        Ok(Self { set: set.build().map_err(wrong)?, patterns })
    }

    /// The pattern that a name is left out by.
    #[must_use]
    pub fn matching(&self, name: &str) -> Option<&str> {
        let at = *self.set.matches(name).first()?;
        self.patterns.get(at).map(String::as_str)
    }
}

impl ListedIndex {
    /// With its keys; files are looked for beside the list.
    ///
    /// # Errors
    /// If a file of keys can't be read.
    pub fn source(&self, beside: &Path) -> Result<IndexSource, SourcesError> {
        let mut keyring = Keyring::default();
        for key in &self.keys {
            keyring.extend(crate::sources::keyring(&beside.join(key))?);
        }
        if !self.fingerprints.is_empty() {
            keyring.retain(&self.fingerprints);
        }
        let id = match &self.id {
            Some(id) => id.clone(),
            None => crate::sources::id_of(&self.suite),
        };
        Ok(IndexSource {
            id,
            mirror: self.mirror.clone(),
            suite: self.suite.clone(),
            components: self.components.clone(),
            keyring,
            unsigned: self.unsigned,
            check_age: !self.ignore_age,
            security: self.security,
        })
    }
}

/// `, did you mean a or b?`
pub(crate) fn suggested(suggestions: &[String]) -> String {
    match suggestions {
        [] => String::new(),
        [one] => format!("; did you mean '{one}'?"),
        [all @ .., last] => format!("; did you mean '{}' or '{last}'?", all.join("', '")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
name = "x"
include = ["a", "b >= 2", "c/backports", "@tools", "task:ssh-server"]
exclude = ["exim*"]

[groups]
tools = ["d", "@more"]
more = ["e", "@tools"]

[only.arm64]
include = ["f"]
exclude = ["a"]

[[index]]
mirror = "http://mirror.example.org/debian"
suite = "stable"
components = ["main"]
keys = ["keys.gpg"]
"#;

    fn parse(text: &str, architecture: &str) -> Result<ShoppingList, ListError> {
        let architecture = Architecture::new(architecture).expect("because it is one");
        ShoppingList::parse(text, Some(&architecture), None)
    }

    #[test]
    fn groups_and_architectures_are_resolved() {
        let requests = |architecture| {
            let list = parse(TEXT, architecture).expect("because it is a list");
            list.requests.into_iter().map(|request| request.text).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(requests("amd64"), "a b >= 2 c/backports d e task:ssh-server");
        assert_eq!(requests("arm64"), "a b >= 2 c/backports d e task:ssh-server f");
        let list = parse(TEXT, "arm64").expect("because it is a list");
        assert_eq!(list.exclude.matching("exim4-base"), Some("exim*"));
        assert_eq!((list.exclude.matching("a"), list.exclude.matching("b")), (Some("a"), None));
    }

    #[test]
    fn mistakes_are_told() {
        let told = |text: &str| parse(text, "amd64").expect_err("because it is none").to_string();
        assert_eq!(told("includ = []"), "not a list of packages");
        assert_eq!(
            told("name = 'x'\ninclude = ['@tols']\n[groups]\ntools = []"),
            "group '@tols' is not defined; did you mean 'tools'?"
        );
        for wrong in ["", "a b", "-o", "a =", "= 1", "a => 1", "a/", "a\\n"] {
            assert!(Request::parse(wrong).is_err() || wrong == "a\\n", "{wrong}");
        }
        assert!(matches!(ShoppingList::parse("name = 'x'", None, None), Err(ListError::NoArchitecture)));
    }
}
