//! `varve env verify`: whether everything of an environment can be had, is signed, and is whole.

use std::fs::File;
use std::io::Read as _;

use clap::Args;
use serde::Serialize;
use sha2::Digest as _;
use varve_environment::{Environment, Image, Sha256, Source};
use varve_replicate::Revision;

use super::effort::{EffortOptions, Shown};
use super::opened::{Opener, SourceOptions, not_fetched, root_reference};
use crate::cli::ListingOptions;
use crate::copies::Copies;
use crate::environments::Environments;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Row;
use crate::progress::{Progress, Unit};

/// Check that everything of an environment is there, signed and whole
#[derive(Args, Debug)]
#[command(
    after_help = "Fetches every object of every revision, from where a run would fetch it, and keeps none; with --server \
                  from there. Ends with 3 if something is not what it should be, with 4 if it is missing, with 5 if a server \
                  does not answer."
)]
pub(crate) struct Verify {
    /// The environment
    #[arg(value_name = "ENV")]
    environment: String,
    #[command(flatten)]
    options: SourceOptions,
    #[command(flatten)]
    effort: EffortOptions,
    #[command(flatten)]
    listing: ListingOptions,
}

/// A part that is as it should be.
#[derive(Serialize)]
struct Checked {
    part: String,
    revision: Option<u64>,
    root: Option<String>,
    /// Where it was read.
    place: String,
    catalogs: u64,
    objects: u64,
    bytes: u64,
}

impl Row for Checked {
    const HEADINGS: &'static [&'static str] = &["PART", "REVISION", "CATALOGS", "OBJECTS", "SIZE", "FROM"];
    const NUMBERS: &'static [usize] = &[1, 2, 3, 4];

    fn cells(&self) -> Vec<String> {
        vec![
            self.part.clone(),
            self.revision.map_or_else(String::new, |revision| revision.to_string()),
            indicatif::HumanCount(self.catalogs).to_string(),
            indicatif::HumanCount(self.objects).to_string(),
            indicatif::HumanBytes(self.bytes).to_string(),
            self.place.clone(),
        ]
    }
}

impl Verify {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let opener = Opener::new(invocation, &self.options)?;
        let environment = Environments::of(&opener.places).find(&self.environment)?;
        let progress = invocation.progress("verifying", Unit::Bytes, None);
        let mut rows = Vec::new();
        let mut failed: Option<Failure> = None;
        let mut note = |checked: Result<Checked, Failure>| match checked {
            Ok(row) => rows.push(row),
            // One that fails does not keep the others from being checked.
            Err(failure) => {
                if let Some(earlier) = failed.replace(failure) {
                    earlier.report(&invocation.output);
                }
            }
        };
        for source in environment.sources() {
            note(self.check(&opener, &environment, source, &progress));
        }
        if let Some(image) = &environment.image {
            note(check_image(&Copies::of(&opener.places), image, &progress));
        }
        progress.finish();
        invocation.output.listing(self.listing, &rows)?;
        failed.map_or(Ok(()), Err)
    }

    fn check(
        &self,
        opener: &Opener<'_>,
        environment: &Environment,
        source: &Source,
        progress: &Progress,
    ) -> Result<Checked, Failure> {
        progress.set_detail(source.repository.to_string());
        let opened = opener.open_source(environment, source)?;
        let (_, root) = opener.proof(&opened, source)?;
        let root = root_reference(source, root.size);
        let (name, number) = (&source.repository, source.revision);
        let revision = Revision { name, source: &*opened.source, root: &root, number };
        let tally = revision.check(self.effort.effort(), &Shown(progress)).map_err(not_fetched)?;
        Ok(Checked {
            part: name.to_string(),
            revision: Some(number),
            root: Some(source.root.to_string()),
            place: opened.source.place(),
            catalogs: tally.catalogs,
            objects: tally.objects,
            bytes: tally.bytes,
        })
    }
}

/// The boot image that is kept here.
fn check_image(copies: &Copies, image: &Image, progress: &Progress) -> Result<Checked, Failure> {
    let digest = image.sha256;
    let path = copies.image(image).ok_or_else(|| {
        Failure::new(ExitCode::NotFound, format!("the boot image {digest} is not kept here"))
            .hint("freeze the environment again with --image, or import its archive")
    })?;
    let failed = |error| Failure::io("read", &path, error);
    let mut file = File::open(&path).map_err(failed)?;
    let (mut hasher, mut size, mut buffer) = (sha2::Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let length = file.read(&mut buffer).map_err(failed)?;
        if length == 0 {
            break;
        }
        hasher.update(&buffer[..length]);
        size += length as u64;
        progress.advance(length as u64);
    }
    if Sha256::from_digest(hasher.finalize().into()) != digest {
        return Err(Failure::new(
            ExitCode::Integrity,
            format!("the boot image {} is damaged", path.display()),
        ));
    }
    let (part, place) = ("image".to_owned(), path.display().to_string());
    Ok(Checked {
        part,
        revision: None,
        root: Some(digest.to_string()),
        place,
        catalogs: 0,
        objects: 1,
        bytes: size,
    })
}
