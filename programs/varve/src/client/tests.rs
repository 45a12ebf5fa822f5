//! Whole machines: files in all places, and what wins.

use std::fs;

use varve_testkit::Scratch;

use super::*;

/// Files of a machine that is configured for CernVM-FS, in the forms that occur.
const FILES: &[(&str, &str)] = &[
    (
        "cvmfs/default.conf",
        "# Don't edit here.\nCVMFS_CACHE_BASE=/var/lib/cvmfs\nCVMFS_QUOTA_LIMIT=4000\nCVMFS_DEFAULT_DOMAIN=cern.ch\n\
         CVMFS_TIMEOUT=5\nCVMFS_IGNORE_SIGNATURE=no\nCVMFS_UID_MAP=/etc/cvmfs/users\nCVMFS_KEYS_DIR=/etc/cvmfs/keys\n\
         if [ \"x$CVMFS_BASE_ENV\" = \"x\" ]; then\n  readonly CVMFS_USER=cvmfs\n  readonly CVMFS_BASE_ENV=1\nfi\n",
    ),
    ("cvmfs/default.d/60-site.conf", "CVMFS_USE_CDN=no\nCVMFS_HTTP_PROXY=http://sixty:3128\n"),
    ("cvmfs/default.d/50-site.conf", "CVMFS_HTTP_PROXY=http://fifty:3128\n"),
    ("cvmfs/default.d/README", "CVMFS_HTTP_PROXY=http://readme:3128\n"),
    (
        "cvmfs/default.local",
        "CVMFS_HTTP_PROXY=\"http://a:3128|http://b:3128;DIRECT\"\nexport CVMFS_TIMEOUT=7 # seconds\n",
    ),
    (
        "cvmfs/domain.d/example.org.conf",
        "if [ \"$CVMFS_USE_CDN\" = \"yes\" ]; then\n  CVMFS_SERVER_URL=\"http://cdn/cvmfs/@fqrn@\"\nelse\n  \
         CVMFS_SERVER_URL=\"http://one/cvmfs/@fqrn@;http://two/cvmfs/@fqrn@\"\nfi\n\
         CVMFS_KEYS_DIR=/etc/cvmfs/keys/example.org\nCVMFS_USE_GEOAPI=yes\n",
    ),
    ("cvmfs/domain.d/example.org.local", "CVMFS_MAX_RETRIES=3\nCVMFS_PROXY_RESET_AFTER=0\n"),
    ("cvmfs/config.d/s.example.org.conf", "CVMFS_REPOSITORY_TAG=v1\n"),
    ("cvmfs/config.d/s.example.org.local", "CVMFS_REPOSITORY_TAG=v2\n"),
];

struct Machine(Scratch);

impl Machine {
    fn new(files: &[(&str, &str)]) -> Self {
        let machine = Self(Scratch::new());
        files.iter().for_each(|(path, text)| machine.write(path, text));
        machine
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a writable directory");
        fs::write(path, text).expect("a writable directory");
    }

    fn sources(&self) -> Sources {
        Sources {
            cvmfs: Some(self.0.join("cvmfs")),
            own: Some(self.0.join("client.toml")),
            command_line: Section::default(),
            tree: None,
        }
    }

    fn load(&self, name: &str) -> Client {
        self.sources().load(Some(&name.parse().expect("a name"))).expect("because it is well formed")
    }
}

fn name() -> RepositoryName {
    "s.example.org".parse().expect("a name")
}

#[test]
fn the_last_file_wins() {
    let machine = Machine::new(FILES);
    let client = machine.load("s.example.org");
    assert_eq!(client.notes, []);
    let settings = &client.settings;
    let http = settings.http(&name()).expect("well formed").expect("servers are named");
    let servers: Vec<&str> = http.servers.iter().map(varve_store::ServerUrl::as_str).collect();
    assert_eq!(servers, ["http://one/cvmfs/s.example.org", "http://two/cvmfs/s.example.org"]);
    assert_eq!(http.proxies.to_string(), "http://a:3128|http://b:3128;DIRECT");
    assert_eq!(http.timeout_proxied.as_secs(), 7);
    assert_eq!(http.timeout_direct.as_secs(), 10);
    assert_eq!(http.retries, 3);
    assert_eq!(http.proxy_reset, std::time::Duration::MAX);
    let keys = settings.keys.as_ref().map(|keys| keys.value.as_slice());
    assert_eq!(keys, Some(&[PathBuf::from("/etc/cvmfs/keys/example.org")][..]));
    assert_eq!(settings.reference().to_string(), "v2");
    let tag = settings.revision.as_ref().expect("it is set");
    assert!(tag.origin.to_string().ends_with("config.d/s.example.org.local:1"), "{}", tag.origin);
    let ignored: Vec<&str> = client.ignored.iter().map(|ignored| ignored.name.as_str()).collect();
    assert_eq!(ignored, ["CVMFS_UID_MAP", "CVMFS_USER", "CVMFS_USE_CDN"]);

    let other = machine.load("s.elsewhere.org").settings;
    assert_eq!((other.servers, other.revision), (None, None));
    assert_eq!(other.proxy.map(|proxy| proxy.value).as_deref(), Some("http://a:3128|http://b:3128;DIRECT"));
}

