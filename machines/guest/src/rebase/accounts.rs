//! The files of accounts: entries of fields between colons, one a line, the first field being the name.
//!
//! Merged entry by entry. Numbers are the new base's, since its files have them: an account of the same name takes over its number,
//! and one that was made here and has the number of another gets a free one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The number from which on accounts are people's, as `login.defs` has it.
const FIRST_PERSON: u32 = 1000;
/// From here on numbers have other meanings: `nobody`, container ranges.
const END_OF_PEOPLE: u32 = 60_000;

/// Which file of accounts a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    Users,
    Groups,
    /// Passwords and ranges: keyed by name, without a number of the account.
    ByName,
}

impl File {
    pub(super) fn of(path: &Path) -> Option<Self> {
        Some(match path.to_str()? {
            "etc/passwd" => Self::Users,
            "etc/group" => Self::Groups,
            "etc/shadow" | "etc/gshadow" | "etc/subuid" | "etc/subgid" => Self::ByName,
            _ => return None,
        })
    }

    /// The field of the number.
    fn number(self) -> Option<usize> {
        (self != Self::ByName).then_some(2)
    }

    /// The field that is a list of names, of which additions on both sides are kept.
    fn members(self) -> Option<usize> {
        (self == Self::Groups).then_some(3)
    }
}

/// The versions of a file: in the base before, in the base after, and as it was changed here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Versions<'a> {
    pub(super) before: &'a [u8],
    pub(super) after: &'a [u8],
    pub(super) here: &'a [u8],
}

/// A merged file of accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Merged {
    pub(super) content: Vec<u8>,
    /// Numbers given anew: of the accounts made here, old to new.
    pub(super) renumbered: BTreeMap<u32, u32>,
}

type Fields<'a> = Vec<&'a [u8]>;

/// Merges: the order is that of the new base, then what was added here.
pub(super) fn merge(file: File, versions: Versions<'_>) -> Merged {
    let (before, after, here) = (entries(versions.before), entries(versions.after), entries(versions.here));
    let index = |list: &[Fields<'_>]| -> BTreeMap<Vec<u8>, usize> {
        list.iter().enumerate().map(|(at, fields)| (fields[0].to_vec(), at)).collect()
    };
    let (in_before, in_after, in_here) = (index(&before), index(&after), index(&here));
    let mut merged: Vec<Vec<Vec<u8>>> = Vec::new();
    for theirs in &after {
        let name = theirs[0];
        let base = in_before.get(name).map(|&at| &before[at]);
        match (base, in_here.get(name).map(|&at| &here[at])) {
            // Removed here, and not changed since.
            (Some(base), None) if base == theirs => {}
            (_, None) => merged.push(owned(theirs)),
            (None, Some(ours)) => merged.push(fields(file, &[], theirs, ours)),
            (Some(base), Some(ours)) => merged.push(fields(file, base, theirs, ours)),
        }
    }
    let taken = numbers(file, &after);
    let mut used: BTreeSet<u32> = taken.clone();
    used.extend(numbers(file, &before));
    used.extend(numbers(file, &here));
    let mut renumbered = BTreeMap::new();
    if let Some(at) = file.number() {
        // Accounts of one name are one account: its files get the base's number.
        for (name, &ours) in &in_here {
            let Some(&theirs) = in_after.get(name) else { continue };
            let (ours, theirs) = (number(&owned(&here[ours]), at), number(&owned(&after[theirs]), at));
            if let (Some(ours), Some(theirs)) = (ours, theirs)
                && ours != theirs
            {
                renumbered.insert(ours, theirs);
            }
        }
    }
    for ours in here.iter().filter(|ours| !in_after.contains_key(ours[0])) {
        // Removed from the base, and not changed here.
        if in_before.get(ours[0]).is_some_and(|&at| before[at] == *ours) {
            continue;
        }
        let mut ours = owned(ours);
        if let Some(at) = file.number()
            && let Some(number) = number(&ours, at)
            && taken.contains(&number)
            && !in_before.contains_key(&ours[0])
        {
            let new = *renumbered.entry(number).or_insert_with(|| free(number, &mut used));
            if let Some(field) = ours.get_mut(at) {
                *field = new.to_string().into_bytes();
            }
        }
        merged.push(ours);
    }
    let mut content = Vec::new();
    for entry in merged {
        content.extend_from_slice(&entry.join(&b':'));
        content.push(b'\n');
    }
    Merged { content, renumbered }
}

/// Gives the primary groups in `passwd` their new numbers.
pub(super) fn with_groups(passwd: &[u8], groups: &BTreeMap<u32, u32>) -> Vec<u8> {
    let mut content = Vec::new();
    for entry in entries(passwd) {
        let mut entry = owned(&entry);
        if let Some(new) = number(&entry, 3).and_then(|number| groups.get(&number)) {
            entry[3] = new.to_string().into_bytes();
        }
        content.extend_from_slice(&entry.join(&b':'));
        content.push(b'\n');
    }
    content
}

/// Field by field: what one side changed is taken; where both did, what was made here.
fn fields(file: File, base: &[&[u8]], theirs: &[&[u8]], ours: &[&[u8]]) -> Vec<Vec<u8>> {
    let count = theirs.len().max(ours.len());
    let at = |list: &[&[u8]], field: usize| list.get(field).map_or_else(Vec::new, |value| value.to_vec());
    (0..count)
        .map(|field| {
            let (base, theirs, ours) = (at(base, field), at(theirs, field), at(ours, field));
            if Some(field) == file.members() {
                members(&base, &theirs, &ours)
            } else if Some(field) == file.number() {
                // The files of the base belong to the base's number.
                theirs
            } else if ours == base {
                theirs
            } else {
                ours
            }
        })
        .collect()
}

