//! No Rust file is longer than 600 lines. The list of exceptions may only shrink.

use super::Finding;
use super::tree::Tree;

/// The most lines of a file.
const LIMIT: usize = 600;

/// Files over the limit with the lines they have. A file that got shorter must be recorded so.
const EXCEPTIONS: [(&str, usize); 0] = [];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    check_with(tree, &EXCEPTIONS)
}

fn check_with(tree: &Tree, exceptions: &[(&str, usize)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let lines = file.text.lines().count();
        let exception = exceptions.iter().find(|(path, _)| *path == file.path);
        let message = match exception {
            None if lines > LIMIT => format!("{lines} lines, at most {LIMIT} are allowed: split by concept"),
            Some(_) if lines <= LIMIT => "no longer an exception: take it off the list".to_owned(),
            Some((_, allowed)) if lines > *allowed => {
                format!("{lines} lines, has grown beyond its exception of {allowed}")
            }
            Some((_, allowed)) if lines < *allowed => format!("shorter now: record {lines} in the list"),
            _ => continue,
        };
        findings.push(Finding::new(&file.path, 0, message));
    }
    let gone = exceptions.iter().filter(|(path, _)| tree.get(path).is_none());
    findings.extend(gone.map(|(path, _)| Finding::new(path, 0, "an exception for a file that is gone")));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_found() {
        let tree = Tree::of(&[("a.rs", &"\n".repeat(600)), ("b.rs", &"\n".repeat(601))]);
        let paths: Vec<_> = check(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["b.rs"]);
    }

    #[test]
    fn exceptions_only_shrink() {
        let tree = Tree::of(&[("a.rs", &"\n".repeat(700))]);
        for (exceptions, count) in [
            (vec![("a.rs", 700)], 0),
            (vec![("a.rs", 699)], 1),
            (vec![("a.rs", 701)], 1),
            (vec![("b.rs", 700)], 2),
        ] {
            assert_eq!(check_with(&tree, &exceptions).len(), count, "{exceptions:?}");
        }
        let short = Tree::of(&[("a.rs", "\n")]);
        assert_eq!(check_with(&short, &[("a.rs", 700)]).len(), 1);
    }
}
