//! Any bytes as a lock file and as a list of packages: a lock says the same when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varve_packages::{Architecture, Lock, ShoppingList};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(lock) = Lock::parse(text) {
        assert_eq!(Lock::parse(&lock.to_text()).ok().as_ref(), Some(&lock));
    }
    let architecture = Architecture::new("amd64").ok();
    let _ = ShoppingList::parse(text, None, architecture.as_ref());
});