fn members(base: &[u8], theirs: &[u8], ours: &[u8]) -> Vec<u8> {
    let list = |names: &[u8]| -> Vec<Vec<u8>> {
        names.split(|&byte| byte == b',').filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let (base, theirs, ours) = (list(base), list(theirs), list(ours));
    let mut merged: Vec<Vec<u8>> =
        theirs.iter().filter(|name| ours.contains(name) || !base.contains(name)).cloned().collect();
    for name in ours {
        if !merged.contains(&name) && (!base.contains(&name) || theirs.contains(&name)) {
            merged.push(name);
        }
    }
    merged.join(&b',')
}

/// The next free number of the same range: of people, or of services, which count downwards.
fn free(number: u32, used: &mut BTreeSet<u32>) -> u32 {
    let found = if number < FIRST_PERSON {
        (100..FIRST_PERSON).rev().find(|candidate| !used.contains(candidate))
    } else {
        (FIRST_PERSON..END_OF_PEOPLE).find(|candidate| !used.contains(candidate))
    };
    let new = found.unwrap_or_else(|| used.last().map_or(END_OF_PEOPLE, |last| last.saturating_add(1)));
    used.insert(new);
    new
}

fn entries(content: &[u8]) -> Vec<Fields<'_>> {
    content
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| line.split(|&byte| byte == b':').collect())
        .collect()
}

fn owned(fields: &[&[u8]]) -> Vec<Vec<u8>> {
    fields.iter().map(|field| field.to_vec()).collect()
}

fn numbers(file: File, list: &[Fields<'_>]) -> BTreeSet<u32> {
    let Some(at) = file.number() else { return BTreeSet::new() };
    list.iter().filter_map(|fields| number(&owned(fields), at)).collect()
}

fn number(fields: &[Vec<u8>], at: usize) -> Option<u32> {
    std::str::from_utf8(fields.get(at)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(file: File, before: &str, after: &str, here: &str) -> (String, BTreeMap<u32, u32>) {
        let versions = Versions { before: before.as_bytes(), after: after.as_bytes(), here: here.as_bytes() };
        let merged = merge(file, versions);
        (String::from_utf8(merged.content).expect("because the input is text"), merged.renumbered)
    }

    const BEFORE: &str = "root:x:0:0:root:/root:/bin/sh\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n";

    #[test]
    fn accounts_of_both_sides_are_kept() {
        let after = format!("{BEFORE}tss:x:103:104::/var/lib/tpm:/bin/false\n");
        let here = format!("{BEFORE}anna:x:1000:1000:Anna:/home/anna:/bin/bash\n");
        let (content, renumbered) = merged(File::Users, BEFORE, &after, &here);
        assert_eq!(content, format!("{after}anna:x:1000:1000:Anna:/home/anna:/bin/bash\n"));
        assert!(renumbered.is_empty());
    }

    #[test]
    fn a_number_that_the_new_base_needs_is_given_up_here() {
        let after = format!("{BEFORE}tss:x:102:104::/:/bin/false\n");
        let here = format!("{BEFORE}munge:x:102:105::/:/bin/false\n");
        let (content, renumbered) = merged(File::Users, BEFORE, &after, &here);
        assert_eq!(content, format!("{after}munge:x:999:105::/:/bin/false\n"));
        assert_eq!(renumbered, BTreeMap::from([(102, 999)]));
    }

    #[test]
    fn fields_are_merged_one_by_one() {
        let after = BEFORE.replace("/run/sshd", "/var/run/sshd");
        let here = BEFORE.replace("root:/bin/sh", "root:/bin/bash");
        let (content, _) = merged(File::Users, BEFORE, &after, &here);
        assert!(content.contains("root:/bin/bash") && content.contains("/var/run/sshd"), "{content}");
    }

    #[test]
    fn removed_accounts_stay_removed_on_either_side() {
        let two = "a:x:1:\nb:x:2:\n";
        assert_eq!(merged(File::Groups, two, "a:x:1:\n", two).0, "a:x:1:\n");
        assert_eq!(merged(File::Groups, two, two, "b:x:2:\n").0, "b:x:2:\n");
    }

    #[test]
    fn members_of_groups_are_united() {
        let before = "sudo:x:27:\naudio:x:29:pulse\n";
        let after = "sudo:x:27:admin\naudio:x:29:\n";
        let here = "sudo:x:27:anna\naudio:x:29:pulse,anna\n";
        assert_eq!(merged(File::Groups, before, after, here).0, "sudo:x:27:admin,anna\naudio:x:29:anna\n");
    }

    #[test]
    fn an_account_made_on_both_sides_takes_over_the_number_of_the_base() {
        let after = format!("{BEFORE}munge:x:102:104::/:/bin/false\n");
        let here = format!("{BEFORE}tss:x:102:105::/:/bin/false\nmunge:x:103:106::/:/bin/false\n");
        let (content, renumbered) = merged(File::Users, BEFORE, &after, &here);
        assert_eq!(content, format!("{BEFORE}munge:x:102:106::/:/bin/false\ntss:x:999:105::/:/bin/false\n"));
        assert_eq!(renumbered, BTreeMap::from([(102, 999), (103, 102)]));
    }

    #[test]
    fn merging_twice_changes_nothing() {
        let after = format!("{BEFORE}tss:x:102:104::/:/bin/false\n");
        let here = format!("{BEFORE}munge:x:102:105::/:/bin/false\n");
        let (once, _) = merged(File::Users, BEFORE, &after, &here);
        let (twice, renumbered) = merged(File::Users, BEFORE, &after, &once);
        assert_eq!(once, twice);
        assert!(renumbered.is_empty());
    }
}
