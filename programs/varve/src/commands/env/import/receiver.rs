//! Takes an archive apart, member by member, and trusts none of them: what is whole and verified in the end is kept, and
//! nothing of anything else.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::Digest as _;
use tar::{Archive, EntryType};
use varve_content::{Compression, ObjectKind, ObjectName};
use varve_environment::{Environment, LARGEST_DOCUMENT, Sha256, Source};
use varve_replicate::Arrival;
use varve_repository::{CERTIFICATE_LIMIT, HISTORY_LIMIT, Proof, ProofAge, PublicKeys, RepositoryName};
use varve_store::RepositoryFile;

use super::super::archive::{DOCUMENT, Member, Part};
use super::super::opened::{check, root_reference, told};
use crate::copies::{self, Copies, Incoming};
use crate::environments;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::progress::Progress;

/// Larger pages and keys are not read.
const LARGEST_TEXT: u64 = 1 << 20;

/// What takes an archive.
pub(super) struct Receiver<'a> {
    copies: &'a Copies,
    incoming: Incoming,
    /// What messages call the archive.
    archive: &'a Path,
    now: SystemTime,
    repositories: BTreeMap<RepositoryName, Repository>,
    image: Option<PathBuf>,
}

/// What came of a repository.
struct Repository {
    source: Source,
    directory: PathBuf,
    arrival: Arrival,
    key: Option<PublicKeys>,
    files: BTreeMap<&'static str, Vec<u8>>,
    /// Certificates and tags.
    objects: BTreeMap<ObjectName, Vec<u8>>,
}

impl<'a> Receiver<'a> {
    pub(super) fn new(copies: &'a Copies, archive: &'a Path, now: SystemTime) -> Result<Self, Failure> {
        let incoming = copies.incoming()?;
        Ok(Self { copies, incoming, archive, now, repositories: BTreeMap::new(), image: None })
    }

    /// Reads a whole archive; its document is passed to `check` before anything else is looked at.
    pub(super) fn receive(
        mut self,
        input: impl Read,
        check: &dyn Fn(&Environment) -> Result<(), Failure>,
        progress: &Progress,
    ) -> Result<Environment, Failure> {
        let mut archive = Archive::new(input);
        let mut environment = None;
        // Extensions of the format have no place in an archive, and cost memory.
        let entries = archive.entries().map_err(|error| self.unreadable(&error))?.raw(true);
        for entry in entries {
            let mut entry = entry.map_err(|error| self.unreadable(&error))?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let member = Member::of(&path).filter(|_| entry.header().entry_type() == EntryType::Regular);
            let member =
                member.ok_or_else(|| self.wrong(&format!("'{}' has no place in it", path.escape_debug())))?;
            let size = entry.size();
            match (&member, &environment) {
                (Member::Readme, None) => {
                    self.read(&mut entry, &path, LARGEST_TEXT)?;
                }
                (Member::Document, None) => {
                    let bytes = self.read(&mut entry, &path, LARGEST_DOCUMENT as u64)?;
                    let place = format!("{DOCUMENT} of {}", self.archive.display());
                    let document = environments::parse(&bytes, &place)?;
                    check(&document)?;
                    self.expect(&document)?;
                    environment = Some(document);
                }
                (Member::Repository(name, part), Some(_)) => self.take(name, part, &path, &mut entry)?,
                (Member::Image(digest), Some(environment)) => {
                    self.take_image(environment, digest, &mut entry)?;
                }
                _ => return Err(self.wrong(&format!("'{path}' stands in the wrong place"))),
            }
            progress.advance(size);
        }
        let environment = environment.ok_or_else(|| self.wrong(&format!("{DOCUMENT} is missing")))?;
        self.keep(&environment)?;
        Ok(environment)
    }

    /// Prepares for what the document names.
    fn expect(&mut self, environment: &Environment) -> Result<(), Failure> {
        for source in environment.sources() {
            let name = &source.repository;
            let directory = self.incoming.path().join(name.as_str());
            let known = self.copies.revisions_of(name);
            let arrival = Arrival::new(&directory, root_reference(source, None), known)?;
            let repository = Repository {
                source: source.clone(),
                directory,
                arrival,
                key: None,
                files: BTreeMap::new(),
                objects: BTreeMap::new(),
            };
            self.repositories.insert(name.clone(), repository);
        }
        Ok(())
    }

