//! Where the repositories written by CernVM-FS lie, and the plain bytes of their objects.

use std::path::{Path, PathBuf};

use varve_content::{Compression, ObjectKind, ObjectName, decompress};

/// The directories of both repositories.
pub(crate) fn directories() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    ["fix1.lab.example", "fix2-rmd160.lab.example"].map(|name| fixtures.join(name)).into()
}

/// Every catalog of both repositories with its object name, decompressed.
pub(crate) fn catalogs() -> Vec<(ObjectName, Vec<u8>)> {
    let mut catalogs = Vec::new();
    for directory in directories() {
        let data = directory.join("served/data");
        for outer in std::fs::read_dir(&data).expect("the fixtures are in the tree") {
            let outer = outer.expect("a readable directory");
            for inner in std::fs::read_dir(outer.path()).expect("a readable directory") {
                let inner = inner.expect("a readable directory");
                let path = format!(
                    "{}/{}",
                    outer.file_name().to_string_lossy(),
                    inner.file_name().to_string_lossy()
                );
                let Ok(name) = ObjectName::from_path(&path) else { continue };
                if name.kind == ObjectKind::Catalog {
                    let stored = std::fs::read(inner.path()).expect("a readable object");
                    let plain = decompress(&stored, Compression::Zlib, 1 << 24).expect("a sound object");
                    catalogs.push((name, plain));
                }
            }
        }
    }
    catalogs.sort_by_key(|(name, _)| *name);
    assert_eq!(catalogs.len(), 17, "the fixtures have 17 catalogs");
    catalogs
}
