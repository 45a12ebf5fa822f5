//! Any bytes as one of Debian's lists of packages: every relation of every package is read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varve_packages::{DebianUniverse, IndexId, PackageId, Universe as _};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let id = IndexId::new("x").expect("because it is an id");
    let Ok(universe) = DebianUniverse::of_list(id, text, "amd64") else { return };
    for at in 0..universe.count() {
        let id = PackageId::from(at as u32);
        let _ = universe.relations(id);
        let _ = universe.locked(id);
        assert!(universe.named(universe.name(id)).contains(&id));
    }
    let _ = universe.groups();
});
