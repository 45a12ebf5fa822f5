//! Any bytes as the log of references: what is accepted says the same when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varve_repository::Reflog;

fuzz_target!(|bytes: &[u8]| {
    let Ok(reflog) = Reflog::read(bytes) else { return };
    let written = reflog.to_bytes().expect("because every hash is in it once");
    assert_eq!(Reflog::read(&written).expect("because it was just written"), reflog);
});
