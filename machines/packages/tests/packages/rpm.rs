//! RPM's repositories: what is taken, and what must not be; and one made by createrepo_c.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use varve_packages::{Family, Index, IndexSource, MirrorUrl, SilentFetch};

use crate::repository::{Signer, Workshop, architecture, gzip, list, lock, packages, told, write};
use varve_packages::Sha256;

struct RpmRepository {
    directory: PathBuf,
    signer: Signer,
    packages: String,
    filelists: String,
}

const RPM: &str = "family = \"rpm\"";

impl RpmRepository {
    fn new(workshop: &Workshop) -> Self {
        Self {
            directory: workshop.scratch.directory("mirror"),
            signer: Signer::new(),
            packages: String::new(),
            filelists: String::new(),
        }
    }

    /// Adds a package; dependencies are written `kind:name` or `kind:name FLAG version`, files by themselves.
    fn package(&mut self, name: &str, version: &str, relations: &[&str]) -> &mut Self {
        let content = format!("{name} {version}").repeat(100);
        let path = format!("Packages/{name}-{version}.rpm");
        write(&self.directory.join(&path), content.as_bytes());
        let (size, sha256) = (content.len(), Sha256::of(content.as_bytes()));
        let mut format = String::new();
        for relation in relations {
            match relation.split_once(':') {
                Some((kind, rest)) => {
                    let words: Vec<&str> = rest.rsplitn(3, ' ').collect();
                    let entry = match words[..] {
                        [version, flag, name] if flag.len() == 2 && flag.chars().all(char::is_uppercase) => {
                            format!(
                                "<rpm:entry name=\"{name}\" flags=\"{flag}\" epoch=\"0\" ver=\"{version}\"/>"
                            )
                        }
                        _ => format!("<rpm:entry name=\"{rest}\"/>"),
                    };
                    let _ = write!(format, "<rpm:{kind}>{entry}</rpm:{kind}>");
                }
                None => {
                    let _ = write!(format, "<file>{relation}</file>");
                }
            }
        }
        let _ = write!(
            self.packages,
            "<package type=\"rpm\"><name>{name}</name><arch>x86_64</arch><version epoch=\"0\" ver=\"{version}\" rel=\"1\"/>\
             <checksum type=\"sha256\" pkgid=\"YES\">{sha256}</checksum><size package=\"{size}\" installed=\"{size}\"/>\
             <location href=\"{path}\"/><format>{format}</format></package>"
        );
        self
    }

    fn publish(&self) -> &Self {
        let files = [
            ("primary", format!("<metadata xmlns:rpm=\"r\">{}</metadata>", self.packages)),
            ("filelists", format!("<filelists>{}</filelists>", self.filelists)),
            (
                "group",
                "<comps><group><id>core</id><packagelist><packagereq>a</packagereq></packagelist></group></comps>"
                    .to_owned(),
            ),
        ];
        let mut data = String::new();
        for (kind, text) in &files {
            let packed = gzip(text.as_bytes());
            let path = format!("repodata/{kind}.xml.gz");
            write(&self.directory.join(&path), &packed);
            let _ = write!(
                data,
                "<data type=\"{kind}\"><checksum type=\"sha256\">{}</checksum><location href=\"{path}\"/>\
                 <timestamp>1767225600</timestamp><size>{}</size><open-size>{}</open-size></data>",
                Sha256::of(&packed),
                packed.len(),
                text.len()
            );
        }
        let text = format!("<repomd>{data}</repomd>");
        write(&self.directory.join("repodata/repomd.xml"), text.as_bytes());
        write(&self.directory.join("repodata/repomd.xml.asc"), &self.signer.detached(text.as_bytes()));
        self
    }

    fn source(&self) -> IndexSource {
        IndexSource {
            id: "base".parse().expect("it is an id"),
            mirror: MirrorUrl::of_directory(&self.directory).expect("it is a directory"),
            suite: String::new(),
            components: Vec::new(),
            keyring: self.signer.keyring(),
            unsigned: false,
            check_age: true,
            security: None,
        }
    }
}

#[test]
fn provides_files_and_boolean_dependencies() {
    let workshop = Workshop::new();
    let mut repository = RpmRepository::new(&workshop);
    repository.package(
        "a",
        "1",
        &["requires:libx.so()(64bit)", "requires:/usr/bin/tool", "requires:/opt/rare"],
    );
    repository.package("libx", "2", &["provides:libx.so()(64bit)"]);
    repository.package("tools", "1", &["/usr/bin/tool"]);
    repository.package("rare", "1", &[]);
    repository.package("old", "1", &["provides:cap"]).package("new", "1", &["obsoletes:old", "provides:cap"]);
    repository.package("both", "1", &["requires:(libx and tools)", "requires:(x or rare)"]);
    repository.package("lang", "1", &["requires:(lang-de if tools)"]).package("lang-de", "1", &[]);
    repository.package("range", "1", &["requires:(libx &gt;= 1 with libx &lt; 2)"]);
    repository.filelists =
        "<package name=\"rare\" arch=\"x86_64\"><version epoch=\"0\" ver=\"1\" rel=\"1\"/>\
        <file>/opt/rare</file></package>"
            .to_owned();
    repository.publish();
    let index = workshop.fetch(&repository.source(), Family::Rpm).expect("it is right");
    assert_eq!((index.locked.date.as_str(), index.locked.fingerprints.len()), ("2026-01-01T00:00:00Z", 1));
    let indexes = [index];
    let of = |include: &[&str]| packages(&lock(&list(include, RPM), &indexes, None).expect("there is a set"));
    assert_eq!(of(&["a"]), "a=1-1 libx=2-1 rare=1-1 tools=1-1");
    assert_eq!(of(&["group:core"]), of(&["a"]));
    assert_eq!(of(&["both"]), "both=1-1 libx=2-1 rare=1-1 tools=1-1");
    assert_eq!(of(&["lang"]), "lang=1-1");
    assert_eq!(of(&["lang", "/usr/bin/tool"]), "lang=1-1 lang-de=1-1 tools=1-1");
    let told = |include: &[&str]| {
        lock(&list(include, RPM), &indexes, None).expect_err("there is no set").to_string()
    };
    assert!(told(&["old", "new"]).contains("new says 'Obsoletes: old'"), "{}", told(&["old", "new"]));
    assert!(told(&["range"]).starts_with("'range' cannot be installed"), "{}", told(&["range"]));
}

