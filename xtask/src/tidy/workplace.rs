//! Nothing of the machine that a file was written on is kept: no absolute paths of its author, no private registries.

use super::Finding;
use super::tree::Tree;

/// Written apart, since this file is checked as well.
const MARKS: [&str; 6] = [
    concat!("/wor", "k/main"),
    concat!("/wor", "k/shared"),
    concat!("/wor", "k/."),
    concat!("/tmp/w", "t/"),
    concat!("/root/", ".cargo"),
    concat!("artifac", "tory"),
];

/// Where every dependency comes from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (at, line) in file.text.lines().enumerate() {
            if let Some(mark) = MARKS.iter().find(|mark| line.contains(**mark)) {
                findings.push(Finding::new(&file.path, at + 1, format!("`{mark}` is of one machine only")));
            }
            if file.path.ends_with("Cargo.lock")
                && let Some(source) = line.strip_prefix("source = ")
                && source.trim_matches('"') != REGISTRY
            {
                findings.push(Finding::new(&file.path, at + 1, "a dependency from elsewhere than crates.io"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_of_a_machine_are_found() {
        let lock = format!("source = \"{REGISTRY}\"\nsource = \"git+https://example.org/x\"\n");
        for (path, text, count) in [
            ("README.md", concat!("cd /wor", "k/main && cargo build\n"), 1),
            ("a.rs", concat!("//! x\nf(\"/root/", ".cargo/bin\");\n"), 1),
            ("README.md", "cd varve && cargo build # works in any directory\n", 0),
            ("Cargo.lock", &lock, 1),
        ] {
            assert_eq!(check(&Tree::of(&[(path, text)])).len(), count, "{path} {text}");
        }
    }
}
