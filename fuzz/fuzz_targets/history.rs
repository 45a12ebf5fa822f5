//! Any bytes as the database of tags: what is accepted says the same when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varve_repository::History;

fuzz_target!(|bytes: &[u8]| {
    let Ok(history) = History::read(bytes) else { return };
    let _ = (history.newest_first(), history.at(1_795_221_376), history.root_catalogs());
    // Constraints that a foreign database does without may keep it from being written.
    if let Ok(written) = history.to_bytes() {
        assert_eq!(History::read(&written).expect("because it was just written"), history);
    }
});
