//! Machines that are configured by files: mounts without options, and what the program says of the configuration.

use std::fs;

use varve_system::{Installation, fuse_is_missing};
use varve_testkit::TreeBuilder;

const NAME: &str = "configured.lab.example";

/// A publisher with two revisions, `v1` and the latest, and a client's machine with the public key.
struct Site {
    publisher: Installation,
    client: Installation,
}

impl Site {
    fn new() -> Self {
        let (publisher, client) = (Installation::new(), Installation::new());
        let tree = publisher.path("tree");
        TreeBuilder::new(&tree).file("a", b"first").finish();
        let path = tree.to_str().expect("because scratch paths are text");
        publisher.run(&["repo", "create", NAME]);
        publisher.run(&["repo", "publish", NAME, path, "--tag", "v1"]);
        TreeBuilder::new(&tree).file("a", b"second, and longer").finish();
        publisher.run(&["repo", "publish", NAME, path]);
        let site = Self { publisher, client };
        let key = site.client.directory("keys").join("lab.pub");
        fs::copy(site.publisher.public_key(NAME), key).expect("because there is room");
        site
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.client.path("home/config").join(file);
        fs::create_dir_all(path.parent().expect("it has one")).expect("because there is room");
        fs::write(path, text).expect("because there is room");
    }

    fn read(&self, at: &str) -> String {
        fs::read_to_string(self.client.path("mnt").join(at)).expect("because it is mounted")
    }
}

#[test]
fn a_machine_configured_for_cernvm_fs_mounts_without_options() {
    if fuse_is_missing() {
        return;
    }
    let site = Site::new();
    let server = site.publisher.serve(None);
    let keys = site.client.path("keys");
    let address = server.url("@fqrn@");
    site.write(
        "cvmfs/default.conf",
        &format!(
            "CVMFS_CACHE_BASE={}\nCVMFS_QUOTA_LIMIT=4000\nCVMFS_CLAIM_OWNERSHIP=yes\n",
            site.client.path("base").display()
        ),
    );
    site.write(
        "cvmfs/default.local",
        "CVMFS_HTTP_PROXY=\"DIRECT\"\nCVMFS_REPOSITORIES=configured\nCVMFS_DEFAULT_DOMAIN=lab.example\n",
    );
    site.write(
        "cvmfs/domain.d/lab.example.conf",
        &format!(
            "CVMFS_SERVER_URL='http://127.0.0.1:9/cvmfs/@fqrn@;{address}'\nCVMFS_KEYS_DIR={}\n",
            keys.display()
        ),
    );
    let mounted = site.client.directory("mnt");
    let at = mounted.to_str().expect("because scratch paths are text");
    site.client.run(&["mount", NAME, at]);
    assert_eq!(site.read("a"), "second, and longer");
    site.client.unmount(&mounted);
    assert!(site.client.path("base/varve").is_dir());

    site.write("cvmfs/config.d/configured.lab.example.local", "CVMFS_REPOSITORY_TAG=v1\n");
    site.client.run(&["mount", "configured", at]);
    assert_eq!(site.read("a"), "first");
    site.client.unmount(&mounted);

    site.client.run(&["mount", "--all", at]);
    let listed = fs::read_dir(&mounted).expect("because it is mounted").flatten();
    // Entries would keep the directory open.
    let listed: Vec<_> = listed.map(|entry| entry.file_name()).collect();
    assert!(listed.iter().any(|name| name == NAME), "{listed:?}");
    assert_eq!(site.read(&format!("{NAME}/a")), "first");
    site.client.unmount(&mounted);

    // An option wins over the files.
    site.client.run(&["mount", &format!("{NAME}@trunk"), at]);
    assert_eq!(site.read("a"), "second, and longer");
    site.client.unmount(&mounted);
}

#[test]
fn the_configuration_is_shown_with_its_files() {
    let site = Site::new();
    site.write(
        "cvmfs/default.local",
        "CVMFS_HTTP_PROXY=squid:3128\nCVMFS_PROXY_SHARD=yes\nCVMFS_TIMEOUT=$(cat x)\n",
    );
    site.write("client.toml", "[domain.'lab.example']\nservers = ['http://a/cvmfs/@fqrn@']\n");
    let outcome = site.client.call(&["config", NAME]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let has = |words: [&str; 3]| {
        outcome.stdout.lines().any(|line| {
            let at = words.map(|word| line.find(word));
            at.iter().all(Option::is_some) && at.is_sorted()
        })
    };
    assert!(has(["proxy", "squid:3128", "default.local:1"]), "{outcome:?}");
    assert!(has(["servers", "http://a/cvmfs/@fqrn@", "client.toml"]), "{outcome:?}");
    assert!(has(["(CVMFS_PROXY_SHARD)", "yes (not supported yet", "default.local:2"]), "{outcome:?}");
    assert!(outcome.stderr.contains("default.local:3: "), "{outcome:?}");
    let json: serde_json::Value =
        serde_json::from_str(&site.client.run(&["config", NAME, "--json"])).expect("because it is JSON");
    assert_eq!(json[0]["setting"], "servers");
    assert_eq!(json[0]["honoured"], true);

    site.write("cvmfs/default.local", "CVMFS_IGNORE_SIGNATURE=yes\n");
    for command in [vec!["config", NAME], vec!["mount", NAME, "/nowhere"]] {
        let outcome = site.client.call(&command);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains("CVMFS_IGNORE_SIGNATURE"), "{outcome:?}");
    }
    site.write("cvmfs/default.local", "CVMFS_SERVER_URL=http://a/@fqrn@\nCVMFS_HTTP_PROXY='squid'\n");
    let outcome = site.client.call(&["mount", NAME, "/nowhere"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("default.local:2"), "{outcome:?}");
}
