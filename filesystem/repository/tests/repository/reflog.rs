//! The log of references: the original's is read, ours has its schema.

use proptest::prelude::*;
use varve_content::{Algorithm, ObjectKind, ObjectName};
use varve_repository::{LoggedObject, Reflog};

use crate::fixture::Fixture;
use crate::history::schema;

#[test]
fn the_fixtures_are_read_and_written_alike() {
    for fixture in Fixture::all() {
        let bytes = fixture.file("served/.cvmfsreflog");
        let manifest = fixture.signed_manifest();
        let claims = manifest.claims();
        assert_eq!(Some(Reflog::hash(&bytes, claims.root_catalog.algorithm())), claims.reflog);
        let reflog = Reflog::read(&bytes).expect("a reflog");
        assert_eq!(*reflog.repository(), fixture.name);
        for (hash, kind) in [
            (Some(claims.root_catalog), ObjectKind::Catalog),
            (claims.certificate, ObjectKind::Certificate),
            (claims.history, ObjectKind::History),
            (claims.meta_info, ObjectKind::MetaInfo),
        ] {
            assert!(reflog.contains(&ObjectName::new(hash.expect("a hash"), kind)));
        }
        let written = reflog.to_bytes().expect("a database");
        assert_eq!(Reflog::read(&written).expect("a reflog"), reflog);
        assert_eq!(schema(&written), schema(&bytes));
        assert_eq!(reflog.to_bytes().expect("a database"), written, "the same objects give the same bytes");
    }
}

#[test]
fn an_object_is_logged_once() {
    let mut reflog = Reflog::new("a.example".parse().expect("a name"));
    let object = |text: &str, kind, logged| LoggedObject {
        name: ObjectName::new(Algorithm::Shake128.hash(text.as_bytes()), kind),
        logged,
    };
    assert!(reflog.insert(object("a", ObjectKind::Catalog, 1)));
    assert!(!reflog.insert(object("a", ObjectKind::Catalog, 2)), "the first time counts");
    assert!(!reflog.insert(object("f", ObjectKind::File, 2)), "files are not logged");
    assert!(reflog.insert(object("b", ObjectKind::History, 3)));
    reflog.retain(|object| object.logged > 1);
    assert_eq!(reflog.objects(), [object("b", ObjectKind::History, 3)]);
    assert!(reflog.insert(object("a", ObjectKind::Catalog, 4)), "removed ones can come back");
    assert!(reflog.contains(&object("a", ObjectKind::Catalog, 0).name));
    assert!(!reflog.contains(&object("a", ObjectKind::History, 0).name));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn changed_bytes_never_panic(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
        let mut changed = Fixture::new("fix2-rmd160.lab.example").file("served/.cvmfsreflog");
        for (at, value) in edits {
            *at.get_mut(&mut changed) = value;
        }
        if let Ok(reflog) = Reflog::read(&changed) {
            let _ = reflog.to_bytes();
        }
    }
}
