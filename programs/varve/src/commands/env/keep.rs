//! `varve env keep`: everything of an environment is copied to a place that can be served.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use varve_environment::{Environment, Source};
use varve_publish::{LocalRepository, PublishError, RepositoryLock, SettingsFile};
use varve_replicate::{MirrorError, Revision};
use varve_repository::SignedManifest;
use varve_store::{Deadline, Freshness, ObjectStore, RepositoryFile, StoreError};

use super::effort::{EffortOptions, Shown};
use super::opened::{Opener, PATIENCE, SourceOptions, Verified, not_fetched, root_reference};
use crate::cli::ListingOptions;
use crate::commands::repo::local;
use crate::commands::repo::storage::StorageOptions;
use crate::copies::Copies;
use crate::environments::Environments;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Row;
use crate::progress::{Progress, Unit};

/// Copy everything of an environment to a place
#[derive(Args, Debug)]
#[command(
    after_help = "DIRECTORY becomes what `varve serve --root DIRECTORY` serves: a directory for each repository, and \
                  `environments` with the document, keys and the boot image. Several environments can be kept in one place; what \
                  they share is stored once. With --storage, the objects go elsewhere, such as to S3, below each \
                  repository's name, and only settings lie in DIRECTORY. Stopped at any time, the next call goes on."
)]
pub(crate) struct Keep {
    /// The environment
    #[arg(value_name = "ENV")]
    environment: String,
    /// The place
    directory: PathBuf,
    #[command(flatten)]
    storage: StorageOptions,
    #[command(flatten)]
    options: SourceOptions,
    #[command(flatten)]
    effort: EffortOptions,
    #[command(flatten)]
    listing: ListingOptions,
}

/// A repository that is kept.
#[derive(Serialize)]
struct KeptRevision {
    repository: String,
    revision: u64,
    root: String,
    place: String,
    objects_fetched: u64,
    bytes_fetched: u64,
    objects_present: u64,
}

impl Row for KeptRevision {
    const HEADINGS: &'static [&'static str] =
        &["REPOSITORY", "REVISION", "FETCHED", "SIZE", "PRESENT", "PLACE"];
    const NUMBERS: &'static [usize] = &[1, 2, 3, 4];

    fn cells(&self) -> Vec<String> {
        vec![
            self.repository.clone(),
            self.revision.to_string(),
            indicatif::HumanCount(self.objects_fetched).to_string(),
            indicatif::HumanBytes(self.bytes_fetched).to_string(),
            indicatif::HumanCount(self.objects_present).to_string(),
            self.place.clone(),
        ]
    }
}

