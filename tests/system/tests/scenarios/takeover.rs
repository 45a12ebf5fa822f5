//! A repository that CernVM-FS made goes on under Varve, with its keys: edited, published to, collected, sound.

use std::fs;
use std::path::PathBuf;

use varve_system::{Installation, overlays_are_missing};
use varve_testkit::{Fixture, TreeBuilder, listing, magic_listing};

#[test]
fn a_fixture_is_taken_over() {
    if overlays_are_missing() {
        return;
    }
    for (fixture, algorithm) in [(Fixture::sha1(), "sha1"), (Fixture::rmd160(), "rmd160")] {
        let installation = Installation::new();
        let name = fixture.name();
        take_over(&installation, &fixture, algorithm);
        installation.run(&["repo", "check", "--data", name]);
        let before = report(&installation, &["repo", "info", name, "--json"]);

        let view = PathBuf::from(installation.run(&["repo", "transaction", name]).trim());
        let shown = listing(&view).expect("because everything can be read");
        fs::create_dir(view.join("ours")).expect("because the view is writable");
        fs::write(view.join("ours/file"), "by varve").expect("because the view is writable");
        installation.run(&["repo", "commit", name, "--tag", "taken-over"]);
        let tree = installation.directory("tree");
        TreeBuilder::new(&tree).file("published", "by varve").finish();
        let tree = tree.to_str().expect("because scratch paths are text");
        installation.run(&["repo", "publish", name, tree, "--at", "/published"]);

        let mounted = installation.directory("mnt");
        let target = mounted.to_str().expect("because scratch paths are text");
        for tag in fixture.tags().expect("because the fixture is complete") {
            installation.run(&["mount", &format!("{name}@{tag}"), target, "--raw-links"]);
            listing(&mounted).expect("because everything can be read");
            let found = magic_listing(&mounted).expect("because everything can be read");
            let expected = fixture.magic_text(Some(&tag)).expect("because the fixture is complete");
            let root = |magic: &str| {
                magic.lines().find(|line| line.starts_with("#root\troot_hash")).map(str::to_owned)
            };
            assert_eq!(root(&found), root(&expected), "{tag} is what it was");
            installation.unmount(&mounted);
        }
        installation.run(&["mount", name, target]);
        let now = listing(&mounted).expect("because everything can be read");
        let kept = |text: &str| -> Vec<String> {
            let paths =
                text.lines().filter_map(|line| line.split_once('\t')).map(|(path, _)| path.to_owned());
            paths.filter(|path| !path.starts_with("/ours") && !path.starts_with("/published")).collect()
        };
        assert_eq!(kept(&now), kept(&shown));
        assert_eq!(fs::read(mounted.join("ours/file")).expect("because it is there"), b"by varve");
        assert_eq!(fs::read(mounted.join("published/published")).expect("because it is there"), b"by varve");
        installation.unmount(&mounted);

        installation.run(&["repo", "gc", name, "--keep-revisions", "1"]);
        let sound = report(&installation, &["repo", "check", "--data", "--json", name]);
        assert_eq!(sound["orphans"], 0, "{sound}");
        let after = report(&installation, &["repo", "info", name, "--json"]);
        assert_eq!(after["revision"].as_u64(), before["revision"].as_u64().map(|revision| revision + 2));
    }
}

/// Puts what CernVM-FS left where Varve looks for it.
fn take_over(installation: &Installation, fixture: &Fixture, algorithm: &str) {
    let name = fixture.name();
    fixture.copy_served(&installation.repository(name)).expect("because the fixture is complete");
    let keys = installation.directory("home/keys");
    for extension in ["masterkey", "key", "crt", "pub"] {
        let file = format!("{name}.{extension}");
        fs::copy(fixture.path("keys").join(&file), keys.join(&file))
            .expect("because the fixture is complete");
    }
    let settings = installation.directory("home/config/repositories").join(format!("{name}.toml"));
    fs::write(settings, format!("hash = \"{algorithm}\"\n")).expect("because the home is ours");
    installation.run(&["repo", "resign", name]);
}

fn report(installation: &Installation, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&installation.run(arguments)).expect("because --json prints JSON")
}
