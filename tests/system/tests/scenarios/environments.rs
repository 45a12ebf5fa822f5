//! Environments: frozen from tags and from mounts, exported, imported where nobody serves them any more, and what becomes of
//! archives that are not whole.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use varve_system::{Installation, Sandboxes, User, fuse_is_missing, programs_are_missing};
use varve_testkit::{ProcessGuard, Random, S3Server, TreeBuilder, assert_same, listing, wait_until};

const SYSTEM: &str = "os.lab.example";
const SOFTWARE: &str = "software.lab.example";

/// Larger than what is stored in one piece.
const LARGE: usize = 20 << 20;

/// A publisher with a system and software, frozen as `analysis` by their tags.
struct Publisher {
    installation: Installation,
    system: PathBuf,
    software: PathBuf,
}

impl Publisher {
    fn new() -> Self {
        let installation = Installation::new();
        let (system, software) = (installation.path("system"), installation.path("software"));
        TreeBuilder::new(&system)
            .file("etc/issue", b"first\n")
            .file("var/lib/dpkg/status", status("libc6", "2.36"))
            .symlink("bin", "usr/bin")
            .file("usr/bin/true", b"#!/bin/sh\n")
            .finish();
        TreeBuilder::new(&software)
            .file("hello", b"hello\n")
            .file("large", Random::new(5).bytes(LARGE))
            .file("nested/.cvmfscatalog", b"")
            .file("nested/deep/.cvmfscatalog", b"")
            .file("nested/deep/file", b"deep\n")
            .finish();
        installation.create(SYSTEM, &[]);
        installation.create(SOFTWARE, &[]);
        let publisher = Self { installation, system, software };
        publisher.publish(SYSTEM, &publisher.system, &["--tag", "basic-1"]);
        publisher.publish(SOFTWARE, &publisher.software, &["--tag", "v1"]);
        publisher.freeze("analysis", "basic-1", "v1", &[]);
        publisher
    }

    fn publish(&self, name: &str, tree: &Path, options: &[&str]) {
        self.installation.run(&[&["repo", "publish", name, text(tree)], options].concat());
    }

    fn freeze(&self, name: &str, system: &str, software: &str, options: &[&str]) -> String {
        let (system, software) = (format!("{SYSTEM}@{system}"), format!("{SOFTWARE}@{software}"));
        let arguments = ["env", "freeze", name, "--system", &system, "-r", &software];
        self.installation.run(&[&arguments, options].concat()).trim().to_owned()
    }

    /// Both repositories move on, and lose what they had before.
    fn move_on(&self) {
        fs::write(self.system.join("etc/issue"), b"second\n").expect("because the tree is ours");
        fs::write(self.system.join("var/lib/dpkg/status"), status("libc7", "3"))
            .expect("because the tree is ours");
        fs::write(self.software.join("hello"), b"good bye\n").expect("because the tree is ours");
        fs::remove_file(self.software.join("nested/deep/file")).expect("because the tree is ours");
        self.publish(SYSTEM, &self.system, &["--tag", "basic-2"]);
        self.publish(SOFTWARE, &self.software, &["--tag", "v2"]);
    }

    fn export(&self, file: &str) -> PathBuf {
        let archive = self.installation.path(file);
        self.installation.run(&["env", "export", "analysis", text(&archive)]);
        archive
    }
}

#[test]
fn an_archive_is_enough_when_nobody_serves_any_more() {
    let publisher = Publisher::new();
    let id = publisher.installation.run(&["env", "show", "--json", "analysis"]);
    let archive = publisher.export("first.tar");
    let expected = listing(&publisher.software).expect("because all can be read");
    publisher.move_on();
    let again = publisher.export("again.tar");
    assert!(fs::read(&archive).expect("an archive") == fs::read(&again).expect("an archive"), "they differ");
    let packed = publisher.export("packed.tar.zst");

    let elsewhere = Installation::new();
    let moved = elsewhere.path("moved.tar");
    fs::copy(&archive, &moved).expect("because the scratch directory is writable");
    let small = elsewhere.path("moved.tar.zst");
    fs::copy(&packed, &small).expect("because the scratch directory is writable");
    drop(publisher);
    elsewhere.run(&["env", "import", text(&moved)]);
    assert_eq!(elsewhere.run(&["env", "show", "--json", "analysis"]), id);
    elsewhere.run(&["env", "verify", "analysis"]);
    // Compressed, under another name, and over what is there.
    elsewhere.run(&["env", "import", text(&small), "--name", "other"]);
    // What was imported can be exported again, to the same bytes.
    let third = elsewhere.path("third.tar");
    elsewhere.run(&["env", "export", "other", text(&third)]);
    assert!(fs::read(&moved).expect("an archive") == fs::read(&third).expect("an archive"), "they differ");
    if !fuse_is_missing() {
        let target = format!("{SOFTWARE}@{}", root(&elsewhere, "analysis", "software"));
        let mounted = elsewhere.directory("mnt");
        elsewhere.run(&["mount", &target, text(&mounted)]);
        let shown = listing(&mounted).expect("because all can be read");
        assert_same(&expected, &shown, &of_a_mount);
        elsewhere.unmount(&mounted);
    }
    // The copies go with the last environment that needs them.
    let copies = elsewhere.path("home/copies/revisions");
    assert_eq!(entries(&copies), 2);
    elsewhere.run(&["env", "remove", "other"]);
    assert_eq!(entries(&copies), 0);
    assert_eq!(elsewhere.call(&["env", "show", "analysis"]).code, Some(4));
}

