//! Stopped at every step, a commit leaves the revision before or the new one, and the next one completes it.

use std::fs;

use varve_testkit::{Scratch, TreeBuilder};

use super::*;
use crate::failing::{assert_sound, at, copy, created, failing_after, local};
use crate::progress::Silent;
use crate::publish::{PublishRequest, publish};

fn request() -> CommitRequest {
    CommitRequest { tag: None, threads: NonZeroUsize::MIN, memory: 1 << 20, now: at(50) }
}

/// A repository with an open transaction that has changed something in two catalogs.
fn opened(home: &Path) -> LocalRepository {
    let local = created(home);
    let tree = home.join("tree");
    fs::create_dir_all(&tree).expect("creatable");
    TreeBuilder::new(&tree)
        .file("a/.cvmfscatalog", "")
        .file("a/file", "1")
        .file("b/.cvmfscatalog", "")
        .file("b/file", "2")
        .finish();
    let published = PublishRequest {
        tree: &tree,
        at: RepositoryPath::ROOT,
        tag: None,
        read_everything: false,
        threads: NonZeroUsize::MIN,
        memory: 1 << 20,
        now: at(10),
    };
    publish(&local, &published, &Silent).expect("publishable");
    let begin = BeginRequest { at: RepositoryPath::ROOT, view: None, private: true, now: at(20) };
    let transaction = Transaction::begin(&local, &begin).expect("none is open");
    TreeBuilder::new(&transaction.upper()).file("a/file", "other").file("new", "3").finish();
    local
}

fn found(local: &LocalRepository) -> Transaction {
    Transaction::find(local).expect("readable").expect("it is open")
}

fn head(local: &LocalRepository) -> (u64, ContentHash) {
    let publisher = Publisher::open(local, Expiry::Refused, at(50)).expect("nobody else is at it");
    (publisher.head.manifest.revision, publisher.head.manifest.root_catalog)
}

#[test]
fn stopped_at_every_step_it_is_sound_and_completed_by_the_next() {
    let scratch = Scratch::new();
    let before = head(&opened(scratch.path()));
    for steps in 0.. {
        let home = Scratch::new();
        copy(scratch.path(), home.path());
        let local = local(home.path());
        let stopped = {
            let mut publisher = Publisher::open(&local, Expiry::Refused, at(50)).expect("nobody else");
            publisher.head.store = failing_after(&local, steps);
            found(&local).commit_as(&publisher, &local, &request(), &Silent)
        };
        let when = format!("stopped at step {steps}");
        assert_sound(&local, &when);
        assert_eq!(head(&local) == before, stopped.is_err(), "{when}");
        // Also if it had only been killed before it could say so.
        let published = found(&local).commit(&local, &request(), &Silent).expect("possible");
        assert!(published.is_new);
        assert_sound(&local, &format!("{when}, then completed"));
        assert_eq!(head(&local), (before.0 + 1, published.root_catalog), "{when}");
        found(&local).close(&local).expect("removable");
        assert!(Transaction::find(&local).expect("readable").is_none());
        if stopped.is_ok() {
            assert!(steps > 8, "a commit has more than {steps} steps");
            return;
        }
    }
}

#[test]
fn a_repository_that_has_changed_otherwise_is_not_committed_to() {
    let scratch = Scratch::new();
    let local = opened(scratch.path());
    let transaction = found(&local);
    fs::rename(&local.transaction, scratch.join("aside")).expect("renamable");
    crate::rollback::roll_back(&local, None, at(30)).expect("possible");
    fs::rename(scratch.join("aside"), &local.transaction).expect("renamable");
    let refused = transaction.commit(&local, &request(), &Silent).expect_err("because it is stale");
    assert!(matches!(refused, PublishError::Transaction(TransactionError::Stale { .. })), "{refused}");
    assert_sound(&local, "refused");
}
