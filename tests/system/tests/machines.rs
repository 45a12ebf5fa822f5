//! Whole systems of a real distribution, as the tutorials make them: a machine, from its packages to the next version and back; an
//! analysis in environments, here, elsewhere and years later.
#![allow(clippy::print_stdout)]

#[path = "machines/analysis.rs"]
mod analysis;
#[path = "machines/tutorial.rs"]
mod tutorial;
#[path = "machines/typist.rs"]
mod typist;

/// Whether one of Debian's packages, each known by a file of it, isn't installed; then that is said.
fn packages_are_missing(packages: &[(&str, &str)]) -> bool {
    let here = |file: &str| std::path::Path::new(file).exists();
    let missing: Vec<&str> =
        packages.iter().filter(|(file, _)| !here(file)).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "CI must have {missing:?}");
        println!("skipped: Debian's packages {missing:?} are not installed");
    }
    !missing.is_empty()
}
