//! Debian's indexes: what is taken, and everything that must not be.

use std::fs;
use std::time::{Duration, SystemTime};

use varve_packages::{Family, Index, Keyring};
use varve_testkit::{Fault, FaultyServer, Rule};

use crate::repository::{DebianRepository, Signer, Workshop, architecture, gzip, list, lock, packages, told};

fn sample(workshop: &Workshop) -> DebianRepository {
    let mut repository = DebianRepository::new(&workshop.scratch, "stable");
    repository.package("a", "1", "Depends: b (>= 2) | c, d:any");
    repository.package("b", "1", "").package("c", "1", "").package("d", "1:0~rc1-2", "Multi-Arch: allowed");
    repository.publish();
    repository
}

#[test]
fn an_index_is_read_from_either_form_of_signature() {
    let workshop = Workshop::new();
    let repository = sample(&workshop);
    for in_one in [true, false] {
        if !in_one {
            fs::remove_file(repository.file("InRelease")).expect("it was there");
        }
        let index = workshop.fetch(&repository.source(), Family::Debian).expect("it is right");
        assert_eq!(index.locked.fingerprints.len(), 1);
        let resolved = lock(&list(&["a"], ""), &[index], None).expect("there is a set");
        assert_eq!(packages(&resolved), "a=1 c=1 d=1:0~rc1-2");
    }
}

#[test]
fn what_was_fetched_once_is_read_again_without_its_mirror() {
    let workshop = Workshop::new();
    let repository = sample(&workshop);
    let index = workshop.fetch(&repository.source(), Family::Debian).expect("it is right");
    let resolved = lock(&list(&["a"], ""), &[index], None).expect("there is a set");
    fs::remove_dir_all(&repository.directory).expect("it was there");
    let architecture = architecture(Family::Debian);
    let recall =
        |locked| Index::recall(locked, Family::Debian, &architecture, &workshop.archive).expect("it is kept");
    let indexes: Vec<Index> = resolved.lock.indexes.iter().map(recall).collect();
    let again = lock(&list(&["a"], ""), &indexes, None).expect("there is a set");
    assert_eq!(again.lock.to_text(), resolved.lock.to_text());
}

#[test]
fn nothing_that_nobody_trusted_has_signed_is_used() {
    let workshop = Workshop::new();
    let repository = sample(&workshop);
    let refused = |keyring: Keyring| {
        let mut source = repository.source();
        source.keyring = keyring;
        let error = workshop.fetch(&source, Family::Debian).expect_err("nobody vouches for it");
        told(&error)
    };
    let unknown = refused(Signer::new().keyring());
    assert!(unknown.contains("none of these keys is trusted for it"), "{unknown}");
    let none = refused(Keyring::default());
    assert!(none.ends_with("no keys are named that may sign it"), "{none}");

    // A byte of the text, and one of the signature.
    let path = repository.file("InRelease");
    let good = fs::read_to_string(&path).expect("it is there");
    for (from, to) in [("Suite: stable", "Suite: staple"), ("Components: main", "Components: main x")] {
        fs::write(&path, good.replace(from, to)).expect("the disk has room");
        let error = workshop.fetch(&repository.source(), Family::Debian).expect_err("it was changed");
        assert!(error.fault.is_integrity() && told(&error).contains("is not good"), "{}", told(&error));
    }
    for length in (0..good.len()).step_by(97) {
        fs::write(&path, &good[..length]).expect("the disk has room");
        assert!(workshop.fetch(&repository.source(), Family::Debian).is_err(), "{length}");
    }
    // Something before or behind what was signed.
    for text in [format!("Origin: evil\n{good}"), format!("{good}Origin: evil\n")] {
        fs::write(&path, text).expect("the disk has room");
        assert!(workshop.fetch(&repository.source(), Family::Debian).is_err());
    }
    fs::remove_file(&path).expect("it was there");
    fs::write(repository.file("Release.gpg"), Signer::new().detached(b"x")).expect("the disk has room");
    let error = workshop.fetch(&repository.source(), Family::Debian).expect_err("others signed it");
    assert!(told(&error).contains("none of these keys is trusted for it"), "{}", told(&error));
    fs::remove_file(repository.file("Release.gpg")).expect("it was there");
    let error = workshop.fetch(&repository.source(), Family::Debian).expect_err("nobody signed it");
    assert!(told(&error).ends_with("the signature cannot be read: there is none"), "{}", told(&error));
}