#[test]
fn an_imported_environment_runs_with_nothing_but_the_archive() {
    for user in [User::Root, User::Nobody] {
        let Some(sandboxes) = Sandboxes::new(user) else { return };
        let script = format!("cat /cvmfs/{}/hello /etc/os-release; echo $SEED", Sandboxes::SOFTWARE);
        let freeze = ["env", "freeze", "both", "--system", Sandboxes::SYSTEM, "-r", Sandboxes::SOFTWARE];
        sandboxes.succeed(&[&freeze[..], &["--set", "SEED=7", "--", "sh", "-c", &script]].concat());
        let archive = sandboxes.work().join("both.tar");
        sandboxes.succeed(&["env", "export", "both", text(&archive)]);
        let before = sandboxes.succeed(&["run", "--env", "both"]);
        assert_eq!(before, "hello\nID=lab\n7\n");
        sandboxes.wait_for_nothing();
        // Keys, repositories, cache: all that there was.
        let home = sandboxes.own().join("home");
        fs::rename(&home, sandboxes.own().join("gone")).expect("because it is ours");
        sandboxes.succeed(&["env", "import", text(&archive)]);
        assert_eq!(sandboxes.succeed(&["run", "--env", "both"]), before);
        sandboxes.wait_for_nothing();
        // What a command reads from isn't removed under it.
        let script = format!(
            "touch ready; while ! [ -e go ]; do sleep 0.05; done; cat /cvmfs/{}/dir/data",
            Sandboxes::SOFTWARE
        );
        let both = sandboxes.call_script(&format!(
            "\"$VARVE\" run --env both -- sh -c '{script}' & while ! [ -e ready ]; do sleep 0.05; done; \"$VARVE\" env remove both; \
             echo $?; touch go; wait $!; rm ready go",
        ));
        assert_eq!(both.stdout, "6\ndata\n", "{}", both.stderr);
        sandboxes.wait_for_nothing();
        assert_eq!(sandboxes.succeed(&["run", "--env", "both"]), before);
        sandboxes.wait_for_nothing();
        sandboxes.succeed(&["env", "remove", "both"]);
        assert_eq!(entries(&sandboxes.own().join("home/copies/revisions")), 0);
    }
}

#[test]
fn a_damaged_copy_is_told_and_replaced() {
    let publisher = Publisher::new();
    let archive = publisher.export("archive.tar");
    let elsewhere = Installation::new();
    elsewhere.run(&["env", "import", text(&archive)]);
    let verify = || elsewhere.call(&["env", "verify", "analysis"]).code;
    let copies = elsewhere.path("home/copies/revisions");
    let objects = objects_in(&copies);
    assert!(objects.len() > 10);
    let largest = objects.iter().max_by_key(|path| fs::metadata(path).map_or(0, |file| file.len()));
    let largest = largest.expect("because there are some");
    let mut bytes = fs::read(largest).expect("because it is there");
    bytes[100] ^= 1;
    fs::write(largest, bytes).expect("because it is ours");
    assert_eq!(verify(), Some(3));
    elsewhere.run(&["env", "import", text(&archive)]);
    assert_eq!(verify(), Some(0));
    fs::remove_file(largest).expect("because it is ours");
    assert_eq!(verify(), Some(4));
    elsewhere.run(&["env", "import", text(&archive)]);
    assert_eq!(verify(), Some(0));
}

