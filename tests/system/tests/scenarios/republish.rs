//! A tree of the original, read through the mount and published in exact mode, gives the original's objects.

use std::fs;

use varve_system::{Installation, fuse_is_missing, on_each_storage};
use varve_testkit::{Fixture, assert_same, listing, magic_listing};

/// The settings that the fixtures were published with.
const EXACT: &str = "\
effort = \"exact\"
[chunks]
minimum = 32768
average = 65536
maximum = 131072
";

on_each_storage!(objects_of_the_original_come_out_again);

fn objects_of_the_original_come_out_again(installation: &Installation) {
    if fuse_is_missing() {
        return;
    }
    for (fixture, algorithm) in [(Fixture::sha1(), "sha1"), (Fixture::rmd160(), "rmd160")] {
        let root = installation.directory("served");
        fixture.copy_served(&root.join(fixture.name())).expect("because the fixture is complete");
        let server = installation.serve(Some(&root));
        let url = server.url(fixture.name());
        for tag in fixture.tags().expect("because the fixture is complete") {
            let repository = format!("{}@{tag}", fixture.name());
            let mounted = installation.mount(
                &repository,
                &url,
                &fixture.public_key(),
                &format!("mnt/{tag}"),
                &["--raw-links"],
            );
            let name = format!("again-{tag}-{algorithm}.lab.example");
            installation.create(&name, &["--hash", algorithm]);
            let storage = installation.storage_settings(&name);
            fs::write(installation.settings(&name), format!("hash = \"{algorithm}\"\n{EXACT}{storage}"))
                .expect("because the home is ours");
            let published = mounted.to_str().expect("because scratch paths are text");
            installation.run(&["repo", "publish", &name, published]);
            let ours = installation.serve(None);
            let again = installation.mount(
                &name,
                &ours.url(&name),
                &installation.public_key(&name),
                &format!("mnt/again-{tag}"),
                &[],
            );
            let expected = fixture.magic_text(Some(&tag)).expect("because the fixture is complete");
            // The hash of a copy is known of what has been read.
            listing(&again).expect("because everything can be read");
            let found = magic_listing(&again).expect("because everything can be read");
            // Names of catalogs, revisions and keys are another repository's.
            // And a few files were stored uncompressed, by another setting.
            let others: Vec<&str> =
                expected.lines().filter(|line| line.contains("compression=none")).collect();
            assert_same(&objects(&expected, &others), &objects(&found, &others), &|_, _| false);
            installation.unmount(&again);
            installation.unmount(&mounted);
        }
    }
}

/// The lines of paths, without those of the repository, and without the given files.
fn objects(magic: &str, without: &[&str]) -> String {
    let path = |line: &str| line.split('\t').next().map(str::to_owned);
    let of_an_object =
        |line: &&str| !line.starts_with("#root\t") && !without.iter().any(|other| path(other) == path(line));
    magic.lines().filter(of_an_object).map(|line| format!("{line}\n")).collect()
}
