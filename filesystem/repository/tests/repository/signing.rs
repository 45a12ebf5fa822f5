//! The publisher's half: what it signs is what CernVM-FS signs, byte for byte.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use rsa::pkcs8::EncodePrivateKey as _;
use varve_content::Algorithm;
use varve_repository::{Certificate, Evidence, SignedManifest, SigningError, SigningKeys, Trust};

use crate::fixture::{Fixture, now};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

#[test]
fn signatures_equal_the_originals() {
    let seconds = |text: &str| -> std::time::SystemTime {
        let time: jiff::civil::DateTime = text.parse().expect("a time");
        jiff::tz::TimeZone::UTC.to_timestamp(time).expect("in range").into()
    };
    for (fixture, issued, expires, algorithm) in [
        (Fixture::new("fix1.lab.example"), "20261121T003622", "20510713T003622", Algorithm::Sha1),
        (Fixture::new("fix2-rmd160.lab.example"), "", "", Algorithm::Rmd160),
    ] {
        let keys = fixture.signing_keys();
        let manifest =
            keys.sign_manifest(fixture.signed_manifest().claims().clone(), algorithm).expect("a signature");
        assert_eq!(manifest.to_bytes(), fixture.file("served/.cvmfspublished"));

        let original = fixture.file("served/.cvmfswhitelist");
        let text = String::from_utf8_lossy(&original);
        let stamp = |line: &str| format!("{}T{}", &line[..8], &line[8..]);
        let lines: Vec<&str> = text.lines().take(2).collect();
        let (first, second) = (stamp(lines[0]), stamp(&lines[1][1..]));
        if !issued.is_empty() {
            assert_eq!((first.as_str(), second.as_str()), (issued, expires));
        }
        let whitelist =
            keys.sign_whitelist(seconds(&first), seconds(&second), &[], algorithm).expect("a signature");
        assert_eq!(whitelist, original);
    }
}

#[test]
fn new_keys_sign_and_are_read_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let name = "a-very-long-name.of-a-repository.that-does-not-fit.into-a-common-name.example.org";
    let name = name.parse().expect("a repository's name");
    let keys = SigningKeys::generate(&name, now(), 30 * YEAR).expect("keys");
    keys.save(directory.path()).expect("an empty directory");
    for (extension, mode) in [("masterkey", 0o600), ("key", 0o600), ("pub", 0o644), ("crt", 0o644)] {
        let data = fs::metadata(directory.path().join(format!("{name}.{extension}"))).expect("a file");
        assert_eq!(data.permissions().mode() & 0o777, mode, "{extension}");
    }
    assert!(matches!(keys.save(directory.path()), Err(SigningError::Write { .. })), "nothing is overwritten");

    let read = SigningKeys::load(directory.path(), &name).expect("what was written");
    let fixture = Fixture::new("fix1.lab.example");
    let mut fields = fixture.signed_manifest().claims().clone();
    assert!(matches!(
        read.sign_manifest(fields.clone(), Algorithm::Sha1),
        Err(SigningError::OtherRepository { .. })
    ));
    fields.repository = name.clone();
    for algorithm in Algorithm::ALL {
        let manifest = read.sign_manifest(fields.clone(), algorithm).expect("a manifest");
        let whitelist = read.sign_whitelist(now(), now() + YEAR, &[], algorithm).expect("a whitelist");
        let evidence = Evidence { whitelist: &whitelist, pkcs7: None, certificate: keys.certificate().pem() };
        let signed = SignedManifest::parse(&manifest.to_bytes()).expect("a manifest");
        let trust = Trust::in_keys(keys.public_keys().expect("a master key"));
        assert_eq!(trust.verify(&name, signed, &evidence, now()).expect("a whole chain"), manifest);
    }

    // Without the master key, manifests can still be signed.
    fs::remove_file(directory.path().join(format!("{name}.masterkey"))).expect("a file");
    let read = SigningKeys::load(directory.path(), &name).expect("keys without a master key");
    read.sign_manifest(fields, Algorithm::Sha1).expect("a manifest");
    let refused = read.sign_whitelist(now(), now() + YEAR, &[], Algorithm::Sha1);
    assert!(matches!(refused, Err(SigningError::NoMasterKey { .. })));
}

#[test]
fn both_forms_of_private_keys_are_read() {
    let fixture = Fixture::new("fix1.lab.example");
    let directory = tempfile::tempdir().expect("a directory");
    let name = &fixture.name;
    for extension in ["key", "masterkey"] {
        let text = fixture.text(&format!("keys/{name}.{extension}"));
        assert!(text.starts_with("-----BEGIN RSA PRIVATE KEY-----"), "PKCS #1");
        let key: rsa::RsaPrivateKey = rsa::pkcs1::DecodeRsaPrivateKey::from_pkcs1_pem(&text).expect("a key");
        let text = key.to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).expect("PKCS #8");
        fs::write(directory.path().join(format!("{name}.{extension}")), text.as_bytes()).expect("a file");
    }
    let certificate = directory.path().join(format!("{name}.crt"));
    fs::write(&certificate, fixture.certificate()).expect("a file");
    let keys = SigningKeys::load(directory.path(), name).expect("PKCS #8 keys");
    let manifest =
        keys.sign_manifest(fixture.signed_manifest().claims().clone(), Algorithm::Sha1).expect("a signature");
    assert_eq!(manifest.to_bytes(), fixture.file("served/.cvmfspublished"));

    fs::write(&certificate, Fixture::new("fix2-rmd160.lab.example").certificate()).expect("a file");
    assert!(matches!(SigningKeys::load(directory.path(), name), Err(SigningError::Mismatch { .. })));
    fs::write(directory.path().join(format!("{name}.key")), "no key").expect("a file");
    assert!(matches!(SigningKeys::load(directory.path(), name), Err(SigningError::Key { .. })));
}

#[test]
fn a_certificate_is_what_other_programs_read() {
    let name = "a.example".parse().expect("a repository's name");
    let keys = SigningKeys::generate(&name, now(), YEAR).expect("keys");
    let pem = keys.certificate().pem();
    assert!(
        pem.starts_with(b"-----BEGIN CERTIFICATE-----\n") && pem.ends_with(b"-----END CERTIFICATE-----\n")
    );
    assert_eq!(Certificate::from_pem(pem).expect("a certificate").subject(), "CN=a.example");
    assert!(!format!("{keys:?}").contains("private"));
}
