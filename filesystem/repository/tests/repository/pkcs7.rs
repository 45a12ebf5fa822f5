//! Whitelists in PKCS #7, signed with OpenSSL (see `tests/pkcs7/make.sh`).

use std::time::{Duration, UNIX_EPOCH};

use varve_repository::{CertificateAuthorities, Evidence, Pkcs7Error, Trust, TrustError, Whitelist};

use crate::fixture::{Fixture, now};

const WHITELIST: &[u8] = include_bytes!("../pkcs7/whitelist");
const FIX1: &[u8] = include_bytes!("../pkcs7/fix1.pkcs7");
const OTHER: &[u8] = include_bytes!("../pkcs7/other.pkcs7");
const RENAMED: &[u8] = include_bytes!("../pkcs7/renamed.pkcs7");
const AUTHORITY: &[u8] = include_bytes!("../pkcs7/authority.pem");
const REVOCATIONS: &[u8] = include_bytes!("../pkcs7/revocations.pem");

fn trust(texts: &[&[u8]]) -> Trust {
    let mut authorities = CertificateAuthorities::default();
    for text in texts {
        authorities.add_pem(text);
    }
    Trust { authorities, ..Trust::default() }
}

fn verify(trust: &Trust, pkcs7: &[u8]) -> Result<Whitelist, TrustError> {
    trust.verify_whitelist(&Fixture::new("fix1.lab.example").name, WHITELIST, Some(pkcs7), now())
}

#[test]
fn the_signers_authority_is_enough() {
    let fixture = Fixture::new("fix1.lab.example");
    let certificate = fixture.certificate();
    let evidence = Evidence { whitelist: WHITELIST, pkcs7: Some(FIX1), certificate: &certificate };
    let manifest = trust(&[AUTHORITY])
        .verify(&fixture.name, fixture.signed_manifest(), &evidence, now())
        .expect("a whole chain without a master key");
    assert_eq!(manifest.revision, 6);
}

#[test]
fn other_signers_are_refused() {
    let refused = verify(&trust(&[AUTHORITY]), OTHER).expect_err("a signer for another repository");
    assert!(matches!(refused, TrustError::Pkcs7Signer { .. }), "{refused:?}");
    let refused = verify(&trust(&[AUTHORITY]), RENAMED).expect_err("a whitelist of another repository");
    assert!(matches!(refused, TrustError::WhitelistName { .. }), "{refused:?}");
    let refused = verify(&trust(&[]), FIX1).expect_err("nobody is trusted");
    assert!(matches!(refused, TrustError::NoAuthorities { .. }), "{refused:?}");
    let name = Fixture::new("fix1.lab.example").name;
    let refused = trust(&[AUTHORITY]).verify_whitelist(&name, WHITELIST, None, now());
    assert!(matches!(refused, Err(TrustError::Pkcs7Missing { .. })), "{refused:?}");
    let refused = verify(&trust(&[AUTHORITY, REVOCATIONS]), FIX1).expect_err("a revoked signer");
    let TrustError::Pkcs7 { source: Pkcs7Error::Authority { source }, .. } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(source, webpki::Error::CertRevoked);
}

#[test]
fn a_changed_structure_is_refused() {
    use x509_cert::der::pem;
    let (_, der) = pem::decode_vec(FIX1).expect("a PEM text");
    let content = der.windows(4).position(|window| window == b"fix1").expect("the content");
    for at in [content, der.len() - 1] {
        let mut changed = der.clone();
        changed[at] ^= 1;
        let text = pem::encode_string("PKCS7", pem::LineEnding::LF, &changed).expect("a PEM text");
        let refused = verify(&trust(&[AUTHORITY]), text.as_bytes()).expect_err("a changed byte");
        assert!(matches!(refused, TrustError::Pkcs7 { source: Pkcs7Error::Signature, .. }), "{refused:?}");
    }
    for bytes in [&b""[..], b"-----BEGIN PKCS7-----\n", AUTHORITY, &FIX1[..FIX1.len() / 2]] {
        assert!(matches!(verify(&trust(&[AUTHORITY]), bytes), Err(TrustError::Pkcs7 { .. })));
    }
}

#[test]
fn a_signer_that_is_not_valid_any_more_is_refused() {
    let later = UNIX_EPOCH + Duration::from_secs(200 * 365 * 24 * 3600);
    let name = Fixture::new("fix1.lab.example").name;
    let refused = trust(&[AUTHORITY]).verify_whitelist(&name, WHITELIST, Some(FIX1), later);
    assert!(matches!(refused, Err(TrustError::Pkcs7 { source: Pkcs7Error::Authority { .. }, .. })));
}
