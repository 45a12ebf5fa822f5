//! `varve env export`: everything of an environment in one file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use tar::{Builder, EntryType, Header};
use varve_environment::{Environment, Source};
use varve_replicate::{MirrorError, Revision, RevisionObjects};

use super::archive::{Member, Part, README_TEXT};
use super::effort::EffortOptions;
use super::opened::{Opener, SourceOptions, not_fetched, root_reference};
use crate::copies::Copies;
use crate::environments::Environments;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::progress::{Progress, Unit};

/// How much is compressed: objects are compressed already.
const ZSTD_LEVEL: i32 = 3;

/// Write an environment with everything that it needs to an archive
#[derive(Args, Debug)]
#[command(
    after_help = "The archive is a tar file, compressed if its name ends in .zst; it says inside how it is read without this \
                  program. The same environment gives the same bytes each time. `varve env import` takes it in."
)]
pub(crate) struct Export {
    /// The environment
    #[arg(value_name = "ENV")]
    environment: String,
    /// The archive: a name that ends in .tar or .tar.zst, or - for standard output
    file: PathBuf,
    #[command(flatten)]
    options: SourceOptions,
    #[command(flatten)]
    effort: EffortOptions,
}

impl Export {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let opener = Opener::new(invocation, &self.options)?;
        let environment = Environments::of(&opener.places).find(&self.environment)?;
        let progress = invocation.progress("exporting", Unit::Bytes, None);
        let packer =
            Packer { opener: &opener, environment: &environment, effort: &self.effort, progress: &progress };
        if self.file == Path::new("-") {
            packer.pack(&mut BufWriter::new(io::stdout().lock())).map_err(PackError::of_stdout)?;
        } else {
            packer.pack_file(&self.file)?;
        }
        progress.finish();
        invocation.output.say(format!("exported {}", environment.id()));
        Ok(())
    }
}

struct Packer<'a> {
    opener: &'a Opener<'a>,
    environment: &'a Environment,
    effort: &'a EffortOptions,
    progress: &'a Progress,
}

/// Why there is no archive.
enum PackError {
    /// It can't be written.
    Write(io::Error),
    Mirror(MirrorError),
    Other(Failure),
}

impl Packer<'_> {
    /// The file appears when it is whole; until then it has `.part` behind its name.
    fn pack_file(&self, path: &Path) -> Result<(), Failure> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let part = PathBuf::from(name);
        let written = (|| {
            let file = File::create(&part).map_err(PackError::Write)?;
            let mut buffered = BufWriter::with_capacity(1 << 20, &file);
            if path.extension().is_some_and(|extension| extension == "zst") {
                let mut encoder = zstd::Encoder::new(&mut buffered, ZSTD_LEVEL).map_err(PackError::Write)?;
                self.pack(&mut encoder)?;
                encoder.finish().map_err(PackError::Write)?;
            } else {
                self.pack(&mut buffered)?;
            }
            buffered.flush().map_err(PackError::Write)?;
            drop(buffered);
            file.sync_all().map_err(PackError::Write)?;
            fs::rename(&part, path).map_err(PackError::Write)
        })();
        written.map_err(|error| {
            // There is nothing to be done if even that fails.
            let _ = fs::remove_file(&part);
            error.of_file(path)
        })
    }

    fn pack(&self, to: &mut dyn Write) -> Result<(), PackError> {
        let mut archive = Builder::new(to);
        self.add(&mut archive, &Member::Readme, README_TEXT.as_bytes())?;
        self.add(&mut archive, &Member::Document, self.environment.to_text().as_bytes())?;
        let mut sources: Vec<&Source> = self.environment.sources().collect();
        sources.sort_by(|one, other| one.repository.cmp(&other.repository));
        for source in sources {
            self.pack_source(&mut archive, source)?;
        }
        if let Some(image) = &self.environment.image {
            let file = Copies::of(&self.opener.places).image(image).ok_or_else(|| {
                let error = format!("the boot image {} is not kept here", image.sha256);
                PackError::Other(Failure::new(ExitCode::NotFound, error))
            })?;
            let failed = |error| PackError::Other(Failure::io("read", &file, error));
            let opened = File::open(&file).map_err(failed)?;
            let size = opened.metadata().map_err(failed)?.len();
            if size != image.size {
                let error = format!("{} has {size} bytes instead of {}", file.display(), image.size);
                return Err(PackError::Other(Failure::new(ExitCode::Integrity, error)));
            }
            self.append(&mut archive, &Member::image(image), size, &mut &opened)?;
        }
        archive.into_inner().map(drop).map_err(PackError::Write)
    }

    fn pack_source(&self, archive: &mut Builder<&mut dyn Write>, source: &Source) -> Result<(), PackError> {
        let name = &source.repository;
        self.progress.set_detail(name.to_string());
        let opened = self.opener.open_source(self.environment, source).map_err(PackError::Other)?;
        let (verified, root) = self.opener.proof(&opened, source).map_err(PackError::Other)?;
        // The next archive is to have the same proof.
        let copies = Copies::of(&self.opener.places);
        if copies.proof(name, &source.root).is_none() {
            copies.put_proof(source, &verified.proof, &verified.key).map_err(PackError::Other)?;
        }
        let member = |part| Member::Repository(name.clone(), part);
        self.add(archive, &member(Part::Key), verified.key.to_pem().as_bytes())?;
        for (file, bytes) in verified.proof.files() {
            self.add(archive, &member(Part::File(file)), bytes)?;
        }
        for (object, stored) in verified.proof.objects() {
            self.add(archive, &member(Part::Object(*object)), stored)?;
        }
        let root = root_reference(source, root.size);
        let revision = Revision { name, source: &*opened.source, root: &root, number: source.revision };
        RevisionObjects::of(revision, self.effort.effort())
            .for_each(&mut |object, stored| self.add(archive, &member(Part::Object(*object)), stored))
    }

    fn add(
        &self,
        archive: &mut Builder<&mut dyn Write>,
        member: &Member,
        bytes: &[u8],
    ) -> Result<(), PackError> {
        self.append(archive, member, bytes.len() as u64, &mut &*bytes)
    }

    /// Every member has the same attributes, so that only its content tells archives apart.
    fn append(
        &self,
        archive: &mut Builder<&mut dyn Write>,
        member: &Member,
        size: u64,
        content: &mut dyn io::Read,
    ) -> Result<(), PackError> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        // One header a member: whoever reads it has to know no extension of the format.
        header.set_path(member.path()).map_err(PackError::Write)?;
        header.set_cksum();
        archive.append(&header, content).map_err(PackError::Write)?;
        self.progress.advance(size);
        Ok(())
    }
}

impl From<MirrorError> for PackError {
    fn from(error: MirrorError) -> Self {
        Self::Mirror(error)
    }
}

impl PackError {
    fn of_file(self, path: &Path) -> Failure {
        match self {
            Self::Write(error) => Failure::io("write", path, error),
            Self::Mirror(error) => not_fetched(error),
            Self::Other(failure) => failure,
        }
    }

    fn of_stdout(self) -> Failure {
        match self {
            Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                Failure::silent(ExitCode::OutputClosed)
            }
            error => error.of_file(Path::new("standard output")),
        }
    }
}
