//! What may stand only in certain places: SQL, FUSE, the command line's arguments.

use super::Finding;
use super::rust_code::lines_with;
use super::tree::Tree;

/// Words of code or beginnings of strings, and the paths that may have them.
struct Rule {
    code: &'static [&'static str],
    strings: &'static [&'static str],
    allowed: fn(&str) -> bool,
    message: &'static str,
}

const RULES: [Rule; 3] = [
    Rule {
        code: &["rusqlite", "sqlx"],
        strings: &[
            "SELECT ",
            "INSERT INTO ",
            "INSERT OR ",
            "UPDATE ",
            "DELETE FROM ",
            "CREATE TABLE ",
            "PRAGMA ",
        ],
        allowed: |path| {
            path.contains("/db/")
                || path.ends_with("/db.rs")
                || path.starts_with("filesystem/repository/src/catalog/")
                || path == "filesystem/repository/src/catalog.rs"
                // Tests make the databases that nobody should have made.
                || path.contains("/tests/")
                || path.starts_with("fuzz/")
        },
        message: "SQL belongs into a db/ folder or filesystem/repository/src/catalog",
    },
    Rule {
        code: &["fuser"],
        strings: &[],
        allowed: |path| {
            path.starts_with("filesystem/mount/src/fuse/")
                || path == "filesystem/mount/src/fuse.rs"
                || path == "filesystem/mount/examples/native_speed.rs"
        },
        message: "FUSE belongs into filesystem/mount/src/fuse",
    },
    Rule {
        code: &["clap", "clap_complete", "clap_mangen"],
        strings: &[],
        allowed: |path| path.starts_with("programs/"),
        message: "clap belongs into programs/",
    },
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !file.path.starts_with("xtask/")) {
        let layers = file.code();
        for rule in RULES.iter().filter(|rule| !(rule.allowed)(&file.path)) {
            let code = lines_with(layers.before_tests(), rule.code).map(|(line, _)| line);
            let strings = layers.strings_before_tests().lines().enumerate().filter_map(|(at, line)| {
                let text = line.trim_start_matches([' ', '"', '#']);
                rule.strings.iter().any(|start| text.starts_with(start)).then_some(at + 1)
            });
            findings.extend(code.chain(strings).map(|line| Finding::new(&file.path, line, rule.message)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_out_of_place_are_found() {
        for (path, text, count) in [
            ("filesystem/publish/src/tags.rs", "use rusqlite::Connection;\n", 1),
            ("filesystem/publish/src/tags.rs", "f(\"SELECT name FROM tags\");\n", 1),
            ("filesystem/publish/src/db/tags.rs", "f(\"SELECT name FROM tags\");\n", 0),
            ("filesystem/repository/src/catalog/reader.rs", "use rusqlite::Connection;\n", 0),
            ("filesystem/mount/src/attributes.rs", "fn f(x: fuser::FileAttr) {}\n", 1),
            ("filesystem/mount/src/fuse/reply.rs", "use fuser::ReplyAttr;\n", 0),
            ("filesystem/store/src/http.rs", "use clap::Parser;\n", 1),
            ("programs/varve/src/main.rs", "use clap::Parser;\n", 0),
            ("filesystem/store/src/http.rs", "// unlike clap, rusqlite\n#[cfg(test)]\nuse rusqlite;\n", 0),
        ] {
            assert_eq!(check(&Tree::of(&[(path, text)])).len(), count, "{path} {text}");
        }
    }
}
