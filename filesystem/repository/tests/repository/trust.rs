//! The chain of trust on what CernVM-FS signed, and each way in which it breaks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use varve_content::Algorithm;
use varve_repository::{
    Certificate, Evidence, ManifestError, PublicKeys, SignedManifest, SignedWhitelist, SigningKeys, Trust,
    TrustError,
};

use crate::fixture::{Fixture, now};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn the_fixtures_verify_and_say_what_the_original_says() {
    for fixture in Fixture::all() {
        let manifest = fixture
            .verify(&fixture.file("served/.cvmfspublished"), &fixture.file("served/.cvmfswhitelist"))
            .expect("a whole chain");
        let listing = fixture.text("manifest.txt");
        assert_eq!(
            manifest.fields().text(),
            listing.split_inclusive("--").next().expect("lines").replace("--", "")
        );
        assert_eq!(manifest.repository, fixture.name);
        assert_eq!(manifest.to_bytes(), fixture.file("served/.cvmfspublished"));
        let reflog = manifest.reflog.expect("a reflog").to_string();
        assert_eq!(reflog, fixture.text("conf/reflog.chksum"));
    }
}

#[test]
fn public_keys_are_shown_as_the_original_shows_them() {
    for fixture in Fixture::all() {
        let magic = fixture.text("magic.txt");
        let line = magic.lines().find_map(|line| line.strip_prefix("#root\tpubkeys\t")).expect("a line");
        assert_eq!(fixture.trust().keys.to_pem(), line.replace("\\x0a", "\n"));
        assert_eq!(PublicKeys::load(&[fixture.keys()]).expect("a directory of keys").len(), 1);
    }
}

#[test]
fn every_key_is_tried() {
    let [fix1, fix2] = Fixture::all();
    let whitelist = fix1.file("served/.cvmfswhitelist");
    let mut trust = fix2.trust();
    let refused = trust.verify_whitelist(&fix1.name, &whitelist, None, now()).expect_err("a foreign key");
    assert!(matches!(refused, TrustError::WhitelistSignature { keys: 1, .. }), "{refused}");
    trust.keys.extend(fix1.trust().keys);
    trust.verify_whitelist(&fix1.name, &whitelist, None, now()).expect("the second key fits");
    let nobody = Trust::default().verify_whitelist(&fix1.name, &whitelist, None, now());
    assert!(matches!(nobody, Err(TrustError::NoKeys { .. })));
}

#[test]
fn a_forged_manifest_is_refused() {
    let fixture = Fixture::new("fix1.lab.example");
    let whitelist = fixture.file("served/.cvmfswhitelist");
    let published = fixture.file("served/.cvmfspublished");
    let last = published.len() - 1;
    let mut flipped = published.clone();
    flipped[last] ^= 1;
    let refused = fixture.verify(&flipped, &whitelist).expect_err("a flipped bit in the signature");
    assert!(matches!(refused, TrustError::ManifestSignature { .. }), "{refused}");

    // Another revision under the same signature, with a hash that fits.
    let text = fixture.signed_manifest().claims().text().replace("\nS6\n", "\nS7\n");
    let mut forged = format!("{text}--\n{}\n", Algorithm::Sha1.hash(text.as_bytes())).into_bytes();
    forged.extend_from_slice(&published[published.len() - 256..]);
    let refused = fixture.verify(&forged, &whitelist).expect_err("a changed text");
    assert!(matches!(refused, TrustError::ManifestSignature { .. }), "{refused}");

    // The text changed, the hash not.
    let mut changed = published;
    changed[1] ^= 1;
    assert!(matches!(SignedManifest::parse(&changed), Err(ManifestError::Letter(_))));
}

#[test]
fn what_belongs_to_another_repository_is_refused() {
    let [fix1, fix2] = Fixture::all();
    let (own, foreign) = (fix1.file("served/.cvmfswhitelist"), fix2.file("served/.cvmfswhitelist"));
    let refused = fix1.verify(&fix2.file("served/.cvmfspublished"), &own).expect_err("a foreign manifest");
    assert!(matches!(refused, TrustError::ManifestName { .. }), "{refused}");
    let refused =
        fix1.verify(&fix1.file("served/.cvmfspublished"), &foreign).expect_err("a foreign whitelist");
    assert!(matches!(refused, TrustError::WhitelistName { .. }), "{refused}");
    let message = refused.to_string();
    assert_eq!(message, "whitelist that came for fix1.lab.example belongs to 'fix2-rmd160.lab.example'");
}

