//! Libraries don't read the environment, the clock or the working directory: programs pass them in.

use super::Finding;
use super::rust_code::lines_with;
use super::tree::Tree;

/// The groups of library crates.
const LIBRARIES: [&str; 4] = ["platform/", "filesystem/", "machines/", "services/"];

/// What reads or changes what the process was given, rather than what the caller gave.
const WORDS: [&str; 13] = [
    "env::var",
    "env::var_os",
    "env::vars",
    "env::vars_os",
    "env::set_var",
    "env::remove_var",
    "env::args",
    "env::args_os",
    "env::temp_dir",
    "env::home_dir",
    "env::current_dir",
    "SystemTime::now",
    "Timestamp::now",
];

/// Files that must read one of these, and why.
const ALLOWED: [(&str, &str); 0] = [];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let is_library =
            LIBRARIES.iter().any(|group| file.path.starts_with(group)) && file.path.contains("/src/");
        if !is_library || ALLOWED.iter().any(|(path, _)| *path == file.path) {
            continue;
        }
        for (line, word) in lines_with(file.code().before_tests(), &WORDS) {
            let message = format!("`{word}` in a library: let the program pass it in");
            findings.push(Finding::new(&file.path, line, message));
        }
    }
    let gone = ALLOWED.iter().filter(|(path, _)| tree.get(path).is_none());
    findings.extend(gone.map(|(path, _)| Finding::new(path, 0, "allowed, but gone")));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_the_surroundings_is_found_in_libraries() {
        for (path, text, count) in [
            ("filesystem/store/src/http.rs", "let p = std::env::var(\"http_proxy\");\n", 1),
            ("filesystem/store/src/http.rs", "let now = SystemTime::now();\n", 1),
            ("filesystem/store/src/http.rs", "let now = Instant::now();\n// SystemTime::now\n", 0),
            ("filesystem/store/src/http.rs", "fn f() {}\n#[cfg(test)]\nmod tests { SystemTime::now() }\n", 0),
            ("filesystem/store/tests/all.rs", "let d = std::env::temp_dir();\n", 0),
            ("programs/varve/src/environment.rs", "std::env::var(\"VARVE_HOME\")\n", 0),
        ] {
            assert_eq!(check(&Tree::of(&[(path, text)])).len(), count, "{path} {text}");
        }
    }
}