    fn take(
        &mut self,
        name: &RepositoryName,
        part: &Part,
        path: &str,
        entry: &mut dyn Read,
    ) -> Result<(), Failure> {
        if !self.repositories.contains_key(name) {
            return Err(
                self.wrong(&format!("'{path}' is of a repository that is no part of the environment"))
            );
        }
        // What is not streamed to disk is read before, within bounds.
        let small = match part {
            Part::Key => Some(LARGEST_TEXT),
            Part::File(file) => Some(file.limit()),
            Part::Object(object) => match object.kind {
                ObjectKind::Certificate => Some(Compression::Zlib.stored_bound(CERTIFICATE_LIMIT as u64)),
                ObjectKind::History => Some(Compression::Zlib.stored_bound(HISTORY_LIMIT as u64)),
                _ => None,
            },
        };
        let bytes = small.map(|limit| self.read(entry, path, limit)).transpose()?;
        let key = match (part, &bytes) {
            (Part::Key, Some(bytes)) => {
                Some(PublicKeys::from_pem(bytes).map_err(|error| self.wrong(&format!("'{path}': {error}")))?)
            }
            _ => None,
        };
        let Some(repository) = self.repositories.get_mut(name) else { return Ok(()) };
        let is_new = match (part, bytes) {
            (Part::Key, _) => repository.key.replace(key.unwrap_or_default()).is_none(),
            (Part::File(file), Some(bytes)) => repository.files.insert(file.name(), bytes).is_none(),
            (Part::Object(object), Some(bytes)) => repository.objects.insert(*object, bytes).is_none(),
            (Part::Object(object), None) => {
                repository.arrival.take(object, entry)?;
                true
            }
            (Part::File(_), None) => true,
        };
        if is_new { Ok(()) } else { Err(self.wrong(&format!("'{path}' comes twice"))) }
    }

    fn take_image(
        &mut self,
        environment: &Environment,
        digest: &Sha256,
        entry: &mut dyn Read,
    ) -> Result<(), Failure> {
        let Some(image) = environment.image.filter(|image| image.sha256 == *digest && self.image.is_none())
        else {
            return Err(
                self.wrong(&format!("the image {digest} is no part of the environment, or comes twice"))
            );
        };
        let path = self.incoming.path().join("images.file");
        let failed = |error| Failure::io("write", &path, error);
        let mut file = File::create(&path).map_err(failed)?;
        let (mut hasher, mut size, mut buffer) = (sha2::Sha256::new(), 0, vec![0; 1 << 20]);
        loop {
            let length = entry.read(&mut buffer).map_err(|error| self.unreadable(&error))?;
            if length == 0 {
                break;
            }
            hasher.update(&buffer[..length]);
            file.write_all(&buffer[..length]).map_err(failed)?;
            size += length as u64;
        }
        if Sha256::from_digest(hasher.finalize().into()) != *digest || size != image.size {
            return Err(self.wrong(&format!("the image {digest} is damaged")));
        }
        file.sync_all().map_err(failed)?;
        self.image = Some(path);
        Ok(())
    }

    /// Everything has come: is it all, and is it proved? Only then is any of it kept.
    fn keep(mut self, environment: &Environment) -> Result<(), Failure> {
        if let Some(image) = environment.image.filter(|_| self.image.is_none()) {
            return Err(self.wrong(&format!("the image {} is missing", image.sha256)));
        }
        let mut whole = Vec::new();
        for (_, repository) in std::mem::take(&mut self.repositories) {
            whole.push(self.finish(repository)?);
        }
        for (source, directory) in whole {
            self.copies.put_revision(&source, &directory)?;
        }
        match (environment.image, &self.image) {
            (Some(image), Some(path)) => self.copies.put_image(&image.sha256, path),
            _ => Ok(()),
        }
    }

    /// A repository that has come: its proof is verified, and written beside its objects.
    fn finish(&self, mut repository: Repository) -> Result<(Source, PathBuf), Failure> {
        let source = repository.source;
        let name = &source.repository;
        let keys = repository.key.unwrap_or_default();
        let key = keys.with_fingerprint(&source.key).filter(|_| keys.len() == 1).ok_or_else(|| {
            self.wrong(&format!("its key of {name} is not {}, which the environment names", source.key))
        })?;
        let file = |file: RepositoryFile| repository.files.remove(file.name());
        let proof = Proof::assemble(name, file, |object| repository.objects.remove(object)).map_err(told)?;
        if let Some(object) = repository.objects.keys().next() {
            return Err(self.wrong(&format!("{object} is no part of {name}")));
        }
        if let Some(file) = repository.files.keys().next() {
            return Err(self.wrong(&format!("{file} is no part of {name}")));
        }
        let proven = proof.verify(&key, ProofAge::Kept, self.now).map_err(told)?;
        check(&proven, &source)?;
        copies::store_proof(&repository.directory, &proof, &key)?;
        repository.arrival.finish()?;
        Ok((source, repository.directory))
    }

    fn read(&self, entry: &mut dyn Read, path: &str, limit: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        entry.take(limit + 1).read_to_end(&mut bytes).map_err(|error| self.unreadable(&error))?;
        if bytes.len() as u64 > limit {
            return Err(self.wrong(&format!("'{path}' is larger than {limit} bytes")));
        }
        Ok(bytes)
    }

    fn wrong(&self, what: &str) -> Failure {
        let error = format!("{} is no whole archive of an environment: {what}", self.archive.display());
        Failure::new(ExitCode::Integrity, error).hint("nothing of it was kept; get the archive again")
    }

    fn unreadable(&self, error: &std::io::Error) -> Failure {
        self.wrong(&format!("it can't be read on: {error}"))
    }
}
