//! Any bytes as a manifest: what is accepted says the same when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varve_repository::{ManifestFields, SignedManifest};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = SignedManifest::parse(bytes) {
        assert_eq!(ManifestFields::parse(&manifest.claims().text()).as_ref(), Ok(manifest.claims()));
    }
    // Few inputs get past the hash: the lines are read without it too.
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(fields) = ManifestFields::parse(text)
    {
        assert_eq!(ManifestFields::parse(&fields.text()), Ok(fields));
    }
});
