//! Small repositories, signed with keys made for the test, and how they are locked.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, DetachedSignature, KeyType, SecretKeyParamsBuilder, SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::types::Password;
use varve_packages::{
    Architecture, Archive, Family, Index, IndexAccess, IndexError, IndexSource, Keyring, LockingError,
    MirrorUrl, Previous, Resolved, Sha256, ShoppingList, TransferConfig, Transfers, make_lock, universe,
};
use varve_testkit::Scratch;

/// A key that signs.
pub(crate) struct Signer(SignedSecretKey);

impl Signer {
    pub(crate) fn new() -> Self {
        let parameters = SecretKeyParamsBuilder::default()
            .key_type(KeyType::Ed25519Legacy)
            .can_certify(true)
            .can_sign(true)
            .primary_user_id("Test <test@example.org>".into())
            .build()
            .expect("these parameters are right");
        Self(parameters.generate(rand::thread_rng()).expect("there is randomness"))
    }

    pub(crate) fn keys(&self) -> Vec<u8> {
        self.0.to_public_key().to_armored_bytes(ArmorOptions::default()).expect("it is memory")
    }

    pub(crate) fn keyring(&self) -> Keyring {
        Keyring::parse(&self.keys()).expect("it is a key")
    }

    pub(crate) fn clear_sign(&self, text: &str) -> String {
        let key = &self.0.primary_key;
        let signed = CleartextSignedMessage::sign(rand::thread_rng(), text, key, &Password::empty());
        signed.and_then(|signed| signed.to_armored_string(ArmorOptions::default())).expect("it is a key")
    }

    pub(crate) fn detached(&self, bytes: &[u8]) -> Vec<u8> {
        let key = &self.0.primary_key;
        DetachedSignature::sign_binary_data(
            rand::thread_rng(),
            key,
            &Password::empty(),
            HashAlgorithm::Sha256,
            bytes,
        )
        .and_then(|signature| signature.to_armored_bytes(ArmorOptions::default()))
        .expect("it is a key")
    }
}

/// A repository of Debian's form, with one component.
pub(crate) struct DebianRepository {
    pub(crate) directory: PathBuf,
    pub(crate) signer: Signer,
    pub(crate) suite: &'static str,
    pub(crate) packages: String,
    /// Fields of the release file beside those that every one has.
    pub(crate) release: String,
}

impl DebianRepository {
    pub(crate) fn new(scratch: &Scratch, suite: &'static str) -> Self {
        let directory = scratch.directory(&format!("mirror-{suite}"));
        Self { directory, signer: Signer::new(), suite, packages: String::new(), release: String::new() }
    }

    /// Adds a package, and its file; `fields` are lines such as `Depends: b`.
    pub(crate) fn package(&mut self, name: &str, version: &str, fields: &str) -> &mut Self {
        let content = format!("{name} {version}").repeat(100);
        let path = format!("pool/{name}_{}_amd64.deb", version.replace(':', "%3a"));
        write(&self.directory.join(&path), content.as_bytes());
        let fields = fields.trim();
        let gap = if fields.is_empty() { "" } else { "\n" };
        let (size, sha256) = (content.len(), Sha256::of(content.as_bytes()));
        let _ = write!(
            self.packages,
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{fields}{gap}Filename: {path}\nSize: {size}\n\
             SHA256: {sha256}\nDescription: x\n y\n\n"
        );
        self
    }

    /// Writes lists and release file; what was there before is replaced.
    pub(crate) fn publish(&self) -> &Self {
        self.publish_list(&gzip(self.packages.as_bytes()), self.packages.len())
    }

    /// As [`Self::publish`], with these bytes as the compressed list, of which `size` are said to come out.
    pub(crate) fn publish_list(&self, list: &[u8], size: usize) -> &Self {
        let suite = self.directory.join("dists").join(self.suite);
        write(&suite.join("main/binary-amd64/Packages.gz"), list);
        let release = format!(
            "Suite: {}\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nArchitectures: amd64\nComponents: main\n{}SHA256:\n {} {} \
             main/binary-amd64/Packages.gz\n {} {size} main/binary-amd64/Packages\n",
            self.suite,
            self.release,
            Sha256::of(list),
            list.len(),
            Sha256::of(b""),
        );
        write(&suite.join("InRelease"), self.signer.clear_sign(&release).as_bytes());
        write(&suite.join("Release"), release.as_bytes());
        write(&suite.join("Release.gpg"), &self.signer.detached(release.as_bytes()));
        self
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join("dists").join(self.suite).join(name)
    }

    pub(crate) fn source(&self) -> IndexSource {
        IndexSource {
            id: self.suite.parse().expect("it is an id"),
            mirror: MirrorUrl::of_directory(&self.directory).expect("it is a directory"),
            suite: self.suite.to_owned(),
            components: vec!["main".to_owned()],
            keyring: self.signer.keyring(),
            unsigned: false,
            check_age: true,
            security: None,
        }
    }
}

/// Where a test fetches and keeps.
pub(crate) struct Workshop {
    pub(crate) scratch: Scratch,
    pub(crate) archive: Archive,
    pub(crate) transfers: Transfers,
}

impl Workshop {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new();
        let archive = Archive::open(scratch.path().join("archive")).expect("the disk has room");
        Self { scratch, archive, transfers: transfers() }
    }

    pub(crate) fn fetch(&self, source: &IndexSource, family: Family) -> Result<Index, IndexError> {
        self.fetch_at(source, family, SystemTime::now())
    }

    pub(crate) fn fetch_at(
        &self,
        source: &IndexSource,
        family: Family,
        now: SystemTime,
    ) -> Result<Index, IndexError> {
        let access = IndexAccess { transfers: &self.transfers, archive: &self.archive, now };
        Index::fetch(source, family, &architecture(family), access)
    }
}

pub(crate) fn architecture(family: Family) -> Architecture {
    let name = match family {
        Family::Debian => "amd64",
        Family::Rpm => "x86_64",
    };
    name.parse().expect("it is one")
}

pub(crate) fn transfers() -> Transfers {
    Transfers::new(TransferConfig {
        user_agent: "test".to_owned(),
        proxy: None,
        patience: Duration::from_secs(5),
        attempts: 3,
        parallel: 4,
    })
    .expect("there are threads")
}

/// A list that asks for this, and says more in `rest`.
pub(crate) fn list(include: &[&str], rest: &str) -> ShoppingList {
    let text = format!("name = \"test\"\ninclude = {include:?}\n{rest}");
    let family = if rest.contains("\"rpm\"") { Family::Rpm } else { Family::Debian };
    ShoppingList::parse(&text, None, Some(&architecture(family))).expect("it is a list")
}

pub(crate) fn lock(
    list: &ShoppingList,
    indexes: &[Index],
    previous: Option<&Previous<'_>>,
) -> Result<Resolved, LockingError> {
    let universe = universe(indexes, list.family, &list.architecture, 2).expect("the entries are right");
    make_lock(list, indexes, universe.as_ref(), previous)
}

/// Names and versions, in one line.
pub(crate) fn packages(resolved: &Resolved) -> String {
    let all = resolved.lock.packages.iter().map(|package| format!("{}={}", package.name, package.version));
    all.collect::<Vec<_>>().join(" ")
}

pub(crate) fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().expect("it has one")).expect("the disk has room");
    fs::write(path, content).expect("the disk has room");
}

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).and_then(|()| encoder.finish()).expect("it is memory")
}

/// An error and its causes.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
