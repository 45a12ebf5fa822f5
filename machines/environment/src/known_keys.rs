//! Keys of a document that nobody knows: where they stand, and what could have been meant.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What stands behind a key.
enum Below {
    /// A value, or a table whose keys are free.
    Anything,
    /// A table, or a list of tables, with these keys.
    Keys(&'static [(&'static str, Below)]),
}

const SOURCE: Below = Below::Keys(&[
    ("repository", Below::Anything),
    ("root", Below::Anything),
    ("revision", Below::Anything),
    ("tag", Below::Anything),
    ("key", Below::Anything),
]);

const DOCUMENT: &[(&str, Below)] = &[
    ("version", Below::Anything),
    ("id", Below::Anything),
    ("architecture", Below::Anything),
    ("context", Below::Anything),
    ("system", SOURCE),
    ("software", SOURCE),
    ("image", Below::Keys(&[("sha256", Below::Anything), ("size", Below::Anything)])),
    ("variables", Below::Anything),
    ("entry", Below::Keys(&[("command", Below::Anything), ("directory", Below::Anything)])),
    (
        "hints",
        Below::Keys(&[
            ("name", Below::Anything),
            ("description", Below::Anything),
            ("servers", Below::Anything),
        ]),
    ),
];

/// A key that nobody knows.
pub(crate) struct Unknown {
    /// With the keys of the tables that it is in, joined by dots.
    pub(crate) key: String,
    /// Where it begins, in bytes.
    pub(crate) offset: usize,
    /// The nearest of the known ones.
    pub(crate) meant: Option<&'static str>,
}

/// The first key that nobody knows.
pub(crate) fn find_unknown(document: &DeTable<'_>) -> Option<Unknown> {
    in_table(document, DOCUMENT, "")
}

fn in_table(table: &DeTable<'_>, known: &'static [(&'static str, Below)], path: &str) -> Option<Unknown> {
    for (key, value) in table {
        let name: &str = key.get_ref();
        let here = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let Some((_, below)) = known.iter().find(|(known, _)| *known == name) else {
            let short = here.chars().take(80).collect();
            return Some(Unknown { key: short, offset: key.span().start, meant: nearest(name, known) });
        };
        if let Below::Keys(keys) = below
            && let Some(unknown) = in_value(value, keys, &here)
        {
            return Some(unknown);
        }
    }
    None
}

fn in_value(
    value: &Spanned<DeValue<'_>>,
    known: &'static [(&'static str, Below)],
    path: &str,
) -> Option<Unknown> {
    match value.get_ref() {
        DeValue::Table(table) => in_table(table, known, path),
        DeValue::Array(values) => values.iter().find_map(|value| in_value(value, known, path)),
        // What is of a wrong kind is told by whoever reads it.
        _ => None,
    }
}

fn nearest(name: &str, known: &'static [(&'static str, Below)]) -> Option<&'static str> {
    let name: String = name.chars().take(40).flat_map(char::to_lowercase).collect();
    let distance = |known: &str| strsim::damerau_levenshtein(&name, known);
    let nearest = known.iter().map(|(known, _)| (distance(known), *known)).min()?;
    (nearest.0 <= 1 + nearest.1.len() / 4).then_some(nearest.1)
}
