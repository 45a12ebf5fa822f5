//! Names of files, directories, crates and modules that say nothing are refused, and so is `mod.rs`.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::Tree;

/// Says nothing about what is inside.
const EMPTY: [&str; 11] =
    ["util", "utils", "helper", "helpers", "common", "misc", "shared", "base", "manager", "core", "types"];
/// The same at the end of a name.
const EMPTY_ENDS: [&str; 6] = ["_util", "_utils", "_helper", "_helpers", "-util", "-utils"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut directories = BTreeSet::new();
    for file in tree.rust() {
        let mut parts: Vec<&str> = file.path.split('/').collect();
        let name = parts.pop().unwrap_or_default();
        if name == "mod.rs" {
            findings.push(Finding::new(&file.path, 0, "use foo.rs beside foo/ instead of foo/mod.rs"));
        }
        if says_nothing(name.trim_end_matches(".rs")) {
            findings.push(Finding::new(&file.path, 0, "a file name that says nothing of its subject"));
        }
        for depth in 1..=parts.len() {
            directories.insert(parts[..depth].join("/"));
        }
        for (at, line) in file.code().code.lines().enumerate() {
            let declaration = line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            if let Some(module) = declaration.strip_prefix("mod ")
                && says_nothing(module.trim_end_matches([' ', '{', ';', '}']))
            {
                findings.push(Finding::new(
                    &file.path,
                    at + 1,
                    "a module name that says nothing of its subject",
                ));
            }
        }
    }
    let named = directories.iter().filter(|path| path.rsplit('/').next().is_some_and(says_nothing));
    findings
        .extend(named.map(|path| Finding::new(path, 0, "a directory name that says nothing of its subject")));
    findings
}

fn says_nothing(name: &str) -> bool {
    EMPTY.contains(&name) || EMPTY_ENDS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_nothing_are_found() {
        for (path, text, count) in [
            ("a/src/utils.rs", "", 1),
            ("a/src/path_util.rs", "", 1),
            ("a/src/http/mod.rs", "", 1),
            ("a/tests/common/server.rs", "", 1),
            ("a/src/http.rs", "mod helpers;\n", 1),
            ("a/src/http.rs", "pub(crate) mod core {\n", 1),
            ("a/src/http.rs", "// mod core;\nmod corpus;\nmod tests {\n", 0),
            ("a/src/basement.rs", "", 0),
        ] {
            assert_eq!(check(&Tree::of(&[(path, text)])).len(), count, "{path} {text}");
        }
    }
}
