//! Every path that ARCHITECTURE.md names exists, so that the map stays true.

use super::Finding;
use super::tree::Tree;

const MAP: &str = "ARCHITECTURE.md";

/// Where the paths of the workspace begin.
const TOPS: [&str; 11] = [
    ".ci/",
    ".config/",
    "docs/",
    "filesystem/",
    "fuzz/",
    "machines/",
    "platform/",
    "programs/",
    "services/",
    "tests/",
    "xtask/",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(map) = tree.get(MAP) else { return vec![Finding::new(MAP, 0, "is missing")] };
    let mut findings = Vec::new();
    for (at, line) in map.text.lines().enumerate() {
        // Every second piece between back quotes is quoted.
        for quoted in line.split('`').skip(1).step_by(2) {
            if TOPS.iter().any(|top| quoted.starts_with(top)) && !tree.exists(quoted) {
                findings.push(Finding::new(MAP, at + 1, format!("`{quoted}` does not exist")));
            }
        }
    }
    if map.text.lines().count() > 300 {
        findings.push(Finding::new(MAP, 0, "over 300 lines: a map fits on a table"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_do_not_exist_are_found() {
        let text = "see `docs/formats` and\n`docs/fromats`, `Trust::verify`, or `db/` folders\n";
        let tree = Tree::of(&[(MAP, text), ("docs/formats/README.md", "")]);
        let findings: Vec<_> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(findings, ["ARCHITECTURE.md:2: `docs/fromats` does not exist"]);
        assert_eq!(check(&Tree::of(&[])).len(), 1);
    }
}
