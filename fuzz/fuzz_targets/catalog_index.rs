//! Any bytes as an index: opening is refused, or whatever is asked gets some answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varve_repository::{CatalogIndex, ContentView};

fuzz_target!(|bytes: &[u8]| {
    let Ok(index) = CatalogIndex::open(bytes.to_vec()) else { return };
    for row in 0..index.len().min(500) {
        let entry = index.entry(row).expect("because the row is below the length");
        let _ = (entry.to_entry(), index.path(row), index.find(row, b"name"));
        let _ = (index.nested_at(row), index.bind_mount_at(row), index.parent(row));
        if let Some(ContentView::Chunks(chunks)) = entry.content() {
            let _ = chunks.at(1000);
        }
    }
    let _ = index.nested().count();
});
