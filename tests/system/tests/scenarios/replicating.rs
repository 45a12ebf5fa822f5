//! A replica of what CernVM-FS published, served, replicated once more, and mounted: every path is as the original shows it.

use std::path::Path;

use varve_system::{Installation, fuse_is_missing};
use varve_testkit::{Fixture, assert_same, listing};

#[test]
fn a_replica_of_a_replica_is_mounted_like_the_original() {
    if fuse_is_missing() {
        return;
    }
    for fixture in Fixture::all() {
        let installation = Installation::new();
        let served = installation.directory("served");
        std::os::unix::fs::symlink(fixture.served(), served.join(fixture.name())).expect("linked");
        let original = installation.serve(Some(&served));
        let key = fixture.public_key();
        // Among the repositories of this machine; the second only with its name, the key is known by then.
        let first = ["replicate", &original.url(fixture.name()), "--key", text(&key)];
        installation.run(&first);
        let again = installation.run(&["replicate", &original.url(fixture.name()), "--json"]);
        let report: serde_json::Value = serde_json::from_str(&again).expect("because --json prints JSON");
        assert_eq!(report["is_new"], false);
        drop(original);
        installation.run(&["repo", "check", "--data", fixture.name()]);
        let middle = installation.serve(None);
        let elsewhere = installation.directory("elsewhere");
        let url = middle.url(fixture.name());
        installation.run(&["replicate", &url, "--to", text(&elsewhere)]);
        drop(middle);
        let last = installation.serve(Some(&elsewhere));
        let url = last.url(fixture.name());
        let tags = fixture.tags().expect("because the fixture is complete");
        for tag in std::iter::once(None).chain(tags.iter().map(|tag| Some(tag.as_str()))) {
            let magic = fixture.magic_text(tag).expect("because the fixture is complete");
            let root = magic.lines().find_map(|line| line.strip_prefix("#root\troot_hash\t"));
            let repository =
                format!("{}@{}", fixture.name(), tag.or(root).expect("because the root has a hash"));
            let at = format!("mnt/{}", tag.unwrap_or("newest"));
            let mounted = installation.mount(&repository, &url, &key, &at, &[]);
            let shown = listing(&mounted).expect("because everything can be read");
            let expected = fixture.expected_text(tag).expect("because the fixture is complete");
            assert_same(&expected, &shown, &|_, _| false);
            installation.unmount(&mounted);
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("because scratch paths are text")
}
