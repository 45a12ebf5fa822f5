//! Every package inherits the workspace's lints, edition, version and licence.

use toml::{Table, Value};

use super::Finding;
use super::tree::Tree;

/// Keys of `[package]` that are taken from the workspace.
const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.manifests() {
        let manifest: Table = match file.text.parse() {
            Ok(manifest) => manifest,
            Err(error) => {
                findings.push(Finding::new(&file.path, 0, format!("not TOML: {}", error.message())));
                continue;
            }
        };
        if !inherits(manifest.get("lints")) {
            findings.push(Finding::new(&file.path, 0, "`[lints] workspace = true` is missing"));
        }
        let package = manifest.get("package");
        for key in INHERITED.iter().filter(|key| !inherits(package.and_then(|package| package.get(key)))) {
            findings.push(Finding::new(&file.path, 0, format!("`{key}.workspace = true` is missing")));
        }
    }
    findings
}

fn inherits(value: Option<&Value>) -> bool {
    value.and_then(|value| value.get("workspace")).and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: &str = "[package]\nname = \"a\"\nversion.workspace = true\nedition.workspace = true\n\
        rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n";

    #[test]
    fn packages_that_go_their_own_way_are_found() {
        let good = format!("{PACKAGE}[lints]\nworkspace = true\n");
        let other = good.replace("license.workspace = true", "license = \"MIT\"");
        for (text, count) in [(&*good, 0), (PACKAGE, 1), (&*other, 1), ("[package", 1)] {
            assert_eq!(check(&Tree::of(&[("a/Cargo.toml", text)])).len(), count, "{text}");
        }
    }
}
