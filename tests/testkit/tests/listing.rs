//! The listings equal those of the scripts that wrote the fixtures' expectations.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::{Command, Stdio};

use varve_testkit::{Scratch, TreeBuilder, assert_same, listing, magic_listing};

fn script(name: &str, root: &Path) -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name);
    let mut command = Command::new("python3");
    let output = command.arg(script).arg(root).stdin(Stdio::null()).output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: python3 cannot be run ({error})");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("because everything else is escaped"))
}

#[test]
fn both_listings_equal_those_of_the_scripts() {
    let scratch = Scratch::new();
    let (_tree, refused) = TreeBuilder::odd(&scratch);
    for line in refused {
        println!("left out: {line}");
    }
    for (name, own) in [("manifest.py", listing(&scratch)), ("magic.py", magic_listing(&scratch))] {
        let own = own.expect("because it is readable");
        if let Some(theirs) = script(name, &scratch) {
            assert_same(&theirs, &own, &|_, _| false);
            assert!(theirs == own, "{name}: the order differs");
        }
    }
}