#[test]
fn archives_are_read_without_varve() {
    if programs_are_missing(&["python3"]) {
        return;
    }
    let publisher = Publisher::new();
    let archive = publisher.export("archive.tar");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/environments/restore.py");
    for (repository, tree, path) in [
        (SYSTEM, &publisher.system, "/etc/issue"),
        (SOFTWARE, &publisher.software, "/large"),
        (SOFTWARE, &publisher.software, "/nested/deep/file"),
    ] {
        let restored = Command::new("python3").arg(&script).args([text(&archive), repository, path]).output();
        let restored = restored.expect("because python3 is there");
        assert!(restored.status.success(), "{path}: {}", String::from_utf8_lossy(&restored.stderr));
        let expected = fs::read(tree.join(&path[1..])).expect("because it was published");
        assert!(restored.stdout == expected, "{path} differs");
    }
}

#[test]
fn archives_that_are_not_whole_leave_nothing() {
    let publisher = Publisher::new();
    let whole = fs::read(publisher.export("whole.tar")).expect("an archive");
    let victim = Installation::new();
    let mut random = Random::new(11);
    let mut broken: Vec<(String, Vec<u8>)> = Vec::new();
    let end = whole.len() - 1024;
    for length in (0..6).map(|_| random.below(end as u64) as usize).chain([700, 20 << 10, end - 512]) {
        broken.push((format!("cut at {length}"), whole[..length].to_vec()));
    }
    // Changed bytes in the content of each kind of member.
    for path in [".cvmfspublished", ".cvmfswhitelist", "key.pub", "X", "H", "P", "C", "environment.toml"] {
        let (start, size) = members(&whole)
            .into_iter()
            .find(|(name, _, _)| name.ends_with(path))
            .map(|(_, start, size)| (start, size))
            .unwrap_or_else(|| panic!("no {path}"));
        let mut changed = whole.clone();
        let at =
            start + if path == "environment.toml" { find(&whole[start..], b"root = ") + 9 } else { size / 2 };
        changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
        broken.push((format!("{path} changed at {at}"), changed));
    }
    // Each member left out, and each twice.
    for (name, start, size) in members(&whole).into_iter().filter(|(name, _, _)| name != "README.md") {
        let range = start - 512..start + size.div_ceil(512) * 512;
        let mut without = whole.clone();
        without.drain(range.clone());
        broken.push((format!("without {name}"), without));
        let mut twice = whole[..range.end].to_vec();
        twice.extend_from_slice(&whole[range.start..]);
        broken.push((format!("{name} twice"), twice));
    }
    let file = victim.path("broken.tar");
    for (what, bytes) in broken {
        fs::write(&file, bytes).expect("because the scratch directory is writable");
        let outcome = victim.call(&["env", "import", text(&file)]);
        assert!(matches!(outcome.code, Some(2..=4)), "{what}: {:?} {}", outcome.code, outcome.stderr);
        assert_eq!(victim.run(&["env", "list", "--json"]).trim(), "[]", "{what}");
        for part in ["revisions", "proofs", "images", "incoming"] {
            assert_eq!(entries(&victim.path("home/copies").join(part)), 0, "{what} left {part}");
        }
    }
    fs::write(&file, whole).expect("because the scratch directory is writable");
    assert_eq!(victim.call(&["env", "import", text(&file), "--id", "000000"]).code, Some(3));
    assert_eq!(entries(&victim.path("home/copies/incoming")), 0);
    let id = victim.run(&["env", "import", text(&file)]);
    victim.run(&["env", "import", text(&file), "--id", id.trim()]);
}

