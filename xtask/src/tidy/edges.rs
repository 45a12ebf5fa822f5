//! The edges between the workspace's crates are exactly those of the list in ARCHITECTURE.md.
//!
//! The list is a block fenced by three back quotes and the word `edges`, with a line `crate -> dependency …` per crate,
//! in an order in which every crate stands below what it depends on.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::Finding;
use super::tree::Tree;

const MAP: &str = "ARCHITECTURE.md";
/// Test equipment that every crate's tests may use.
const TESTKIT: &str = "varve-testkit";
/// The groups, lowest first: nothing depends on a later one. What is elsewhere may use everything.
const GROUPS: [&str; 5] = ["platform/", "filesystem/", "machines/", "services/", "programs/"];

/// A package of the workspace.
struct Package {
    name: String,
    path: String,
    dependencies: BTreeSet<String>,
    for_tests: BTreeSet<String>,
}

/// A line of the list.
struct Listed {
    line: usize,
    dependencies: BTreeSet<String>,
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let packages: Vec<Package> =
        tree.manifests().filter_map(|file| package(&file.path, &file.text)).collect();
    let by_name: BTreeMap<&str, &Package> =
        packages.iter().map(|package| (package.name.as_str(), package)).collect();
    let (listed, mut findings) = read_list(tree);
    for (name, line) in &listed {
        if !by_name.contains_key(name.as_str()) {
            findings.push(Finding::new(
                MAP,
                line.line,
                format!("the list names {name}, which does not exist"),
            ));
        }
        let later = line
            .dependencies
            .iter()
            .filter(|other| listed.get(*other).is_none_or(|other| other.line >= line.line));
        let message =
            |other: &String| format!("{name} depends on {other}, which must stand above it in the list");
        findings.extend(later.map(|other| Finding::new(MAP, line.line, message(other))));
    }
    for package in &packages {
        let Some(line) = listed.get(&package.name) else {
            findings.push(Finding::new(
                &package.path,
                0,
                format!("the list in {MAP} lacks {}", package.name),
            ));
            continue;
        };
        let own = |names: &BTreeSet<String>| -> BTreeSet<String> {
            names.iter().filter(|name| by_name.contains_key(name.as_str())).cloned().collect()
        };
        let used = own(&package.dependencies);
        for name in used.difference(&line.dependencies) {
            findings.push(Finding::new(&package.path, 0, format!("the list in {MAP} does not allow {name}")));
        }
        for name in line.dependencies.difference(&used) {
            let message = format!("{} does not use {name}: take it off the list", package.name);
            findings.push(Finding::new(MAP, line.line, message));
        }
        for name in own(&package.for_tests) {
            let below = listed.get(&name).is_some_and(|other| other.line < line.line);
            if !below && name != TESTKIT && name != package.name {
                let message = format!("tests may not use {name}, which stands below in the list in {MAP}");
                findings.push(Finding::new(&package.path, 0, message));
            }
        }
        for name in &used {
            if group(&by_name[name.as_str()].path) > group(&package.path) {
                findings.push(Finding::new(&package.path, 0, format!("{name} belongs to a later group")));
            }
        }
    }
    findings
}

fn group(path: &str) -> usize {
    GROUPS.iter().position(|group| path.starts_with(group)).unwrap_or(GROUPS.len())
}

fn package(path: &str, text: &str) -> Option<Package> {
    let manifest: Table = text.parse().ok()?;
    let name = manifest.get("package")?.get("name")?.as_str()?.to_owned();
    let mut package =
        Package { name, path: path.to_owned(), dependencies: BTreeSet::new(), for_tests: BTreeSet::new() };
    collect(&manifest, &mut package);
    if let Some(Value::Table(targets)) = manifest.get("target") {
        for target in targets.values().filter_map(Value::as_table) {
            collect(target, &mut package);
        }
    }
    Some(package)
}

