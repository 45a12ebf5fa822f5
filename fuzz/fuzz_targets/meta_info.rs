//! Any bytes as a repository's description: what is accepted is accepted when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varve_repository::MetaInfo;

fuzz_target!(|bytes: &[u8]| {
    let Ok(info) = MetaInfo::parse(bytes) else { return };
    let again = MetaInfo::parse(info.to_json().as_bytes()).expect("because it was just written");
    // `custom` may hold numbers that lose a digit on the way.
    assert_eq!(MetaInfo { custom: None, ..again }, MetaInfo { custom: None, ..info });
});
