//! `varve env import`: an archive, or a document alone, from elsewhere becomes an environment of this user.

mod receiver;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use varve_environment::{Environment, EnvironmentName, IdPrefix, LARGEST_DOCUMENT};

use self::receiver::Receiver;
use crate::copies::Copies;
use crate::environments::{self, Environments};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::progress::Unit;

/// As much tells an archive from a document.
const HEAD: usize = 512;

/// Keep an environment that comes from elsewhere: an archive, or a document alone
#[derive(Args, Debug)]
#[command(
    after_help = "Of an archive every byte is verified before anything of it counts: the signatures that prove each \
                  revision, and each object. Then the environment can be used when nobody serves it any more. Prints the \
                  id: compare it with the one that you were told, or say that with --id."
)]
pub(crate) struct Import {
    /// The archive or the document; - for standard input
    file: PathBuf,
    /// Take nothing but the environment with this id, or one that begins so
    #[arg(long, value_name = "ID")]
    id: Option<IdPrefix>,
    /// What it is called here; by default what its document calls it
    #[arg(long, value_name = "NAME")]
    name: Option<EnvironmentName>,
    /// Let the name lead to this environment, if it leads to another one
    #[arg(long)]
    replace: bool,
}

impl Import {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let places = invocation.places()?;
        let environments = Environments::of(&places);
        let mut input = self.open()?;
        let mut head = Vec::new();
        let failed = |error| Failure::io("read", &self.file, error);
        input.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(failed)?;
        let input = io::Cursor::new(head.clone()).chain(input);
        let check = |environment: &Environment| {
            self.check_id(environment)?;
            let name = self.name_for(environment);
            name.map_or(Ok(()), |name| environments.check_free(name, environment.id(), self.replace))
        };
        let environment = if head.get(257..262) == Some(b"ustar") {
            self.receive(invocation, input, &check)?
        } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let unpacked = zstd::Decoder::new(input).map_err(failed)?;
            self.receive(invocation, unpacked, &check)?
        } else {
            let mut bytes = Vec::new();
            input.take(LARGEST_DOCUMENT as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
            let environment = environments::parse(&bytes, &self.file.display().to_string())?;
            check(&environment)?;
            environment
        };
        environments.put(&environment, self.name_for(&environment), self.replace)?;
        invocation.output.line(environment.id())
    }

    fn check_id(&self, environment: &Environment) -> Result<(), Failure> {
        match &self.id {
            Some(wanted) if !wanted.matches(&environment.id()) => {
                let error = format!("{} is of the environment {}", self.file.display(), environment.id());
                Err(Failure::new(ExitCode::Integrity, error).hint("nothing of it was kept"))
            }
            _ => Ok(()),
        }
    }

    fn receive(
        &self,
        invocation: &Invocation,
        input: impl Read,
        check: &dyn Fn(&Environment) -> Result<(), Failure>,
    ) -> Result<Environment, Failure> {
        let copies = Copies::of(&invocation.places()?);
        let progress = invocation.progress("importing", Unit::Bytes, None);
        let receiver = Receiver::new(&copies, &self.file, invocation.now())?;
        let environment = receiver.receive(input, check, &progress)?;
        progress.finish();
        Ok(environment)
    }

    fn name_for<'a>(&'a self, environment: &'a Environment) -> Option<&'a EnvironmentName> {
        self.name.as_ref().or(environment.hints.name.as_ref())
    }

    fn open(&self) -> Result<Box<dyn Read>, Failure> {
        if self.file == Path::new("-") {
            return Ok(Box::new(io::stdin().lock()));
        }
        let file = File::open(&self.file).map_err(|error| Failure::io("read", &self.file, error))?;
        Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
    }
}
