//! Any bytes as a release file, and as one that is signed by nobody.
#![no_main]

use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;
use varve_packages::{Keyring, Release};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Release::parse(text);
    }
    assert!(Keyring::default().verify_clear_signed(bytes, SystemTime::UNIX_EPOCH).is_err());
    assert!(Keyring::default().verify_detached(bytes, b"", SystemTime::UNIX_EPOCH).is_err());
    let _ = Keyring::parse(bytes);
});
