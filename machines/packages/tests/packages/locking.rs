//! From lists to locks: choices, conflicts, updates.

use varve_packages::{
    Chain, ChangeKind, Family, Index, LockingError, PackageName, Previous, Requests, UpdateScope, changes,
    locked_packages, universe,
};

use crate::repository::{DebianRepository, Workshop, architecture, list, lock, packages};

fn index(workshop: &Workshop, suite: &'static str, fill: impl FnOnce(&mut DebianRepository)) -> Index {
    let mut repository = DebianRepository::new(&workshop.scratch, suite);
    fill(&mut repository);
    repository.publish();
    workshop.fetch(&repository.source(), Family::Debian).expect("it is right")
}

#[test]
fn alternatives_provides_and_essential_packages() {
    let workshop = Workshop::new();
    let indexes = [index(&workshop, "stable", |repository| {
        repository.package("base", "1", "Essential: yes\nPre-Depends: libc");
        repository.package("libc", "1", "");
        repository.package("mta", "1", "Provides: mail (= 3)\nConflicts: mail\nDepends: big, bigger");
        repository.package("small", "1", "Provides: mail\nConflicts: mail");
        repository.package("big", "1", "").package("bigger", "1", "");
        repository.package("x", "1", "Depends: mail").package("y", "1", "Depends: mail (>= 2)");
        repository.package("z", "1", "Recommends: big");
    })];
    let of = |include: &[&str], rest| {
        packages(&lock(&list(include, rest), &indexes, None).expect("there is a set"))
    };
    assert_eq!(of(&["x"], ""), "base=1 libc=1 small=1 x=1");
    assert_eq!(of(&["x"], "essential = false"), "small=1 x=1");
    assert_eq!(of(&["x", "y"], "essential = false"), "big=1 bigger=1 mta=1 x=1 y=1");
    assert_eq!(of(&["mail"], "essential = false"), "small=1");
    assert_eq!(of(&["mail"], "essential = false\nexclude = ['sm*']"), "big=1 bigger=1 mta=1");
    assert_eq!(of(&["z"], "essential = false"), "z=1");
    assert_eq!(of(&["z"], "essential = false\nrecommends = true"), "big=1 z=1");
}

#[test]
fn groups_of_the_index_and_preferences() {
    let workshop = Workshop::new();
    let indexes = [index(&workshop, "stable", |repository| {
        repository.package("a", "1", "Priority: required").package("b", "1", "Priority: important");
        repository.package("c", "1", "Task: desk, other").package("d", "1", "Depends: e | f");
        repository.package("e", "1", "").package("f", "1", "");
    })];
    let of = |include: &[&str], rest| {
        packages(&lock(&list(include, rest), &indexes, None).expect("there is a set"))
    };
    assert_eq!(of(&["priority:required"], ""), "a=1");
    assert_eq!(of(&["priority:important", "task:desk"], ""), "a=1 b=1 c=1");
    assert_eq!(of(&["priority:important"], "exclude = ['a']"), "b=1");
    assert_eq!(of(&["d"], ""), "d=1 e=1");
    assert_eq!(of(&["d"], "prefer = ['f']"), "d=1 f=1");
    let error = lock(&list(&["task:dsk"], ""), &indexes, None).expect_err("there is none");
    assert_eq!(error.to_string(), "no index has 'task:dsk'; did you mean 'task:desk'?");
}

#[test]
fn the_newest_counts_unless_something_speaks_against_it() {
    let workshop = Workshop::new();
    let indexes = [
        index(&workshop, "stable", |repository| {
            repository.package("a", "1", "").package("lib", "1", "").package(
                "exact",
                "1",
                "Depends: lib (= 1)",
            );
        }),
        index(&workshop, "security", |repository| {
            repository.package("a", "1.1", "Depends: lib").package("lib", "1.1", "");
        }),
        index(&workshop, "backports", |repository| {
            repository.release = "NotAutomatic: yes\nButAutomaticUpgrades: yes\n".to_owned();
            repository.package("a", "9", "").package("only", "1", "");
        }),
    ];
    let of = |include: &[&str]| packages(&lock(&list(include, ""), &indexes, None).expect("there is a set"));
    assert_eq!(of(&["a"]), "a=1.1 lib=1.1");
    assert_eq!(of(&["a = 1"]), "a=1");
    assert_eq!(of(&["a/backports"]), "a=9");
    assert_eq!(of(&["a >= 2"]), "a=9");
    assert_eq!(of(&["only"]), "only=1");
    assert_eq!(of(&["a", "exact"]), "a=1.1 exact=1 lib=1");
    let error = lock(&list(&["a = 3"], ""), &indexes, None).expect_err("there is none");
    assert_eq!(error.to_string(), "no index has 'a = 3'; there is a 9, a 1.1, a 1");
}