impl Keep {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let opener = Opener::new(invocation, &self.options)?;
        let environment = Environments::of(&opener.places).find(&self.environment)?;
        let progress = invocation.progress("keeping", Unit::Bytes, None);
        let mut rows = Vec::new();
        for source in environment.sources() {
            rows.push(self.keep(&opener, &environment, source, &progress)?);
        }
        self.keep_document(&opener, &environment)?;
        progress.finish();
        invocation.output.listing(self.listing, &rows)
    }

    fn keep(
        &self,
        opener: &Opener<'_>,
        environment: &Environment,
        source: &Source,
        progress: &Progress,
    ) -> Result<KeptRevision, Failure> {
        let name = &source.repository;
        progress.set_detail(name.to_string());
        let opened = opener.open_source(environment, source)?;
        let (verified, root) = opener.proof(&opened, source)?;
        let place = self.place(opener.invocation, source)?;
        let lock = RepositoryLock::take(&place.directory).map_err(PublishError::from)?;
        let store = place.open_replica(&lock)?;
        refuse_others(&*store, source)?;
        let root = root_reference(source, root.size);
        let revision = Revision { name, source: &*opened.source, root: &root, number: source.revision };
        // What was begun and not ended has no sync behind it: then what is there is read before it is relied on.
        let doubtful = is_doubtful(&place.directory);
        write(&mark(&place.directory), b"")?;
        let tally =
            revision.copy(&*store, self.effort.effort(), doubtful, &Shown(progress)).map_err(not_fetched)?;
        show(&*store, &verified)?;
        fs::remove_file(mark(&place.directory))
            .map_err(|error| Failure::io("write to", &place.directory, error))?;
        let key = self.directory.join("environments/keys").join(format!("{name}.pub"));
        write(&key, verified.key.to_pem().as_bytes())?;
        Ok(KeptRevision {
            repository: name.to_string(),
            revision: source.revision,
            root: source.root.to_string(),
            place: store.place(),
            objects_fetched: tally.objects,
            bytes_fetched: tally.bytes,
            objects_present: tally.present,
        })
    }

    /// Where the repository is kept, with its settings.
    fn place(&self, invocation: &Invocation, source: &Source) -> Result<LocalRepository, Failure> {
        let name = &source.repository;
        let place = LocalRepository {
            directory: self.directory.join(name.as_str()),
            settings: self.directory.join(format!("{name}.toml")),
            ..local::repository(invocation, name)?
        };
        fs::create_dir_all(&place.directory)
            .map_err(|error| Failure::io("create directory", &place.directory, error))?;
        if let Some(storage) = self.storage.to_settings()? {
            let settings = SettingsFile { storage: Some(storage), ..SettingsFile::default() };
            settings.resolve().map_err(Failure::usage_error)?;
            write(&place.settings, settings.to_text().as_bytes())?;
        }
        Ok(place)
    }

    /// The document, and the image, beside the repositories.
    fn keep_document(&self, opener: &Opener<'_>, environment: &Environment) -> Result<(), Failure> {
        let directory = self.directory.join("environments");
        if let Some(image) = &environment.image {
            let kept = Copies::of(&opener.places).image(image).ok_or_else(|| {
                Failure::new(ExitCode::NotFound, format!("the boot image {} is not kept here", image.sha256))
            })?;
            let bytes = fs::read(&kept).map_err(|error| Failure::io("read", &kept, error))?;
            write(&directory.join("images").join(image.sha256.digits()), &bytes)?;
        }
        let document = directory.join(format!("{}.toml", environment.id().digits()));
        write(&document, environment.to_text().as_bytes())
    }
}

/// Another repository, or the original, is not to be mixed with copies.
fn refuse_others(store: &dyn ObjectStore, source: &Source) -> Result<(), Failure> {
    let (name, place) = (source.repository.clone(), store.place());
    if file(store, RepositoryFile::MasterReplica)?.is_some() {
        return Err(MirrorError::Original { name, place }.into());
    }
    let Some(manifest) = file(store, RepositoryFile::Manifest)? else { return Ok(()) };
    match SignedManifest::parse(&manifest) {
        Ok(manifest) if manifest.claims().repository == name => Ok(()),
        Ok(manifest) => {
            let held = manifest.claims().repository.clone();
            Err(MirrorError::OtherRepository { name, held, place }.into())
        }
        Err(_) => Err(MirrorError::Damaged { file: RepositoryFile::Manifest, place }.into()),
    }
}

/// Lets the place show the manifest of the proof, unless it shows a later one.
fn show(store: &dyn ObjectStore, verified: &Verified) -> Result<(), Failure> {
    let shown = file(store, RepositoryFile::Manifest)?;
    let later = shown
        .and_then(|bytes| SignedManifest::parse(&bytes).ok())
        .is_some_and(|shown| shown.claims().revision > verified.proven.manifest().revision);
    if !later {
        return Ok(verified.proof.store(store)?);
    }
    for (name, stored) in verified.proof.objects() {
        store.put(name, stored)?;
    }
    Ok(store.sync()?)
}

fn file(store: &dyn ObjectStore, file: RepositoryFile) -> Result<Option<Vec<u8>>, Failure> {
    match store.fetch_file(file, Freshness::Revalidated, Deadline::after(PATIENCE)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Says that copying was begun.
fn mark(directory: &Path) -> PathBuf {
    directory.join(".varve-keeping")
}

fn is_doubtful(directory: &Path) -> bool {
    mark(directory).exists()
}

/// Writes a file that is there whole, or not.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    let failed = |error| Failure::io("write", path, error);
    let parent = path.parent().unwrap_or(Path::new("."));
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    fs::create_dir_all(parent).map_err(failed)?;
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let mut file = File::create(&part).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&part, path).map_err(failed)?;
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(failed)
}
