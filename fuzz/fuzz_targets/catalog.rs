//! Any bytes as a catalog: reading ends in an error or in an index that can be asked for everything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varve_repository::{CatalogError, CatalogIndex, CatalogReader};

fuzz_target!(|bytes: &[u8]| {
    let Ok(reader) = CatalogReader::from_bytes(bytes.to_vec()) else { return };
    let _ = (reader.counters(), reader.nested(), reader.bind_mount_points());
    let _ = reader.for_each_entry(|_, _, _| Ok::<_, CatalogError>(()));
    let Ok(built) = CatalogIndex::build(&reader, reader.root_prefix()) else { return };
    let index = CatalogIndex::open(built).expect("because it was just built");
    for row in 0..index.len() {
        assert_eq!(index.find_path(&index.path(row)), Some(row));
    }
});
