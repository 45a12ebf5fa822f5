//! The repositories that CernVM-FS wrote look through the mount as they looked through its own.

use varve_system::{Installation, fuse_is_missing};
use varve_testkit::{Fixture, assert_same, listing, magic_listing};

#[test]
fn every_tag_looks_as_the_original_showed_it() {
    if fuse_is_missing() {
        return;
    }
    for fixture in Fixture::all() {
        let installation = Installation::new();
        let root = installation.directory("served");
        fixture.copy_served(&root.join(fixture.name())).expect("because the fixture is complete");
        let server = installation.serve(Some(&root));
        let tags = fixture.tags().expect("because the fixture is complete");
        for tag in std::iter::once(None).chain(tags.iter().map(|tag| Some(tag.as_str()))) {
            let magic = fixture.magic_text(tag).expect("because the fixture is complete");
            // The original was mounted by root hashes; without a tag, that is the one of the newest revision.
            let root = magic.lines().find_map(|line| line.strip_prefix("#root\troot_hash\t"));
            let reference = tag.or(root).expect("because the root has a hash");
            let repository = format!("{}@{reference}", fixture.name());
            let url = server.url(fixture.name());
            let at = format!("mnt/{}", tag.unwrap_or("latest"));
            let mounted = installation.mount(&repository, &url, &fixture.public_key(), &at, &[]);
            let expected = fixture.expected_text(tag).expect("because the fixture is complete");
            assert_same(&expected, &listing(&mounted).expect("because everything can be read"), &|_, _| {
                false
            });
            let found = magic_listing(&mounted).expect("because everything can be read");
            // The client's own version is its own.
            assert_same(&magic, &found, &|path, _| path == "#root version");
            installation.unmount(&mounted);
        }
    }
}