#[test]
fn expired_indexes_are_refused_unless_that_is_wanted() {
    let workshop = Workshop::new();
    let mut repository = sample(&workshop);
    repository.release = "Valid-Until: Thu, 08 Jan 2026 00:00:00 UTC\n".to_owned();
    repository.publish();
    let mut source = repository.source();
    let later = SystemTime::now() + Duration::from_secs(400 * 86_400);
    let error = workshop.fetch_at(&source, Family::Debian, later).expect_err("its time is over");
    assert!(told(&error).contains("was valid until 2026-01-08T00:00:00Z"), "{}", told(&error));
    source.check_age = false;
    workshop.fetch_at(&source, Family::Debian, later).expect("that is wanted");
    // Long before it was signed the machine's clock must be wrong.
    let early = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let error = workshop.fetch_at(&source, Family::Debian, early).expect_err("it was not signed yet");
    assert!(told(&error).contains("is this machine's clock right?"), "{}", told(&error));
}

#[test]
fn lists_are_what_the_signed_file_says() {
    let workshop = Workshop::new();
    let repository = sample(&workshop);
    let path = repository.file("main/binary-amd64/Packages.gz");
    let good = fs::read(&path).expect("it is there");
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("the disk has room");
        let error = workshop.fetch(&repository.source(), Family::Debian).expect_err("it was changed");
        assert!(error.fault.is_integrity(), "{}", told(&error));
        told(&error)
    };
    let mut other = good.clone();
    other[20] ^= 1;
    assert!(refused(&other).contains("is not what the signed index says"));
    assert!(refused(&good[..good.len() - 5]).contains("is not what the signed index says"));
    assert!(refused(&[&good[..], b"x"].concat()).contains("more than the"));
}

#[test]
fn what_grows_beyond_measure_is_not_read() {
    let workshop = Workshop::new();
    let repository = sample(&workshop);
    let bomb = gzip(&vec![b'\n'; 64 << 20]);
    repository.publish_list(&bomb, 1000);
    let error = workshop.fetch(&repository.source(), Family::Debian).expect_err("it is too large");
    assert!(told(&error).contains("is larger than the 1000 bytes"), "{}", told(&error));
    repository.publish_list(b"no gzip", 1000);
    let error = workshop.fetch(&repository.source(), Family::Debian).expect_err("it is none");
    assert!(told(&error).contains("cannot be decompressed"), "{}", told(&error));
    let text = b"Package: a\n\n";
    repository.publish_list(&gzip(text), text.len());
    let index = workshop.fetch(&repository.source(), Family::Debian).expect("only its text is wrong");
    let error = varve_packages::universe(&[index], Family::Debian, &architecture(Family::Debian), 1).err();
    assert!(error.is_some_and(|error| told(&error).contains("lacks Version")));
}

#[test]
fn lists_come_by_their_digest_where_the_mirror_has_them() {
    let workshop = Workshop::new();
    let mut repository = sample(&workshop);
    repository.release = "Acquire-By-Hash: yes\n".to_owned();
    repository.publish();
    let server = FaultyServer::new(&repository.directory);
    let mut source = repository.source();
    source.mirror = server.url().parse().expect("it is an address");
    // Announced, but not there: the plain name will do.
    workshop.fetch(&source, Family::Debian).expect("the list is there");
    assert_eq!((server.count("by-hash"), server.count("Packages.gz")), (1, 1));
    // A second time nothing but the signed file is asked for.
    server.forget_requests();
    workshop.fetch(&source, Family::Debian).expect("the list is kept");
    assert_eq!(server.requests().len(), 1);
    server.add(Rule::new("InRelease", Fault::Status(503)));
    let error = workshop.fetch(&source, Family::Debian).expect_err("the mirror is down");
    assert!(told(&error).contains("503"), "{}", told(&error));
}

#[test]
fn an_unknown_component_is_told() {
    let workshop = Workshop::new();
    let mut source = sample(&workshop).source();
    source.components = vec!["contrib".to_owned()];
    let error = workshop.fetch(&source, Family::Debian).expect_err("there is none");
    assert!(told(&error).contains("component 'contrib' and architecture amd64"), "{}", told(&error));
}