#[test]
fn the_own_file_wins_over_those_and_the_command_line_over_all() {
    let machine = Machine::new(FILES);
    machine.write(
        "client.toml",
        "[default]\nproxy = 'own:3128'\ncache-quota = '2GiB'\n[domain.'example.org']\ntimeout = 9\nretries = 0\n\
         [repository.'s.example.org']\nretries = 1\nservers = ['http://own/@org@']\n\
         [repository.'t.example.org']\ntimeout = 1\n",
    );
    let mut sources = machine.sources();
    sources.command_line.timeout_direct = Some(4);
    sources.command_line.proxy = Some("DIRECT".to_owned());
    let settings = sources.load(Some(&name())).expect("well formed").settings;
    let http = settings.http(&name()).expect("well formed").expect("servers are named");
    assert_eq!(http.servers[0].as_str(), "http://own/s");
    assert_eq!(http.proxies.to_string(), "DIRECT");
    assert_eq!((http.timeout_proxied.as_secs(), http.timeout_direct.as_secs(), http.retries), (9, 4, 1));
    assert_eq!(settings.proxy.map(|proxy| proxy.origin), Some(Origin::CommandLine));
}

#[test]
fn fallback_proxies_come_last_and_leave_no_way_without() {
    let machine = Machine::new(FILES);
    machine.write("cvmfs/config.d/s.example.org.local", "CVMFS_FALLBACK_PROXY='http://f:1;http://g:1'\n");
    let settings = machine.load("s.example.org").settings;
    let http = settings.http(&name()).expect("well formed").expect("servers are named");
    assert_eq!(http.proxies.to_string(), "http://a:3128|http://b:3128;http://f:1;http://g:1");
}

#[test]
fn a_configuration_repository_is_read_where_it_is_mounted() {
    let machine = Machine::new(FILES);
    let central = machine.0.join("mounts");
    let set = format!("CVMFS_CONFIG_REPOSITORY=config.example.org\nCVMFS_MOUNT_DIR={}\n", central.display());
    machine.write("cvmfs/default.d/70-central.conf", &set);
    machine
        .write("cvmfs/domain.d/example.org.conf", "[ \"$CENTRAL\" != '' ] && return\nCVMFS_MAX_SERVERS=1\n");
    assert!(machine.load("s.example.org").settings.max_servers.is_some());
    machine.write("mounts/config.example.org/etc/cvmfs/default.conf", "CENTRAL=1\n");
    machine.write(
        "mounts/config.example.org/etc/cvmfs/domain.d/example.org.conf",
        "CVMFS_SERVER_URL=http://central/@fqrn@\n",
    );
    let settings = machine.load("s.example.org").settings;
    assert_eq!(settings.servers.map(|servers| servers.value), Some(vec!["http://central/@fqrn@".to_owned()]));
    assert!(settings.max_servers.is_none());
    // Neither itself, nor what is to be mounted.
    assert!(machine.load("config.example.org").settings.max_servers.is_some());
    let sources = Sources { tree: Some(central), ..machine.sources() };
    assert!(sources.load(Some(&name())).expect("well formed").settings.max_servers.is_some());
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let machine = Machine::new(&[("cvmfs/default.local", "\nCVMFS_HTTP_PROXY=$(cat /etc/proxy)\n")]);
    let warnings: Vec<String> = machine.load("s.example.org").warnings().collect();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("default.local:2: "), "{warnings:?}");

    machine.write("cvmfs/default.local", "CVMFS_SERVER_URL=http://a/@fqrn@\nCVMFS_HTTP_PROXY=proxy\n");
    let settings = machine.load("s.example.org").settings;
    let error = settings.http(&name()).expect_err("because a proxy has a port");
    assert!(error.to_string().contains("default.local:2"), "{error}");

    machine.write("cvmfs/default.local", "CVMFS_IGNORE_SIGNATURE=yes\n");
    let error = machine.sources().load(None).expect_err("because nothing unverified is mounted");
    assert!(error.to_string().contains("CVMFS_IGNORE_SIGNATURE"), "{error}");

    machine.write("cvmfs/default.local", "");
    machine.write("client.toml", "[default]\nproxies = 'a:1'\n");
    let error = machine.sources().load(None).expect_err("because there is no such setting");
    assert!(matches!(error, ClientError::Syntax { .. }), "{error}");
    fs::remove_file(machine.0.join("client.toml")).expect("it is there");
    fs::create_dir(machine.0.join("client.toml")).expect("a writable directory");
    assert!(matches!(machine.sources().load(None), Err(ClientError::File { .. })));
}

#[test]
fn the_documentation_has_every_name() {
    let page = include_str!("../../../../docs/operate/client.md");
    for name in settings::NAMES {
        let setting = name.replace('_', "-");
        let names: Vec<String> = cvmfs::HONOURED
            .iter()
            .filter(|(_, honoured)| *honoured == setting)
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        let row = format!("| `{setting}` | {} |", names.join(", "));
        assert!(page.contains(&row), "docs/operate/client.md lacks the row\n{row}");
    }
}