#[test]
fn nothing_that_nobody_trusted_has_signed_is_used() {
    let workshop = Workshop::new();
    let mut repository = RpmRepository::new(&workshop);
    repository.package("a", "1", &[]).publish();
    let table = repository.directory.join("repodata/repomd.xml");
    let good = fs::read_to_string(&table).expect("it is there");
    fs::write(&table, good.replace("1767225600", "1767225601")).expect("the disk has room");
    let error = workshop.fetch(&repository.source(), Family::Rpm).expect_err("it was changed");
    assert!(error.fault.is_integrity() && told(&error).contains("is not good"), "{}", told(&error));
    fs::write(&table, good).expect("the disk has room");
    let mut source = repository.source();
    source.keyring = Signer::new().keyring();
    let error = workshop.fetch(&source, Family::Rpm).expect_err("others signed it");
    assert!(told(&error).contains("none of these keys"), "{}", told(&error));
    fs::remove_file(repository.directory.join("repodata/repomd.xml.asc")).expect("it was there");
    let error = workshop.fetch(&repository.source(), Family::Rpm).expect_err("nobody signed it");
    assert!(told(&error).ends_with("there is none"), "{}", told(&error));
    source.unsigned = true;
    let index = workshop.fetch(&source, Family::Rpm).expect("that is wanted");
    assert!(index.locked.fingerprints.is_empty());
    let list_file = repository.directory.join("repodata/primary.xml.gz");
    let mut bytes = fs::read(&list_file).expect("it is there");
    bytes[30] ^= 1;
    fs::write(&list_file, bytes).expect("the disk has room");
    fs::remove_dir_all(workshop.archive.root().join("sha256")).expect("it was there");
    let error = workshop.fetch(&source, Family::Rpm).expect_err("it was changed");
    assert!(error.fault.is_integrity(), "{}", told(&error));
}

#[test]
fn a_repository_that_createrepo_made_is_locked_and_fetched() {
    let tools = ["rpmbuild", "createrepo_c"];
    let is_there = |tool: &&str| Command::new(tool).arg("--version").output().is_ok();
    if let Some(missing) = tools.iter().find(|tool| !is_there(tool)) {
        assert!(std::env::var_os("CI").is_none(), "{missing} must be there");
        println!("skipped: there is no {missing}");
        return;
    }
    let workshop = Workshop::new();
    let directory = workshop.scratch.directory("built");
    for (name, lines) in [("app", "Requires: lib >= 2\nRecommends: docs"), ("lib", ""), ("docs", "")] {
        let spec = format!(
            "Name: {name}\nVersion: 2\nRelease: 1\nSummary: x\nLicense: x\nBuildArch: noarch\n{lines}\n%description\nx\n%files\n"
        );
        let path = workshop.scratch.path().join(format!("{name}.spec"));
        fs::write(&path, spec).expect("the disk has room");
        let built = Command::new("rpmbuild")
            .args(["-bb", "--define"])
            .arg(format!("_rpmdir {}", directory.display()))
            .args(["--define", &format!("_topdir {}", workshop.scratch.path().join("top").display())])
            .arg(&path)
            .output()
            .expect("it was there");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }
    let made = Command::new("createrepo_c").arg(&directory).output().expect("it was there");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut source = RpmRepository::new(&workshop).source();
    source.mirror = MirrorUrl::of_directory(&directory).expect("it is a directory");
    source.unsigned = true;
    let index = workshop.fetch(&source, Family::Rpm).expect("it is right");
    let resolved = lock(&list(&["app"], RPM), &[index], None).expect("there is a set");
    assert_eq!(packages(&resolved), "app=2-1 lib=2-1");
    let fetched = workshop.archive.fetch_lock(&resolved.lock, &workshop.transfers, &SilentFetch);
    assert_eq!(fetched.expect("the files are there").files, 2);
    fs::remove_dir_all(&directory).expect("it was there");
    let architecture = architecture(Family::Rpm);
    Index::recall(&resolved.lock.indexes[0], Family::Rpm, &architecture, &workshop.archive)
        .expect("it is kept");
}
