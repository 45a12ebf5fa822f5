//! Any bytes as the document of an environment: it says the same, and has the same id, when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varve_environment::{Environment, IdPrefix, compare};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(environment) = Environment::parse(text) {
        let written = environment.to_text();
        let read = Environment::parse(&written).expect("because it was written here");
        assert_eq!(read, environment);
        assert_eq!(read.id(), environment.id());
        assert_eq!(read.to_text(), written);
        assert!(compare(&read, &environment).is_empty());
    }
    let _ = text.parse::<IdPrefix>();
});
