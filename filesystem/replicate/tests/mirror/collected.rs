//! Collection on a replica, and replications after it.

use std::num::NonZeroUsize;

use varve_publish::{
    CheckOptions, CollectRequest, Keep, LocalRepository, NoProgress, RepositoryLock, Silent, check,
    collect_replica, remove_tags,
};

use crate::workshop::{Original, at, request};

#[test]
fn what_the_source_has_no_longer_is_collected_and_copied_again_when_it_is_back() {
    let original = Original::new();
    for directory in 0..4 {
        for file in 0..10 {
            original.write(&format!("d{directory}/f{file}"), format!("{directory} {file}"));
        }
    }
    original.publish(10, "v1");
    let before = std::fs::read(original.tree.join("d1/f1")).expect("it was written");
    let replica = original.replica("replica");
    let mirror = || original.mirror(&original.source(), &replica, &request()).expect("replicated");
    mirror();
    for (seconds, tag) in [(20, "v2"), (30, "v3")] {
        original.write("d1/f1", format!("of {tag}"));
        original.publish(seconds, tag);
        mirror();
    }
    // The tags of the first go at the source, but those of the newest.
    let tags = varve_publish::list_tags(&original.local, at(30)).expect("readable");
    let old = tags.iter().filter(|tag| tag.revision == 2).map(|tag| tag.name.clone());
    remove_tags(&original.local, &old.collect::<Vec<_>>(), at(40)).expect("removable");
    mirror();
    let local = LocalRepository { directory: replica.root().to_owned(), ..original.local.clone() };
    let collect = |dry_run, seconds: u64| {
        let lock = RepositoryLock::take(replica.root()).expect("nobody else is at it");
        let keep = Keep::Since(2_100_000_000 + seconds);
        let collected = CollectRequest { keep, dry_run, threads: NonZeroUsize::MIN, now: at(50) };
        collect_replica(&local, &lock, &collected, &Silent).expect("possible")
    };
    // All of it was copied at one time, for this clock: what was shown since then stays.
    assert_eq!(collect(true, 0).revisions_removed, 0);
    let would = collect(true, 50);
    assert!(would.revisions_removed >= 1 && would.removed.objects > 0, "{would:?}");
    assert_eq!(collect(false, 50), would);
    original.check(&replica);
    let options = CheckOptions { data: false, threads: 1 };
    let report = check(&replica, &original.local.name, &original.trust(), at(50), options, &NoProgress);
    assert_eq!(report.orphans, 0, "{:?}", report.orphan_list);
    // What comes back is copied again.
    original.write("d1/f1", before);
    original.publish(60, "v4");
    let back = mirror();
    assert!(back.is_new && back.gone.is_empty(), "{back:?}");
    original.check(&replica);
}
