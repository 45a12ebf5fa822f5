//! Operating systems from a list to a mount: locked, built, published, and read as they were built.

#![allow(clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use varve_system::{Installation, Server, fuse_is_missing, programs_are_missing};
use varve_testkit::{assert_same, listing};

/// The essential packages, and two whose files have what must not be lost: capabilities and set-id bits.
const DEBIAN: &str = "\
name = \"tiny\"
family = \"debian\"
include = [\"iputils-ping\", \"mount\"]
";

const REPOSITORY: &str = "os.lab.example";

#[test]
fn a_debian_system_is_locked_built_published_and_read() {
    if lacks(&["mmdebstrap", "apt-get"]) {
        return;
    }
    if fs::read_dir("/etc/apt").is_err() {
        println!("skipped: apt isn't configured on this machine");
        return;
    }
    let installation = Installation::new();
    fs::write(installation.path("tiny.toml"), DEBIAN).expect("because the home is ours");
    let lock = path(&installation, "tiny.lock");
    installation.run(&["os", "lock", &path(&installation, "tiny.toml"), "--output", &lock]);
    let tree = path(&installation, "tree");
    installation.run(&["os", "build", &lock, "--container", "--tree", &tree]);

    for (trace, is_there) in [
        ("etc/hostname", false),
        ("var/log/dpkg.log", false),
        ("etc/passwd-", false),
        ("var/lib/dpkg/status", true),
        ("cvmfs", true),
        ("usr/lib/varve/os.lock", true),
    ] {
        assert_eq!(Path::new(&tree).join(trace).exists(), is_there, "{trace}");
    }
    assert_eq!(fs::read_dir(Path::new(&tree).join("dev")).expect("a directory").count(), 0);
    let mut value = [0; 64];
    let ping = Path::new(&tree).join("usr/bin/ping");
    assert!(rustix::fs::getxattr(ping, "security.capability", &mut value).is_ok());
    is_read_as_built(&installation, &tree);

    // What is not as in the lock is not published.
    let status = Path::new(&tree).join("var/lib/dpkg/status");
    let text = fs::read_to_string(&status).expect("a text");
    fs::write(&status, text.replace("Package: mount\n", "Package: mountain\n")).expect("because it is ours");
    let refused = installation.call(&["os", "publish", &tree, REPOSITORY, "--tag", "again"]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("missing: mount ") && refused.stderr.contains("mountain"));
}

/// Four packages with dependencies and scripts, made of what is on this machine.
const SPECIFICATION: &str = r#"
Name: lab
Version: 1
Release: 1
Summary: Packages of a test
License: MIT
%description
Packages of a test.
%package -n lab-directories
Summary: Directories
BuildArch: noarch
%description -n lab-directories
Directories.
%package -n lab-shell
Summary: A shell
Epoch: 1
Requires: lab-directories
Provides: /bin/sh
%description -n lab-shell
A shell.
%package -n lab-service
Summary: A service
Requires: lab-shell = 1:1-1
Requires(pre): /bin/sh
Requires(post): /bin/sh
%description -n lab-service
A service.
%package -n lab-other
Summary: What nothing needs
%description -n lab-other
What nothing needs.
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/etc %{buildroot}/var/lib/service %{buildroot}/var/lib/rpm
cp "$(command -v busybox)" %{buildroot}/usr/bin/busybox
cp %{buildroot}/usr/bin/busybox %{buildroot}/usr/bin/ping
for name in sh id cat cut grep ls; do ln -s busybox %{buildroot}/usr/bin/$name; done
ln -s usr/bin %{buildroot}/bin
echo 'root:x:0:0::/:/bin/sh' > %{buildroot}/etc/passwd
echo 'root:x:0:' > %{buildroot}/etc/group
echo other > %{buildroot}/etc/other
%pre -n lab-service
echo 'service:x:2:2::/:/bin/sh' >> /etc/passwd
echo 'service:x:2:' >> /etc/group
%post -n lab-service
(id -u; cut -d: -f1 /proc/net/dev | grep -v '|'; cat /proc/sys/kernel/hostname) > /var/lib/service/state
%files -n lab-directories
/bin
/etc/passwd
/etc/group
%dir /var/lib/rpm
%files -n lab-shell
/usr/bin/busybox
/usr/bin/[cgils]*
%attr(4755,root,root) %caps(cap_net_raw=ep) /usr/bin/ping
%files -n lab-service
%attr(0700,service,service) %dir /var/lib/service
%files -n lab-other
/etc/other
"#;

#[test]
fn an_rpm_system_is_locked_built_published_and_read() {
    if lacks(&["rpm", "rpmbuild", "createrepo_c", "busybox"]) {
        return;
    }
    let installation = Installation::new();
    let mirror = installation.directory("mirror");
    fs::write(installation.path("lab.spec"), SPECIFICATION).expect("because the home is ours");
    let define = |name: &str, value: &str| format!("--define={name} {value}");
    run(Command::new("rpmbuild")
        .args(["-bb", "--quiet"])
        .args([
            define("_topdir", &path(&installation, "build")),
            define("_rpmdir", &path(&installation, "mirror")),
        ])
        .args([define("debug_package", "%{nil}"), define("__os_install_post", "%{nil}")])
        .args([define("_build_id_links", "none")])
        .arg(installation.path("lab.spec")));
    run(Command::new("createrepo_c").arg("--quiet").arg(&mirror));
    let list = format!(
        "name = \"lab\"\nfamily = \"rpm\"\ninclude = [\"lab-service\"]\n\n[[index]]\nid = \"lab\"\n\
         mirror = \"file://{}\"\nunsigned = true\n",
        mirror.display()
    );
    fs::write(installation.path("lab.toml"), list).expect("because the home is ours");
    let lock = path(&installation, "lab.lock");
    installation.run(&["os", "lock", &path(&installation, "lab.toml"), "--output", &lock]);
    // From here on the packages are in the archive.
    fs::remove_dir_all(&mirror).expect("because it is ours");

    let (tree, again) = (path(&installation, "tree"), path(&installation, "again"));
    for tree in [&tree, &again] {
        installation.run(&["os", "build", &lock, "--container", "--version", "1.0", "--tree", tree]);
    }
    let all = |tree: &str| listing(Path::new(tree)).expect("because everything can be read");
    assert_same(&all(&tree), &all(&again), &|_, _| false);
    let state = fs::read_to_string(Path::new(&tree).join("var/lib/service/state")).expect("the script ran");
    assert_eq!(state.split_whitespace().collect::<Vec<_>>(), ["0", "lo", "localhost"]);
    assert!(!Path::new(&tree).join("etc/other").exists());
    is_read_as_built(&installation, &tree);
    let tags = installation.run(&["repo", "tag", "list", REPOSITORY]);
    assert!(tags.contains("lab-1.0 ") && tags.contains("lab ") && tags.contains("lock sha256:"), "{tags}");
}

/// Publishes a tree and compares what a mount shows with it.
fn is_read_as_built(installation: &Installation, tree: &str) {
    installation.create(REPOSITORY, &[]);
    installation.run(&["os", "publish", tree, REPOSITORY]);
    if fuse_is_missing() {
        return;
    }
    let server: Server = installation.serve(None);
    let (url, key) = (server.url(REPOSITORY), installation.public_key(REPOSITORY));
    let mounted = installation.mount(REPOSITORY, &url, &key, "mnt", &["--suid"]);
    let all = |tree: &Path| listing(tree).expect("because everything can be read");
    // Only mounts know a link's raw target.
    assert_same(&all(Path::new(tree)), &all(&mounted), &|_, field| field == 11);
    installation.unmount(&mounted);
}

/// Whether this machine or this user can't do what is tested; says so.
fn lacks(programs: &[&str]) -> bool {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can look at a system's files as they are");
        return true;
    }
    programs_are_missing(programs)
}

fn path(installation: &Installation, relative: &str) -> String {
    installation.path(relative).display().to_string()
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("because the program was looked for");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
