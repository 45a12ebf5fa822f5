//! Compares two listings and says readably what differs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The most differing paths that are written out.
const SHOWN: usize = 20;

/// What differs between two listings, field by field; `None` if nothing does.
///
/// A line begins with its path and a tab (or with `#root` and a name); lines are matched by path, their order does not
/// matter. `ignored` says which fields may differ: it gets the path and the field's place in the line, from 0.
pub fn differences(expected: &str, actual: &str, ignored: &dyn Fn(&str, usize) -> bool) -> Option<String> {
    let (expected, actual) = (by_path(expected), by_path(actual));
    let mut report = Vec::new();
    for (path, line) in &expected {
        match actual.get(path) {
            None => report.push(format!("{path}\n  missing, expected: {line}")),
            Some(other) => report.extend(compare(path, line, other, ignored)),
        }
    }
    let surplus = actual.iter().filter(|(path, _)| !expected.contains_key(*path));
    report.extend(surplus.map(|(path, line)| format!("{path}\n  not expected: {line}")));
    if report.is_empty() {
        return None;
    }
    let mut text = format!("{} of {} paths differ\n", report.len(), expected.len().max(actual.len()));
    for entry in report.iter().take(SHOWN) {
        // Writing to a string does not fail.
        let _written = writeln!(text, "{entry}");
    }
    if report.len() > SHOWN {
        text.push_str("…\n");
    }
    Some(text)
}

/// Panics with the differences, if there are any.
///
/// # Panics
/// If the listings differ in a field that is not ignored.
pub fn assert_same(expected: &str, actual: &str, ignored: &dyn Fn(&str, usize) -> bool) {
    if let Some(report) = differences(expected, actual, ignored) {
        panic!("{report}");
    }
}

fn by_path(text: &str) -> BTreeMap<String, &str> {
    text.lines()
        .map(|line| {
            let words = if line.starts_with("#root\t") { 2 } else { 1 };
            (line.split('\t').take(words).collect::<Vec<_>>().join(" "), line)
        })
        .collect()
}

fn compare(
    path: &str,
    expected: &str,
    actual: &str,
    ignored: &dyn Fn(&str, usize) -> bool,
) -> Option<String> {
    let (expected, actual): (Vec<&str>, Vec<&str>) =
        (expected.split('\t').collect(), actual.split('\t').collect());
    let mut text = String::new();
    for at in 0..expected.len().max(actual.len()) {
        let (wanted, got) = (expected.get(at), actual.get(at));
        if wanted != got && !ignored(path, at) {
            let absent = &"(nothing)";
            let (wanted, got) = (wanted.unwrap_or(absent), got.unwrap_or(absent));
            text.push_str(&format!("\n  field {at}: expected {wanted}\n           but got  {got}"));
        }
    }
    (!text.is_empty()).then(|| format!("{path}{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &dyn Fn(&str, usize) -> bool = &|_, _| false;

    #[test]
    fn equal_listings_have_no_differences() {
        assert_eq!(differences("/\td\n/a\tf\t1\n", "/a\tf\t1\n/\td\n", ALL), None);
        assert_eq!(differences("/a\tf\t1\n", "/a\tf\t2\n", &|path, at| path == "/a" && at == 2), None);
    }

    #[test]
    fn what_differs_is_named() {
        let report = differences("#root\tx\t1\n/a\tf\t1\n/b\tf\n", "#root\tx\t2\n/a\tf\n/c\tf\n", ALL);
        let report = report.expect("because they differ");
        for part in [
            "4 of 3 paths",
            "#root x\n  field 2: expected 1",
            "but got  (nothing)",
            "/b\n  missing",
            "/c\n  not expected",
        ] {
            assert!(report.contains(part), "{part} in {report}");
        }
    }
}
