//! Nothing unfinished is kept: no placeholders, no marks to come back to, no tests that don't run.

use super::Finding;
use super::rust_code::lines_with;
use super::tree::Tree;

/// Placeholders in code.
const CODE: [&str; 3] = ["todo!", "unimplemented!", "#[ignore"];
/// Marks in any text. Written apart here, since this file is checked as well.
const MARKS: [&str; 3] = [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X:")];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        if file.is_rust() {
            let layers = file.code();
            for (line, word) in lines_with(&layers.code, &CODE) {
                findings.push(Finding::new(&file.path, line, format!("`{word}`: finish it or leave it out")));
            }
        }
        for (line, word) in lines_with(&file.text, &MARKS) {
            findings.push(Finding::new(&file.path, line, format!("{word}: do it, or write an issue")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_work_is_found() {
        for (path, text, count) in [
            ("a.rs", "fn f() { todo!() }\n", 1),
            ("a.rs", "fn f() { unimplemented!(\"x\") }\n", 1),
            ("a.rs", "#[ignore = \"slow\"]\n", 1),
            ("a.rs", concat!("// FIX", "ME later\n"), 1),
            ("a.md", concat!("TO", "DO: write\n"), 1),
            ("a.rs", "// says todo!()\nf(\"#[ignore]\"); ignored();\n", 0),
        ] {
            assert_eq!(check(&Tree::of(&[(path, text)])).len(), count, "{path} {text}");
        }
    }
}
