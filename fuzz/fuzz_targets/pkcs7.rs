//! Any bytes as a PKCS #7 whitelist.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use varve_repository::{CertificateAuthorities, Trust};

const AUTHORITY: &[u8] = include_bytes!("../../filesystem/repository/tests/pkcs7/authority.pem");
const WHITELIST: &[u8] = include_bytes!("../../filesystem/repository/tests/pkcs7/whitelist");

static TRUST: LazyLock<Trust> = LazyLock::new(|| {
    let mut authorities = CertificateAuthorities::default();
    authorities.add_pem(AUTHORITY);
    Trust { authorities, ..Trust::default() }
});

fuzz_target!(|bytes: &[u8]| {
    let name = "fix1.lab.example".parse().expect("because it is a name");
    let now = UNIX_EPOCH + Duration::from_secs(1_798_761_600);
    let _ = TRUST.verify_whitelist(&name, WHITELIST, Some(bytes), now);
});
