//! The list of installed packages of dpkg: paragraphs between empty lines, each of one package.

use std::collections::BTreeMap;

/// Merges paragraph by paragraph, sorted by name as dpkg writes them; `None` if both sides changed one package differently.
///
/// What only the new base changed is taken from it: its files are the ones that show through.
pub(super) fn merge(before: &[u8], after: &[u8], here: &[u8]) -> Option<Vec<u8>> {
    let (before, after, here) = (packages(before)?, packages(after)?, packages(here)?);
    let mut merged = after.clone();
    for (name, ours) in &here {
        match (before.get(name), after.get(name)) {
            (Some(base), _) if base == ours => {}
            (base, theirs) if base == theirs || theirs == Some(ours) => {
                merged.insert(name.clone(), ours);
            }
            _ => return None,
        }
    }
    for (name, base) in &before {
        if !here.contains_key(name) {
            if after.get(name).is_some_and(|theirs| theirs != base) {
                return None;
            }
            merged.remove(name);
        }
    }
    let mut content = Vec::new();
    for paragraph in merged.values() {
        content.extend_from_slice(paragraph);
        content.extend_from_slice(b"\n\n");
    }
    Some(content)
}

/// The name and the architecture of a package.
type Name = (Vec<u8>, Vec<u8>);

/// The paragraphs by name and architecture. Nothing if one has no name.
fn packages(content: &[u8]) -> Option<BTreeMap<Name, &[u8]>> {
    let mut found = BTreeMap::new();
    let mut rest = content;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\n\n").unwrap_or(rest.len());
        let paragraph = rest[..end].trim_ascii_end();
        rest = rest.get(end + 2..).unwrap_or_default();
        if paragraph.is_empty() {
            continue;
        }
        found.insert(
            (field(paragraph, b"Package: ")?, field(paragraph, b"Architecture: ").unwrap_or_default()),
            paragraph,
        );
    }
    Some(found)
}

fn field(paragraph: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    paragraph.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name)).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(packages: &[(&str, &str)]) -> Vec<u8> {
        packages
            .iter()
            .flat_map(|(name, version)| format!("Package: {name}\nVersion: {version}\n\n").into_bytes())
            .collect()
    }

    #[test]
    fn what_was_installed_here_and_what_the_base_updated_are_both_kept() {
        let before = list(&[("bash", "5.1"), ("dash", "1")]);
        let after = list(&[("bash", "5.2"), ("dash", "1")]);
        let here = list(&[("bash", "5.1"), ("dash", "1"), ("tree", "2")]);
        assert_eq!(
            merge(&before, &after, &here),
            Some(list(&[("bash", "5.2"), ("dash", "1"), ("tree", "2")]))
        );
    }

    #[test]
    fn what_was_removed_here_stays_removed() {
        let before = list(&[("bash", "5.1"), ("dash", "1")]);
        assert_eq!(merge(&before, &before, &list(&[("bash", "5.1")])), Some(list(&[("bash", "5.1")])));
    }

    #[test]
    fn two_updates_of_one_package_can_not_be_merged() {
        let (before, after, here) = (list(&[("bash", "1")]), list(&[("bash", "2")]), list(&[("bash", "3")]));
        assert_eq!(merge(&before, &after, &here), None);
        assert_eq!(merge(&before, &after, &list(&[])), None);
    }
}