#[test]
fn a_killed_import_leaves_nothing_behind_the_next_one() {
    let publisher = Publisher::new();
    let archive = publisher.export("whole.tar");
    let whole = fs::read(&archive).expect("an archive");
    let elsewhere = Installation::new();
    let mut command = elsewhere.command(&["env", "import", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut import = ProcessGuard::start(&mut command).expect("because the program exists");
    let mut input = import.child().stdin.take().expect("because it is piped");
    input.write_all(&whole[..whole.len() / 2]).expect("because it reads");
    let incoming = elsewhere.path("home/copies/incoming");
    wait_until("the import to begin", Duration::from_secs(60), || entries(&incoming) > 0);
    // One that is at work is left alone.
    elsewhere.run(&["env", "import", text(&archive), "--name", "other"]);
    assert_eq!(entries(&incoming), 1);
    elsewhere.run(&["env", "remove", "other"]);
    import.kill().expect("because it is our child");
    drop(input);
    assert_eq!(elsewhere.run(&["env", "list", "--json"]).trim(), "[]");
    elsewhere.run(&["env", "import", text(&archive)]);
    assert_eq!(entries(&incoming), 0);
    elsewhere.run(&["env", "verify", "analysis"]);
}

#[test]
fn only_what_is_signed_is_frozen() {
    let publisher = Publisher::new();
    let installation = &publisher.installation;
    let code = |target: &str, options: &[&str]| {
        installation.call(&[&["env", "freeze", "x", "-r", target], options].concat()).code
    };
    assert_eq!(code(&format!("{SOFTWARE}@no-such-tag"), &[]), Some(4));
    let nowhere = "0123456789012345678901234567890123456789";
    assert_eq!(code(&format!("{SOFTWARE}@{nowhere}"), &[]), Some(3), "nothing says that it was published");
    let other = installation.public_key(SYSTEM);
    assert_eq!(code(SOFTWARE, &["--key", text(&other)]), Some(3), "signed by somebody else");
    assert_eq!(code("unknown.lab.example", &[]), Some(4));
    assert_eq!(code(SOFTWARE, &["--set", "1A=x"]), Some(2));
    let entries = installation.run(&["env", "list", "--json"]);
    assert!(!entries.contains("\"x\""), "{entries}");
    // A name stays what it is.
    assert_eq!(installation.call(&["env", "freeze", "analysis", "-r", SOFTWARE]).code, Some(2));
    installation.run(&["env", "freeze", "analysis", "-r", SOFTWARE, "--replace"]);

    // A root that is signed no more is still proved by what was kept when it was frozen.
    let id = publisher.freeze("kept", "basic-1", "v1", &[]);
    publisher.move_on();
    installation.run(&["repo", "tag", "remove", SOFTWARE, "v1"]);
    // Now not even the tag of the revision before names it.
    fs::write(publisher.software.join("hello"), b"hello again\n").expect("because the tree is ours");
    publisher.publish(SOFTWARE, &publisher.software, &["--tag", "v3"]);
    installation.run(&["env", "verify", &id]);
    let document = installation.run(&["env", "show", "--toml", &id]);
    let server = installation.serve(None);
    let elsewhere = Installation::new();
    let file = elsewhere.path("analysis.toml");
    fs::write(&file, document).expect("because the scratch directory is writable");
    elsewhere.run(&["env", "import", text(&file)]);
    let keys = installation.path("home/keys");
    let arguments = ["env", "verify", "kept", "--server", &server.url("@fqrn@"), "--key", text(&keys)];
    let outcome = elsewhere.call(&arguments);
    assert_eq!(outcome.code, Some(3), "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stderr.contains("nothing that is signed"), "{}", outcome.stderr);
}

#[test]
fn what_differs_is_told_down_to_packages_and_files() {
    let publisher = Publisher::new();
    publisher.move_on();
    publisher.freeze("second", "basic-2", "v2", &["--set", "SEED=1", "--", "true"]);
    let installation = &publisher.installation;
    let text = installation.run(&["env", "compare", "analysis", "second", "--files"]);
    for line in [
        "system os.lab.example: revision 2 (basic-1) → revision 3 (basic-2)",
        "  packages: 1 added, 1 removed, 0 changed",
        "    + libc7 3 (amd64)",
        "    - libc6 2.36 (amd64)",
        "  files: 0 added, 0 removed, 2 changed",
        "    M /etc/issue",
        "    M /hello",
        "    R /nested/deep/file",
        "variable SEED: none → 1",
        "entry: none → true",
    ] {
        assert!(text.lines().any(|other| other == line), "{text}\nlacks {line}");
    }
    assert_eq!(installation.run(&["env", "compare", "analysis", "analysis"]), "");
    let json = installation.run(&["env", "compare", "analysis", "second", "--parts", "--json"]);
    let json: Value = serde_json::from_str(&json).expect("because --json prints JSON");
    let parts: Vec<_> = json.as_array().expect("a list").iter().map(|part| part["part"].clone()).collect();
    assert_eq!(parts, ["system", "software", "variable", "entry"]);
}

#[test]
fn what_is_kept_is_served() {
    let publisher = Publisher::new();
    let installation = &publisher.installation;
    let place = installation.path("place");
    publisher.move_on();
    installation.run(&["env", "keep", "analysis", text(&place)]);
    publisher.freeze("second", "basic-2", "v2", &[]);
    let kept = installation.run(&["env", "keep", "second", text(&place), "--json"]);
    let kept: Value = serde_json::from_str(&kept).expect("because --json prints JSON");
    // The large file is there.
    assert!(kept[1]["bytes_fetched"].as_u64().is_some_and(|bytes| bytes < 1 << 20), "{kept}");
    let elsewhere = Installation::new();
    let server = elsewhere.serve(Some(&place));
    let documents = place.join("environments");
    let document = fs::read_dir(&documents).expect("because it was kept").flatten().map(|entry| entry.path());
    for document in document.filter(|path| path.extension().is_some_and(|extension| extension == "toml")) {
        let (keys, servers) = (documents.join("keys"), server.url("@fqrn@"));
        let arguments = ["env", "verify", text(&document), "--server", &servers, "--key", text(&keys)];
        elsewhere.run(&arguments);
    }
    // A place for copies is none for the original.
    let original = installation.path("home/repositories");
    let outcome = installation.call(&["env", "keep", "analysis", text(&original)]);
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
    if let Some(s3) = S3Server::start() {
        let bucket = format!("s3://{}/kept", S3Server::BUCKET);
        let place = installation.path("settings");
        let options = ["--storage", &bucket, "--s3-endpoint", &s3.url(), "--s3-allow-http", "--json"];
        let keep = || installation.run(&[&["env", "keep", "analysis", text(&place)], &options[..]].concat());
        keep();
        let again: Value = serde_json::from_str(&keep()).expect("because --json prints JSON");
        assert_eq!(again[0]["objects_fetched"], 0, "{again}");
    }
}

#[test]
fn what_is_mounted_is_frozen() {
    if fuse_is_missing() {
        return;
    }
    let publisher = Publisher::new();
    let server = publisher.installation.serve(None);
    let client = Installation::new();
    assert_eq!(client.call(&["env", "freeze", "now"]).code, Some(2), "nothing is mounted");
    let mut mounted = Vec::new();
    for (name, revision) in [(SYSTEM, "@basic-1"), (SOFTWARE, "")] {
        let key = publisher.installation.public_key(name);
        let target = format!("{name}{revision}");
        mounted.push(client.mount(&target, &server.url(name), &key, name, &[]));
    }
    publisher.move_on();
    client.run(&["env", "freeze", "now", "--mounted", "--system", SYSTEM, "-r", SOFTWARE, "--set", "A=b"]);
    mounted.iter().for_each(|mounted| client.unmount(mounted));
    for part in ["system", "software"] {
        let (now, then) = (root(&client, "now", part), root(&publisher.installation, "analysis", part));
        assert_eq!(now, then, "{part}");
    }
    // The servers that were mounted from are in the document; the keys are kept.
    client.run(&["env", "verify", "now"]);
}

/// The root hash of the system or of the first software of an environment.
fn root(installation: &Installation, environment: &str, part: &str) -> String {
    let shown = installation.run(&["env", "show", "--json", environment]);
    let shown: Value = serde_json::from_str(&shown).expect("because --json prints JSON");
    let source = if part == "system" { &shown["system"] } else { &shown["software"][0] };
    source["root"].as_str().expect("because it has a root").to_owned()
}

fn status(package: &str, version: &str) -> String {
    format!("Package: {package}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n")
}

/// What is the mount's own in a listing.
fn of_a_mount(_path: &str, field: usize) -> bool {
    field == 7 || field == 11
}

/// Everything below `data` of the copies.
fn objects_in(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(objects_in(&path)),
            false => found.push(path),
        }
    }
    found
}

fn entries(directory: &Path) -> usize {
    fs::read_dir(directory).map_or(0, Iterator::count)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("because scratch paths are text")
}

/// The members of a tar file: name, where the content begins, its size.
fn members(archive: &[u8]) -> Vec<(String, usize, usize)> {
    let mut members = Vec::new();
    let mut at = 0;
    while archive[at] != 0 {
        let field = |from: usize, length: usize| {
            let mut text = String::new();
            let _ = archive[at + from..at + from + length]
                .split(|&byte| byte == 0)
                .next()
                .unwrap_or_default()
                .read_to_string(&mut text);
            text
        };
        let size = usize::from_str_radix(field(124, 12).trim(), 8).expect("a size");
        let prefix = field(345, 155);
        let name = if prefix.is_empty() { field(0, 100) } else { format!("{prefix}/{}", field(0, 100)) };
        members.push((name, at + 512, size));
        at += 512 + size.div_ceil(512) * 512;
    }
    members
}

fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted).expect("because it is there")
}
