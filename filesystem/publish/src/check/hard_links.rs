//! Checks the hard link groups of a catalog: same directory, same file, as many names as counted.

use std::collections::{BTreeMap, HashMap};

use varve_content::PathKey;
use varve_repository::{Node, RepositoryPath};

use super::catalog::Row;
use super::finding::FindingKind;

/// Reports what is wrong with the link counts of the catalog's rows.
pub(super) fn check(rows: &[Row], find: &mut dyn FnMut(FindingKind, &RepositoryPath, String)) {
    let mut groups: BTreeMap<u32, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let Some(path) = &row.path else { continue };
        let link = row.entry.hard_link;
        if matches!(row.entry.node, Node::Directory { .. }) {
            continue;
        }
        if link.group != 0 {
            groups.entry(link.group).or_default().push(row);
        } else if link.count > 1 {
            find(FindingKind::HardLink, path, format!("has {} names, but belongs to no group", link.count));
        }
    }
    for names in groups.values() {
        check_group(names, find);
    }
    check_directories(rows, find);
}

fn check_group(names: &[&Row], find: &mut dyn FnMut(FindingKind, &RepositoryPath, String)) {
    let Some((first, others)) = names.split_first() else { return };
    for other in others {
        let Some(path) = &other.path else { continue };
        let name = first.entry.name.as_ref().map_or_else(|| "/".to_owned(), ToString::to_string);
        if other.parent != first.parent {
            let problem = format!("is a name of the same file as '{name}' in another directory");
            find(FindingKind::HardLink, path, problem);
        }
        let (left, right) = (&first.entry, &other.entry);
        if left.metadata != right.metadata
            || left.node != right.node
            || left.xattrs != right.xattrs
            || left.hard_link != right.hard_link
        {
            find(
                FindingKind::HardLink,
                path,
                format!("is a name of the same file as '{name}', but differs from it"),
            );
        }
    }
    let (count, recorded) = (names.len(), first.entry.hard_link.count);
    if let Some(path) = &first.path
        && count as u64 != u64::from(recorded)
    {
        find(
            FindingKind::LinkCount,
            path,
            format!("its link count is recorded as {recorded}, it has {count} names"),
        );
    }
}

/// Directories are counted by their own two names and those of the directories in them. Where the content lies in another
/// catalog, that one counts.
fn check_directories(rows: &[Row], find: &mut dyn FnMut(FindingKind, &RepositoryPath, String)) {
    let mut below: HashMap<PathKey, u32> = HashMap::new();
    for row in rows.iter().filter(|row| is_directory(row) && row.path.is_some()) {
        *below.entry(row.parent).or_default() += 1;
    }
    for row in rows.iter().filter(|row| is_directory(row)) {
        use varve_repository::NestedRole::{BindMountPoint, MountPoint};
        let Some(path) = &row.path else { continue };
        if matches!(row.entry.nested, MountPoint | BindMountPoint) {
            continue;
        }
        let (count, recorded) = (2 + below.get(&row.key).copied().unwrap_or(0), row.entry.hard_link.count);
        if recorded != count && recorded != 1 {
            let problem =
                format!("its link count is recorded as {recorded}, with its directories it is {count}");
            find(FindingKind::LinkCount, path, problem);
        }
    }
}

fn is_directory(row: &Row) -> bool {
    matches!(row.entry.node, Node::Directory { .. })
}