#[test]
fn a_swapped_certificate_is_refused() {
    let [fix1, fix2] = Fixture::all();
    let whitelist = fix1.file("served/.cvmfswhitelist");
    let evidence = Evidence { whitelist: &whitelist, pkcs7: None, certificate: &fix2.certificate() };
    let refused = fix1.trust().verify(&fix1.name, fix1.signed_manifest(), &evidence, now());
    assert!(matches!(refused, Err(TrustError::CertificateNotListed { .. })), "{refused:?}");
    let evidence = Evidence { whitelist: &whitelist, pkcs7: None, certificate: b"<html>" };
    let refused = fix1.trust().verify(&fix1.name, fix1.signed_manifest(), &evidence, now());
    assert!(matches!(refused, Err(TrustError::Certificate { .. })), "{refused:?}");

    // A certificate that the whitelist names too, but that did not sign this manifest.
    let other = SigningKeys::generate(&fix1.name, now(), DAY).expect("keys");
    let whitelist = fix1
        .signing_keys()
        .sign_whitelist(
            now(),
            now() + DAY,
            &[other.certificate().fingerprint(Algorithm::Sha1)],
            Algorithm::Sha1,
        )
        .expect("a whitelist");
    let evidence = Evidence { whitelist: &whitelist, pkcs7: None, certificate: other.certificate().pem() };
    let refused = fix1.trust().verify(&fix1.name, fix1.signed_manifest(), &evidence, now());
    assert!(matches!(refused, Err(TrustError::ManifestSignature { .. })), "{refused:?}");
}

#[test]
fn an_expired_whitelist_is_refused_but_for_kept_ones() {
    let fixture = Fixture::new("fix1.lab.example");
    let whitelist = fixture.file("served/.cvmfswhitelist");
    // It says E20510713003622: valid until 23:59:59 of the day before.
    let last: SystemTime = UNIX_EPOCH + Duration::from_secs(2_572_819_199);
    let trust = fixture.trust();
    trust.verify_whitelist(&fixture.name, &whitelist, None, last).expect("valid in the hour before");
    let after = last + Duration::from_secs(1);
    let refused = trust.verify_whitelist(&fixture.name, &whitelist, None, after).expect_err("over");
    assert_eq!(refused.to_string(), "whitelist of fix1.lab.example expired at 2051-07-13 00:00 UTC");
    assert!(refused.hint().contains("clock"));
    trust.verify_kept_whitelist(&fixture.name, &whitelist, None, after).expect("kept ones don't expire");
}

#[test]
fn damaged_whitelists_are_refused() {
    let fixture = Fixture::new("fix2-rmd160.lab.example");
    let trust = fixture.trust();
    let verify = |bytes: &[u8]| trust.verify_whitelist(&fixture.name, bytes, None, now());
    let mut whitelist = fixture.file("served/.cvmfswhitelist");
    verify(&whitelist).expect("the original's");
    *whitelist.last_mut().expect("a signature") ^= 1;
    assert!(matches!(verify(&whitelist), Err(TrustError::WhitelistSignature { .. })));
    assert!(matches!(verify(&whitelist[..150]), Err(TrustError::Whitelist { .. })));
    assert!(matches!(verify(b""), Err(TrustError::Whitelist { .. })));
    assert!(matches!(verify(b"<html>"), Err(TrustError::Whitelist { .. })));
}

#[test]
fn the_blacklist_wins() {
    let fixture = Fixture::new("fix1.lab.example");
    let (published, whitelist, certificate) =
        (fixture.signed_manifest(), fixture.file("served/.cvmfswhitelist"), fixture.certificate());
    let evidence = Evidence { whitelist: &whitelist, pkcs7: None, certificate: &certificate };
    let verify = |rules: &str| {
        let mut trust = fixture.trust();
        trust.blacklist.add(rules.as_bytes());
        trust.verify(&fixture.name, published.clone(), &evidence, now())
    };
    verify("<fix1.lab.example 6\n<fix2.lab.example 9\n").expect("revision 6 is not below 6");
    let refused = verify("<fix1.lab.example 7\n").expect_err("revision 6 is below 7");
    assert!(matches!(refused, TrustError::RevisionBlacklisted { revision: 6, lowest: 7, .. }), "{refused}");
    for algorithm in Algorithm::ALL {
        let own = Certificate::from_pem(&certificate).expect("a certificate").fingerprint(algorithm);
        let refused = verify(&format!("{} # stolen\n", own.fingerprint())).expect_err("blacklisted");
        assert!(matches!(refused, TrustError::CertificateBlacklisted { .. }), "{refused}");
    }
}

