//! Any bytes as a certificate, as public keys, as authorities and as a blacklist: all that is configured in files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varve_content::Algorithm;
use varve_repository::{Blacklist, Certificate, CertificateAuthorities, PublicKeys};

fuzz_target!(|bytes: &[u8]| {
    let mut blacklist = Blacklist::default();
    blacklist.add(bytes);
    if let Ok(certificate) = Certificate::from_pem(bytes) {
        assert_eq!(certificate.pem(), bytes);
        let _ = (certificate.fingerprint(Algorithm::Shake128), blacklist.refuses_certificate(&certificate));
    }
    if let Ok(keys) = PublicKeys::from_pem(bytes) {
        assert_eq!(PublicKeys::from_pem(keys.to_pem().as_bytes()).map(|keys| keys.len()).ok(), Some(keys.len()));
    }
    CertificateAuthorities::default().add_pem(bytes);
});