fn collect(table: &Table, package: &mut Package) {
    let names = |key: &str| {
        table
            .get(key)
            .and_then(Value::as_table)
            .into_iter()
            .flat_map(Table::keys)
            .cloned()
            .collect::<Vec<_>>()
    };
    package.dependencies.extend(names("dependencies"));
    package.dependencies.extend(names("build-dependencies"));
    package.for_tests.extend(names("dev-dependencies"));
}

fn read_list(tree: &Tree) -> (BTreeMap<String, Listed>, Vec<Finding>) {
    let mut listed = BTreeMap::new();
    let mut findings = Vec::new();
    let text = tree.get(MAP).map_or("", |map| map.text.as_str());
    let lines = text.lines().enumerate().skip_while(|(_, line)| line.trim() != "```edges").skip(1);
    for (at, line) in lines.take_while(|(_, line)| line.trim() != "```") {
        let Some((name, dependencies)) = line.split_once("->") else {
            findings.push(Finding::new(MAP, at + 1, "not of the form `crate -> dependency …`"));
            continue;
        };
        let dependencies = dependencies.split_whitespace().map(str::to_owned).collect();
        let before = listed.insert(name.trim().to_owned(), Listed { line: at + 1, dependencies });
        if before.is_some() {
            findings.push(Finding::new(MAP, at + 1, "this crate is listed twice"));
        }
    }
    if listed.is_empty() {
        findings.push(Finding::new(MAP, 0, "has no list of edges (a block fenced as `edges`)"));
    }
    (listed, findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(list: &str, upper: &str) -> Vec<String> {
        let map = format!("# Map\n```edges\n{list}```\n");
        let upper = format!("[package]\nname = \"upper\"\n{upper}");
        let lower = "[package]\nname = \"lower\"\n";
        let files =
            [(MAP, &*map), ("filesystem/upper/Cargo.toml", &*upper), ("filesystem/lower/Cargo.toml", lower)];
        check(&Tree::of(&files)).iter().map(ToString::to_string).collect()
    }

    const USES: &str = "[dependencies]\nlower.workspace = true\nserde = \"1\"\n";

    #[test]
    fn the_list_and_the_manifests_must_agree() {
        let both = "lower ->\nupper -> lower\n";
        assert_eq!(findings(both, USES), [""; 0]);
        assert!(findings("lower ->\nupper ->\n", USES)[0].contains("does not allow lower"));
        assert!(findings(both, "")[0].contains("does not use lower"));
        assert!(findings("lower ->\n", "")[0].contains("lacks upper"));
        assert!(findings("lower ->\nupper ->\nthird ->\n", "")[0].contains("does not exist"));
        assert_eq!(findings("", "").len(), 3);
    }

    #[test]
    fn dependencies_of_targets_and_builds_count() {
        let target = "[target.'cfg(unix)'.dependencies]\nlower = { path = \"../lower\" }\n";
        assert!(findings("lower ->\nupper ->\n", target)[0].contains("does not allow lower"));
        let build = "[build-dependencies]\nlower.workspace = true\n";
        assert!(findings("lower ->\nupper ->\n", build)[0].contains("does not allow lower"));
    }

    #[test]
    fn the_order_of_the_list_is_that_of_the_edges() {
        assert!(findings("upper -> lower\nlower ->\n", USES)[0].contains("must stand above"));
        let for_tests = "[dev-dependencies]\nlower.workspace = true\n";
        assert_eq!(findings("lower ->\nupper ->\n", for_tests), [""; 0]);
        assert!(findings("upper ->\nlower ->\n", for_tests)[0].contains("tests may not use lower"));
    }

    #[test]
    fn groups_are_not_crossed_upwards() {
        let files = [
            (MAP, "```edges\nlow ->\nhigh -> low\n```\n"),
            (
                "platform/high/Cargo.toml",
                "[package]\nname = \"high\"\n[dependencies]\nlow.workspace = true\n",
            ),
            ("programs/low/Cargo.toml", "[package]\nname = \"low\"\n"),
        ];
        assert!(check(&Tree::of(&files))[0].to_string().contains("later group"));
    }
}
