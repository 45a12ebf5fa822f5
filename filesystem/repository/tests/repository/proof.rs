//! Proofs of what CernVM-FS published: they hold, and nothing else does.

use std::fs;
use std::time::{Duration, SystemTime};

use varve_content::{Algorithm, ObjectKind, ObjectName};
use varve_repository::{Proof, ProofAge, PublicKeys, RepositoryError, RepositoryName, TrustError};
use varve_store::{DirectoryStore, RepositoryFile, StoreError};
use varve_testkit::{Fixture, Scratch};

/// After the fixtures were made, before their whitelists end.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_300_000)
}

/// After their whitelists have ended.
fn much_later() -> SystemTime {
    now() + Duration::from_secs(40 * 365 * 24 * 3600)
}

fn proof_of(fixture: &Fixture) -> (RepositoryName, Proof, PublicKeys) {
    let name: RepositoryName = fixture.name().parse().expect("a name");
    let store = DirectoryStore::open(fixture.served()).expect("a store");
    let proof = Proof::read(&name, &store).expect("a proof");
    let keys = PublicKeys::load(&[fixture.public_key()]).expect("a key");
    (name, proof, keys)
}

#[test]
fn roots_of_manifest_and_tags_are_proved() {
    for fixture in Fixture::all() {
        let (_, proof, keys) = proof_of(&fixture);
        let proven = proof.verify(&keys, ProofAge::New, now()).expect("genuine");
        assert_eq!(vec![proven.key()], keys.fingerprints());
        let newest = proven.root(&proven.manifest().root_catalog).expect("the newest");
        assert!(newest.revisions.contains(&proven.manifest().revision));
        assert!(!proven.history().tags().is_empty());
        for tag in proven.history().tags() {
            let root = proven.root(&tag.root_catalog).expect("because it has a tag");
            assert!(root.revisions.contains(&tag.revision), "{}", tag.name);
            assert_eq!(root.tags.contains(&tag.name), !tag.name.as_str().starts_with("trunk"));
        }
        assert!(proven.root(&Algorithm::Sha1.hash(b"never published")).is_none());
    }
}

#[test]
fn a_kept_proof_outlives_the_whitelist() {
    for fixture in Fixture::all() {
        let (name, proof, keys) = proof_of(&fixture);
        let late = proof.verify(&keys, ProofAge::New, much_later());
        assert!(matches!(late, Err(RepositoryError::Trust(TrustError::WhitelistExpired { .. }))));
        proof.verify(&keys, ProofAge::Kept, much_later()).expect("it was valid when it was kept");
        let scratch = Scratch::new();
        fs::create_dir(scratch.join("data")).expect("a writable directory");
        let kept = DirectoryStore::open(scratch.path()).expect("a store");
        proof.store(&kept).expect("stored");
        assert_eq!(Proof::read(&name, &kept).expect("a proof"), proof);
    }
}

#[test]
fn what_others_signed_or_changed_is_refused() {
    let fixtures = Fixture::all();
    let (name, proof, keys) = proof_of(&fixtures[0]);
    let (_, other, others_keys) = proof_of(&fixtures[1]);
    let of = |proof: &Proof, file: RepositoryFile| {
        proof.files().find(|(other, _)| *other == file).map(|(_, bytes)| bytes.to_vec())
    };
    let object = |name: &ObjectName| {
        proof.objects().find(|(other, _)| *other == name).map(|(_, stored)| stored.to_vec())
    };
    let verify = |proof: Result<Proof, RepositoryError>, keys: &PublicKeys| {
        proof?.verify(keys, ProofAge::New, now()).map(drop)
    };
    verify(Proof::assemble(&name, |file| of(&proof, file), object), &keys).expect("genuine");
    // Among several keys the one that signed is found.
    let mut both = others_keys.clone();
    both.extend(keys.clone());
    assert_eq!(proof.verify(&both, ProofAge::New, now()).expect("genuine").key(), keys.fingerprints()[0]);

    let wrong_key = verify(Ok(proof.clone()), &others_keys);
    assert!(
        matches!(wrong_key, Err(RepositoryError::Trust(TrustError::WhitelistSignature { .. }))),
        "{wrong_key:?}"
    );
    assert!(verify(Ok(proof.clone()), &PublicKeys::default()).is_err());
    for file in [RepositoryFile::Manifest, RepositoryFile::Whitelist] {
        let mixed = |wanted| if wanted == file { of(&other, wanted) } else { of(&proof, wanted) };
        assert!(
            verify(Proof::assemble(&name, mixed, object), &both).is_err(),
            "{file} of another repository"
        );
        let changed = |wanted| {
            let mut bytes = of(&proof, wanted)?;
            if wanted == file {
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
            }
            Some(bytes)
        };
        assert!(verify(Proof::assemble(&name, changed, object), &keys).is_err(), "{file} changed");
        let missing = |wanted| of(&proof, wanted).filter(|_| wanted != file);
        assert!(Proof::assemble(&name, missing, object).is_err(), "without {file}");
    }
    for kind in [ObjectKind::Certificate, ObjectKind::History] {
        let missing = |name: &ObjectName| object(name).filter(|_| name.kind != kind);
        assert!(Proof::assemble(&name, |file| of(&proof, file), missing).is_err());
        let changed = |name: &ObjectName| {
            let mut bytes = object(name)?;
            bytes[0] ^= u8::from(name.kind == kind);
            Some(bytes)
        };
        let refused = verify(Proof::assemble(&name, |file| of(&proof, file), changed), &keys);
        assert!(matches!(refused, Err(RepositoryError::Store(StoreError::WrongHash { .. }))), "{refused:?}");
    }
}