#[test]
fn conflicts_are_told_in_words() {
    let workshop = Workshop::new();
    let indexes = [index(&workshop, "stable", |repository| {
        repository.package("a", "1", "Depends: b").package("b", "1", "Conflicts: c (<< 2)");
        repository.package("c", "1", "").package("d", "1", "Depends: c | e").package("e", "1", "Breaks: b");
        repository.package("f", "1", "Depends: lib (>= 2)").package("lib", "1", "").package(
            "g",
            "1",
            "Depends: nothing",
        );
        repository.package("h", "1", "");
    })];
    let told = |include: &[&str], rest| {
        lock(&list(include, rest), &indexes, None).expect_err("there is no set").to_string()
    };
    assert_eq!(
        told(&["h", "a", "c"], ""),
        "'a' and 'c' cannot be installed together\n  the list asks for c, that is c 1; it cannot be beside b 1, needed by a, \
         asked for: b says 'Conflicts: c (<< 2)'"
    );
    let choice = told(&["a", "d", "h"], "");
    assert!(choice.starts_with("'a' and 'd' cannot be installed together\n  "), "{choice}");
    assert!(choice.contains("Conflicts: c (<< 2)") || choice.contains("Breaks: b"), "{choice}");
    assert_eq!(
        told(&["f"], ""),
        "'f' cannot be installed\n  f (asked for) needs lib (>= 2), but the indexes have lib 1"
    );
    assert_eq!(
        told(&["g"], ""),
        "'g' cannot be installed\n  g (asked for) needs nothing, which no index has"
    );
    assert_eq!(
        told(&["a"], "exclude = ['b']"),
        "'a' cannot be installed\n  a (asked for) needs b, but b 1 is excluded"
    );
    assert_eq!(told(&["a"], "exclude = ['a']"), "the list asks for 'a' and excludes it by 'a'");
    assert_eq!(told(&["aa", "h"], ""), "no index has 'aa'; did you mean 'a'?");
}

#[test]
fn an_update_changes_as_little_as_it_can() {
    let workshop = Workshop::new();
    let old = [index(&workshop, "stable", |repository| {
        repository.package("a", "1", "Depends: b | c").package("b", "1", "").package("c", "1", "Depends: d");
        repository.package("d", "1", "").package("gone", "1", "").package("s", "1", "");
    })];
    let asked = list(&["a", "gone", "s"], "prefer = ['b']");
    let before = lock(&asked, &old, None).expect("there is a set").lock;
    let new = [
        index(&workshop, "next", |repository| {
            repository.package("a", "1", "Depends: b | c").package("a", "2", "Depends: b | c");
            repository
                .package("b", "1", "")
                .package("b", "2", "")
                .package("c", "2", "")
                .package("gone", "2", "");
            repository.package("s", "1", "");
        }),
        index(&workshop, "next-security", |repository| {
            repository.package("s", "1.1", "Depends: t").package("t", "1", "");
        }),
    ];
    let asked = list(&["a", "gone", "s"], "");
    let update = |scope| {
        let previous = Previous { lock: &before, scope };
        lock(&asked, &new, Some(&previous)).map(|resolved| resolved.lock)
    };
    let words = |scope| {
        let after = update(scope).expect("there is a set");
        let shown = changes(&before, &after).into_iter().map(|change| {
            format!("{} {} {}", change.change.as_str(), change.name, change.after.unwrap_or_default())
        });
        shown.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(words(UpdateScope::Least), "upgraded gone 2, upgraded s 1.1, added t 1");
    let name = |name: &str| PackageName::new(name).expect("it is a name");
    assert_eq!(
        words(UpdateScope::Named(vec![name("a")])),
        "upgraded a 2, upgraded gone 2, upgraded s 1.1, added t 1"
    );
    assert_eq!(
        words(UpdateScope::All),
        "upgraded a 2, upgraded b 2, upgraded gone 2, upgraded s 1.1, added t 1"
    );
    let error = update(UpdateScope::Named(vec![name("gon")])).expect_err("it is not locked");
    assert_eq!(error.to_string(), "the lock has no package 'gon'; did you mean 'gone'?");
    let back = changes(&update(UpdateScope::All).expect("there is a set"), &before);
    assert!(back.iter().any(|change| change.change == ChangeKind::Removed && change.name == "t"));
    assert!(back.iter().any(|change| change.change == ChangeKind::Downgraded && change.name == "a"));
}

#[test]
fn the_way_to_a_package_is_shown() {
    let workshop = Workshop::new();
    let indexes = [index(&workshop, "stable", |repository| {
        repository.package("a", "1", "Depends: b (>= 1)").package("b", "1", "Depends: virtual | x");
        repository.package("c", "1", "Provides: virtual");
    })];
    let asked = list(&["a"], "");
    let resolved = lock(&asked, &indexes, None).expect("there is a set");
    let universe = universe(&indexes, Family::Debian, &architecture(Family::Debian), 1).expect("it is right");
    let set = locked_packages(&resolved.lock, universe.as_ref());
    let requests = Requests::resolve(&asked, universe.as_ref(), &indexes).expect("they are known");
    let wanted = universe.named("c")[0];
    let chain = Chain::find(universe.as_ref(), requests.clauses(), &set, wanted).expect("it is right");
    let links = chain.expect("there is a way").links;
    let words: Vec<_> = links.iter().map(|link| (universe.name(link.package), &*link.relation)).collect();
    assert_eq!(words, [("a", "a"), ("b", "b (>= 1)"), ("c", "virtual | x")]);
}

#[test]
fn a_broken_entry_matters_only_to_who_needs_it() {
    let workshop = Workshop::new();
    let indexes = [index(&workshop, "stable", |repository| {
        repository.package("a", "1", "").package("b", "1", "Depends: ((").package("c", "1", "Depends: b");
    })];
    assert_eq!(packages(&lock(&list(&["a"], ""), &indexes, None).expect("there is a set")), "a=1");
    let error = lock(&list(&["c"], ""), &indexes, None).expect_err("it cannot be understood");
    assert!(matches!(&error, LockingError::Entry(_)));
    assert_eq!(error.to_string(), "package b of index 'stable': '((' is not a valid Depends");
}
