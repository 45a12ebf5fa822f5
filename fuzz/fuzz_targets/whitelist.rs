//! Any bytes as a whitelist, with the key of a fixture and without: none but the fixture's own is believed.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use varve_repository::{PublicKeys, SignedWhitelist, Trust};

const KEY: &[u8] = include_bytes!("../../tests/fixtures/fix1.lab.example/keys/fix1.lab.example.pub");
const GENUINE: &[u8] = include_bytes!("../../tests/fixtures/fix1.lab.example/served/.cvmfswhitelist");

static TRUST: LazyLock<Trust> =
    LazyLock::new(|| Trust::in_keys(PublicKeys::from_pem(KEY).expect("because it is the fixture's")));

fuzz_target!(|bytes: &[u8]| {
    let _ = SignedWhitelist::parse(bytes);
    let name = "fix1.lab.example".parse().expect("because it is a name");
    let now = UNIX_EPOCH + Duration::from_secs(1_798_761_600);
    let believed = TRUST.verify_whitelist(&name, bytes, None, now).is_ok();
    assert!(!believed || bytes == GENUINE);
});
