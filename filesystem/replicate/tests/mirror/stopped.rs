//! Stopped at every step, a replica shows what it showed before, and the next replication completes it.

use varve_content::ObjectName;
use varve_replicate::{MirrorError, MirrorRequest};
use varve_store::{DirectoryStore, FailingStore, ObjectStore as _};

use crate::workshop::{Original, request};

/// The store once more.
fn same(replica: &DirectoryStore) -> DirectoryStore {
    DirectoryStore::open(replica.root()).expect("it was made")
}

fn published() -> Original {
    let original = Original::new();
    for directory in 0..3 {
        for file in 0..5 {
            original.write(&format!("d{directory}/f{file}"), format!("{directory} {file}").repeat(20));
        }
    }
    original.publish(10, "v1");
    original
}

/// Replicates with a stop after every number of steps, until one is not stopped; how many were.
fn stop_everywhere(
    original: &Original,
    request: &MirrorRequest,
    mut replica: impl FnMut(u64) -> DirectoryStore,
) -> u64 {
    for steps in 0.. {
        let replica = replica(steps);
        let shows_something = replica.root().join(".cvmfspublished").exists();
        let stopping = FailingStore::after(same(&replica), steps);
        match original.mirror(&original.source(), &stopping, request) {
            Ok(_) => return steps,
            Err(error) => assert!(matches!(error, MirrorError::Replica(_)), "{error}"),
        }
        if shows_something {
            original.check(&replica);
        }
        original.mirror(&original.source(), &replica, request).expect("the next one completes it");
        original.check(&replica);
    }
    unreachable!("a replication has an end")
}

#[test]
fn a_first_replication() {
    let original = published();
    // Tags, catalogs, files: each new.
    let steps = stop_everywhere(&original, &request(), |steps| original.replica(&format!("replica-{steps}")));
    assert!(steps > 25, "{steps}");
}

#[test]
fn a_later_replication_also_when_nothing_is_known_of_the_machine() {
    let original = published();
    let first = original.replica("first");
    original.mirror(&original.source(), &first, &request()).expect("replicated");
    for directory in 0..3 {
        original.write(&format!("d{directory}/f1"), "changed");
    }
    original.publish(20, "v2");
    for boot in [Some("boot".to_owned()), None] {
        let request = MirrorRequest { boot: boot.clone(), ..request() };
        let steps = stop_everywhere(&original, &request, |steps| {
            let place = original.scratch.path().join(format!("{}-{steps}", boot.is_some()));
            let copied = std::process::Command::new("cp").arg("-r").arg(first.root()).arg(&place).status();
            assert!(copied.expect("cp is there").success());
            DirectoryStore::open(place).expect("it was copied")
        });
        assert!(steps > 10, "{steps}");
    }
}

#[test]
fn what_a_loss_of_power_left_is_not_relied_on() {
    let original = published();
    let replica = original.replica("replica");
    let stopping = FailingStore::after(same(&replica), 20);
    original.mirror(&original.source(), &stopping, &request()).expect_err("stopped");
    // Files have their names and sizes, but not their bytes.
    let mut damaged = 0;
    let mut damage = |name: ObjectName, size: u64| {
        let path = replica.root().join("data").join(name.path());
        std::fs::remove_file(&path).expect("removable");
        std::fs::write(&path, vec![0; if damaged % 2 == 0 { 0 } else { size as usize }]).expect("writable");
        damaged += 1;
        Ok(())
    };
    replica.list(&mut damage).expect("readable");
    assert!(damaged > 5, "{damaged}");
    let later = MirrorRequest { boot: Some("another".to_owned()), ..request() };
    original.mirror(&original.source(), &replica, &later).expect("replicated");
    original.check(&replica);
}
