//! Room that trees may take together.

use std::fs;
use std::time::{Duration, SystemTime};

use varve_sandbox::fill::{Service, bound};

use crate::watched::{deadline, in_place, tree_at, watched};
use crate::workshop::Workshop;

#[test]
fn the_longest_unused_go_and_those_in_use_stay() {
    let workshop = Workshop::new();
    workshop.write("dir/file", vec![7; 100_000], 0o444);
    workshop.write("dir/other", "not filled", 0o444);
    let snapshot = workshop.publish();
    let trees = workshop.scratch.directory("trees");
    let names = ["used", "older", "newer"];
    let mut opened = names.map(|name| Some(tree_at(&trees.join(name), &snapshot)));
    for (number, tree) in opened.iter().flatten().enumerate() {
        let file = tree.view().join("dir/file");
        watched(in_place(tree), Service::default(), move || fs::read(file)).expect("readable");
        let days = Duration::from_secs((100 - number as u64) * 86_400);
        let state = fs::File::options().write(true).open(trees.join(names[number]).join("state"));
        state.and_then(|state| state.set_modified(SystemTime::now() - days)).expect("it is ours");
    }
    for unused in &mut opened[1..] {
        *unused = None;
    }
    fs::create_dir_all(trees.join("gone.discarded-17/view")).expect("creatable");
    let left = || {
        let mut names: Vec<_> = fs::read_dir(&trees)
            .expect("it is there")
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };

    // Enough for all of them; then for two.
    assert_eq!(bound(&trees, 1 << 30).expect("they can be looked at").trees, 0);
    assert_eq!(left(), ["newer", "older", "used"]);
    let removed = bound(&trees, 300_000).expect("they can be removed");
    assert_eq!((removed.trees, removed.bytes > 100_000), (1, true));
    assert_eq!(left(), ["newer", "used"]);
    // The one in use is the oldest of all.
    assert_eq!(bound(&trees, 0).expect("they can be removed").trees, 1);
    assert_eq!(left(), ["used"]);
    let again = tree_at(&trees.join("older"), &snapshot);
    again.fill_all(2, &deadline).expect("it can be filled");
    assert_eq!(fs::read(again.view().join("dir/file")).expect("filled"), vec![7; 100_000]);
    drop((again, opened));
    assert_eq!(bound(&trees, 0).expect("they can be removed").trees, 2);
    assert_eq!(bound(&workshop.scratch.join("nowhere"), 0).expect("there is none").trees, 0);
}
