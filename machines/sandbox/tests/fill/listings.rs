//! Everything looks as the original's client showed it: before it is filled, while it is, and afterwards.

use std::sync::Arc;

use varve_sandbox::fill::{Service, Tree};
use varve_testkit::{Fixture, Scratch, assert_same, listing};

use crate::watched::{AsMounted, OPTIONS, deadline, in_place, snapshot, watched};

/// The published form of a link is told by mounts alone.
const RAW_LINK: usize = 11;
const OWNERS: std::ops::Range<usize> = 3..5;

#[test]
fn every_tag_looks_as_the_original_showed_it() {
    let is_root = rustix::process::geteuid().is_root();
    for fixture in Fixture::all() {
        let tags = fixture.tags().expect("a readable fixture");
        for tag in std::iter::once(None).chain(tags.iter().map(|tag| Some(tag.as_str()))) {
            let scratch = Scratch::new();
            let snapshot = snapshot(&fixture, tag, &scratch);
            let contents = Arc::new(AsMounted(snapshot.clone(), fixture.clone()));
            let path = scratch.path().join("tree");
            let tree = Tree::open(&path, snapshot, contents, &OPTIONS, deadline()).expect("a tree");
            let expected = fixture.expected_text(tag).expect("a readable fixture");
            let view = tree.view();
            for _ in ["filled while it is read", "filled already"] {
                let view = view.clone();
                let found = watched(in_place(&tree), Service::default(), move || listing(&view));
                assert_same(&expected, &found.expect("because all can be read"), &|_, field| {
                    field == RAW_LINK || (!is_root && OWNERS.contains(&field))
                });
            }
        }
    }
}
