//! The two repositories under `tests/fixtures`, as bytes.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use varve_content::{Compression, ContentHash, ObjectKind, ObjectName, decompress};
use varve_repository::{
    Evidence, Manifest, PublicKeys, RepositoryName, SignedManifest, SigningKeys, Trust, TrustError,
};

/// The names of the repositories.
pub(crate) const NAMES: [&str; 2] = ["fix1.lab.example", "fix2-rmd160.lab.example"];

/// A time at which everything in the repositories is valid: 2027-01-01.
pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_798_761_600)
}

/// One repository.
pub(crate) struct Fixture {
    /// Its name.
    pub(crate) name: RepositoryName,
    directory: PathBuf,
}

impl Fixture {
    /// The repository of this name.
    pub(crate) fn new(name: &str) -> Self {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name);
        Self { name: name.parse().expect("a repository's name"), directory }
    }

    /// Both repositories.
    pub(crate) fn all() -> [Self; 2] {
        NAMES.map(Self::new)
    }

    /// A file of the repository's directory.
    pub(crate) fn file(&self, path: &str) -> Vec<u8> {
        let path = self.directory.join(path);
        fs::read(&path)
            .map_err(|error| format!("{}: {error}", path.display()))
            .expect("a file of the fixture")
    }

    /// A text file of the repository's directory.
    pub(crate) fn text(&self, path: &str) -> String {
        String::from_utf8(self.file(path)).expect("a text")
    }

    /// The directory of its keys.
    pub(crate) fn keys(&self) -> PathBuf {
        self.directory.join("keys")
    }

    /// The directory that is served.
    pub(crate) fn served(&self) -> PathBuf {
        self.directory.join("served")
    }

    /// An object, decompressed.
    pub(crate) fn object(&self, hash: ContentHash, kind: ObjectKind) -> Vec<u8> {
        let stored = self.file(&format!("served/data/{}", ObjectName::new(hash, kind).path()));
        assert_eq!(hash.algorithm().hash(&stored), hash);
        decompress(&stored, Compression::Zlib, 1 << 20).expect("a zlib stream")
    }

    /// The manifest, not verified.
    pub(crate) fn signed_manifest(&self) -> SignedManifest {
        SignedManifest::parse(&self.file("served/.cvmfspublished")).expect("a manifest")
    }

    /// The certificate object that the manifest names.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        let hash = self.signed_manifest().claims().certificate.expect("a certificate's hash");
        self.object(hash, ObjectKind::Certificate)
    }

    /// The private keys.
    pub(crate) fn signing_keys(&self) -> SigningKeys {
        SigningKeys::load(&self.keys(), &self.name).expect("the repository's keys")
    }

    /// Belief in the repository's own public key.
    pub(crate) fn trust(&self) -> Trust {
        Trust::in_keys(
            PublicKeys::load(&[self.keys().join(format!("{}.pub", self.name))]).expect("a public key"),
        )
    }

    /// The chain with one link replaced.
    pub(crate) fn verify(&self, manifest: &[u8], whitelist: &[u8]) -> Result<Manifest, TrustError> {
        let manifest = SignedManifest::parse(manifest).expect("a manifest");
        let certificate = self.certificate();
        let evidence = Evidence { whitelist, pkcs7: None, certificate: &certificate };
        self.trust().verify(&self.name, manifest, &evidence, now())
    }
}

/// Every catalog of both repositories with its object name, decompressed.
pub(crate) fn catalogs() -> Vec<(ObjectName, Vec<u8>)> {
    let mut catalogs = Vec::new();
    for fixture in Fixture::all() {
        let data = fixture.served().join("data");
        for outer in fs::read_dir(&data).expect("the fixtures are in the tree") {
            let outer = outer.expect("a readable directory");
            for inner in fs::read_dir(outer.path()).expect("a readable directory") {
                let inner = inner.expect("a readable directory");
                let path = format!(
                    "{}/{}",
                    outer.file_name().to_string_lossy(),
                    inner.file_name().to_string_lossy()
                );
                let Ok(name) = ObjectName::from_path(&path) else { continue };
                if name.kind == ObjectKind::Catalog {
                    let stored = fs::read(inner.path()).expect("a readable object");
                    let plain = decompress(&stored, Compression::Zlib, 1 << 24).expect("a sound object");
                    catalogs.push((name, plain));
                }
            }
        }
    }
    catalogs.sort_by_key(|(name, _)| *name);
    assert_eq!(catalogs.len(), 17, "the fixtures have 17 catalogs");
    catalogs
}