#[test]
fn absent_fields_have_their_defaults() {
    let text = "Cda39a3ee5e6b4b0d3255bfef95601890afd80709\nRd41d8cd98f00b204e9800998ecf8427e\nD240\nNa.example\nZx\n\n?";
    let fields = varve_repository::ManifestFields::parse(text).expect("all that is needed");
    assert_eq!((fields.revision, fields.published, fields.root_catalog_size), (0, 0, 0));
    assert!(!fields.garbage_collectable && fields.history.is_none());
    for letter in ["C", "R", "D", "N"] {
        let without: String =
            text.lines().filter(|line| !line.starts_with(letter)).collect::<Vec<_>>().join("\n");
        let error = varve_repository::ManifestFields::parse(&without).expect_err("a missing line");
        assert_eq!(error.to_string(), format!("manifest has no line '{letter}'"));
    }
    let other = text.replace("Rd4", "Rd5");
    assert_eq!(varve_repository::ManifestFields::parse(&other), Err(ManifestError::RootPath));
}

/// Bytes of the fixtures with some of them replaced, removed or doubled.
fn mutated(seed: &'static [fn() -> Vec<u8>]) -> impl Strategy<Value = Vec<u8>> {
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 0..8);
    (prop::sample::select(seed), edits).prop_map(|(seed, edits)| {
        let mut bytes = seed();
        for (at, value, kind) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = value,
                1 => bytes[at] ^= 1 << (value % 8),
                2 => bytes.truncate(at),
                _ => drop(bytes.splice(at..at, [value, b'\n'])),
            }
        }
        bytes
    })
}

const SEEDS: &[fn() -> Vec<u8>] = &[
    || Fixture::new("fix1.lab.example").file("served/.cvmfspublished"),
    || Fixture::new("fix2-rmd160.lab.example").file("served/.cvmfspublished"),
    || Fixture::new("fix1.lab.example").file("served/.cvmfswhitelist"),
    || Fixture::new("fix2-rmd160.lab.example").file("served/.cvmfswhitelist"),
    || Fixture::new("fix1.lab.example").certificate(),
    || include_bytes!("../pkcs7/fix1.pkcs7").to_vec(),
    || include_bytes!("../pkcs7/revocations.pem").to_vec(),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// No bytes make a parser panic, and none but the original's verify.
    #[test]
    fn changed_bytes_never_panic_and_never_verify(bytes in mutated(SEEDS)) {
        let fixture = Fixture::new("fix1.lab.example");
        let original = bytes == fixture.file("served/.cvmfspublished")
            || bytes == fixture.file("served/.cvmfswhitelist");
        let mut trust = fixture.trust();
        trust.blacklist.add(&bytes);
        trust.authorities.add_pem(&bytes);
        trust.authorities.add_pem(include_bytes!("../pkcs7/authority.pem"));
        let _ = Certificate::from_pem(&bytes);
        let _ = PublicKeys::from_pem(&bytes);
        let _ = SignedWhitelist::parse(&bytes);
        let asking = include_bytes!("../pkcs7/whitelist");
        let _ = trust.verify_whitelist(&fixture.name, asking, Some(&bytes), now());
        prop_assert_eq!(trust.verify_whitelist(&fixture.name, &bytes, None, now()).is_ok()
            || SignedManifest::parse(&bytes).is_ok_and(|manifest| {
                let evidence = Evidence {
                    whitelist: &fixture.file("served/.cvmfswhitelist"),
                    pkcs7: None,
                    certificate: &fixture.certificate(),
                };
                fixture.trust().verify(&fixture.name, manifest, &evidence, now()).is_ok()
            }), original);
    }
}
