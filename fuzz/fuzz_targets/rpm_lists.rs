//! Any bytes as the lists of an RPM repository, cut at zero bytes: packages, files, groups.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varve_packages::{IndexId, PackageId, RpmUniverse, Universe as _};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.split('\0').map(str::to_owned);
    let primary = parts.next().unwrap_or_default();
    let id = IndexId::new("x").expect("because it is an id");
    let Ok(universe) = RpmUniverse::of_lists(id, primary, parts.next(), parts.next(), "x86_64") else { return };
    for at in 0..universe.count() {
        let id = PackageId::from(at as u32);
        let _ = universe.relations(id);
        let _ = universe.locked(id);
        assert!(universe.named(universe.name(id)).contains(&id));
    }
    let _ = universe.groups();
});
