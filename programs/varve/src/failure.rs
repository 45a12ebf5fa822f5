//! The command line's side of errors: what is printed, the hint, the exit code. The one place where the error types of
//! the crates below are translated.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

use varve_chassis::{AccessLogError, ServerError};
use varve_hypervisor::HypervisorError;
use varve_image::{
    AptError, BuildError, EngineError, GuestError, ImageSignatureError, KernelError, ManifestError,
    SmallKernelError,
};
use varve_packages::TreeError;
use varve_publish::{CollectError, ContainerError, LockError, PublishError, TransactionError};
use varve_replicate::{ArrivalError, MirrorError, ServeError};
use varve_repository::{HistoryError, RepositoryError};
use varve_store::StoreError;

use crate::client::ClientError;
use crate::client::reach::ReachError;
use crate::exit_code::ExitCode;
use crate::output::Output;
use crate::scratch::ScratchError;

/// Why a subcommand did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    code: ExitCode,
    error: Option<Box<dyn Error + Send + Sync>>,
    hint: Option<String>,
}

impl Failure {
    /// An error and the code that a script sees.
    pub(crate) fn new(code: ExitCode, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code, error: Some(error.into()), hint: None }
    }

    /// What was asked for can't be meant.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, message.into())
    }

    /// As [`Self::usage`], from an error.
    pub(crate) fn usage_error(error: impl Error + Send + Sync + 'static) -> Self {
        Self::new(ExitCode::Usage, error)
    }

    /// A local file or directory could not be used; `action` as in "cannot `action` `path`".
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let code = match source.kind() {
            io::ErrorKind::NotFound => ExitCode::NotFound,
            _ => ExitCode::Failure,
        };
        let path = path.display().to_string();
        Self::new(code, FileError { action, path, source })
    }

    fn store_code(error: &StoreError) -> ExitCode {
        match error {
            error if error.is_integrity() => ExitCode::Integrity,
            error if error.is_absence() => ExitCode::NotFound,
            StoreError::TimedOut { .. } | StoreError::Transport { .. } => ExitCode::Transport,
            StoreError::Service { fault, .. } if fault.is_passing() => ExitCode::Transport,
            _ => ExitCode::Failure,
        }
    }

    /// Ends the program without a word.
    pub(crate) fn silent(code: ExitCode) -> Self {
        Self { code, error: None, hint: None }
    }

    /// The same of a command that was to be run, whose own exit codes must not be confused with this program's.
    #[must_use]
    pub(crate) fn not_run(self) -> Self {
        let code = match self.code {
            code @ (ExitCode::NotExecutable | ExitCode::CommandNotFound) => code,
            _ => ExitCode::NotRun,
        };
        Self { code, ..self }
    }

    /// Adds what the user could do about it: a sentence, printed on its own line.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// As [`Self::hint`], where there is one.
    fn with(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// How the program is to end.
    pub(crate) fn code(&self) -> ExitCode {
        self.code
    }

    /// Prints the error, what caused it, and the hint.
    pub(crate) fn report(&self, output: &Output) {
        if let Some(error) = &self.error {
            output.error(&Chain(error.as_ref()).to_string());
        }
        if let Some(hint) = &self.hint {
            output.hint(hint);
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = error.hint();
        let failure = Self::new(Self::store_code(&error), error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let hint = error.hint();
        let code = match &error {
            PublishError::Unknown { .. } | PublishError::History(HistoryError::Unknown { .. }) => {
                ExitCode::NotFound
            }
            PublishError::Lock(LockError::Held { .. })
            | PublishError::Transaction(TransactionError::Open { .. } | TransactionError::InUse { .. }) => {
                ExitCode::Busy
            }
            PublishError::Transaction(
                TransactionError::None { .. } | TransactionError::NoDirectory { .. },
            ) => ExitCode::NotFound,
            PublishError::Settings(_) | PublishError::Exists { .. } | PublishError::History(_) => {
                ExitCode::Usage
            }
            PublishError::Collect(CollectError::Forbidden { .. }) => ExitCode::Usage,
            // Whatever it was done for.
            error if matches!(error.store_error(), Some(StoreError::Service { .. })) => {
                error.store_error().map_or(ExitCode::Failure, Self::store_code)
            }
            PublishError::Container(error) => match error {
                ContainerError::Blob { .. } | ContainerError::Missing { .. } => ExitCode::Integrity,
                ContainerError::Open { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                    ExitCode::NotFound
                }
                ContainerError::NoImage { .. }
                | ContainerError::NoPlatform { .. }
                | ContainerError::Ambiguous { .. } => ExitCode::Usage,
                _ => ExitCode::Failure,
            },
            PublishError::Collect(_)
            | PublishError::Trust(_)
            | PublishError::Manifest { .. }
            | PublishError::Compression { .. }
            | PublishError::Database(_) => ExitCode::Integrity,
            PublishError::Store(source) => Self::store_code(source),
            _ => ExitCode::Failure,
        };
        let failure = Self::new(code, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<RepositoryError> for Failure {
    fn from(error: RepositoryError) -> Self {
        let code = match &error {
            error if error.is_integrity() => ExitCode::Integrity,
            error if error.is_absence() => ExitCode::NotFound,
            error if error.is_timeout() => ExitCode::Transport,
            error if matches!(error.met(), RepositoryError::NoSuchRevision { .. }) => ExitCode::NotFound,
            _ => ExitCode::Failure,
        };
        Self::new(code, error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::usage_error(error)
            .hint("`varve config NAME` shows every value and the file that it comes from; see docs/operate/client.md")
    }
}

impl From<ReachError> for Failure {
    fn from(error: ReachError) -> Self {
        match error {
            ReachError::Client(error) => error.into(),
            ReachError::Local(error) => error.into(),
            ReachError::Store(error) => error.into(),
            error => Self::usage_error(error),
        }
    }
}

impl From<ArrivalError> for Failure {
    fn from(error: ArrivalError) -> Self {
        let code = if error.is_integrity() { ExitCode::Integrity } else { ExitCode::Failure };
        Self::new(code, error)
    }
}

impl From<MirrorError> for Failure {
    fn from(error: MirrorError) -> Self {
        let hint = error.hint();
        let code = match &error {
            MirrorError::OtherRepository { .. }
            | MirrorError::Original { .. }
            | MirrorError::NotReplicatable { .. } => ExitCode::Usage,
            MirrorError::Unsettled { .. } => ExitCode::Transport,
            MirrorError::Source(source) => Self::store_code(source),
            MirrorError::Repository(RepositoryError::Store(source)) => Self::store_code(source),
            error if error.is_integrity() => ExitCode::Integrity,
            _ => ExitCode::Failure,
        };
        let failure = Self::new(code, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Self {
        let hint = error.hint();
        let code = match &error {
            TreeError::Taken(_)
            | TreeError::Lock(_)
            | TreeError::Empty
            | TreeError::Name(_)
            | TreeError::Date(_) => ExitCode::Usage,
            TreeError::Busy(_) => ExitCode::Busy,
            TreeError::NoRecord { .. } => ExitCode::NotFound,
            error if error.is_integrity() => ExitCode::Integrity,
            _ => ExitCode::Failure,
        };
        let failure = Self::new(code, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<HypervisorError> for Failure {
    fn from(error: HypervisorError) -> Self {
        let hint = error.hint();
        let code = match &error {
            HypervisorError::Spec(_)
            | HypervisorError::Image(_)
            | HypervisorError::Exists { .. }
            | HypervisorError::State { .. }
            | HypervisorError::Unsupported { .. } => ExitCode::Usage,
            HypervisorError::Unknown { .. } | HypervisorError::Snapshot { there: false, .. } => {
                ExitCode::NotFound
            }
            HypervisorError::Snapshot { there: true, .. } => ExitCode::Usage,
            HypervisorError::Busy { .. } | HypervisorError::ConsoleBusy { .. } => ExitCode::Busy,
            HypervisorError::Late { .. } => ExitCode::Transport,
            _ => ExitCode::Failure,
        };
        let failure = Self::new(code, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        let hint = error.engine().and_then(install);
        let code = match &error {
            BuildError::Name { .. } | BuildError::CommandLine => ExitCode::Usage,
            _ => ExitCode::Failure,
        };
        Self::new(code, error).with(hint)
    }
}

impl From<KernelError> for Failure {
    fn from(error: KernelError) -> Self {
        Self::new(ExitCode::Failure, error)
    }
}

impl From<GuestError> for Failure {
    fn from(error: GuestError) -> Self {
        Self::usage_error(error)
    }
}

impl From<SmallKernelError> for Failure {
    fn from(error: SmallKernelError) -> Self {
        let hint = match &error {
            SmallKernelError::Engine(engine) => install(engine),
            SmallKernelError::Configuration { .. } => {
                Some("the configuration is for Linux 6.12: choose its source with --source".to_owned())
            }
            _ => None,
        };
        Self::new(ExitCode::Failure, error).with(hint)
    }
}

impl From<AptError> for Failure {
    fn from(error: AptError) -> Self {
        let (code, hint) = match &error {
            AptError::Unknown { .. } => (
                ExitCode::NotFound,
                Some("`apt-get update` may be needed; `apt-cache search linux-image` lists names".to_owned()),
            ),
            AptError::Different { .. } => (ExitCode::Integrity, None),
            AptError::Engine(engine) => (ExitCode::Failure, install(engine)),
            _ => (ExitCode::Failure, None),
        };
        Self::new(code, error).with(hint)
    }
}

impl From<ImageSignatureError> for Failure {
    fn from(error: ImageSignatureError) -> Self {
        let code = match &error {
            ImageSignatureError::Wrong => ExitCode::Integrity,
            ImageSignatureError::File { source, .. }
            | ImageSignatureError::Manifest(ManifestError::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                ExitCode::NotFound
            }
            _ => ExitCode::Failure,
        };
        Self::new(code, error)
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        let code = match &error {
            ManifestError::Different { .. } => ExitCode::Integrity,
            ManifestError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ExitCode::NotFound
            }
            _ => ExitCode::Failure,
        };
        Self::new(code, error)
    }
}

/// What to do about an outside program that is missing.
fn install(error: &EngineError) -> Option<String> {
    match error {
        EngineError::Missing { package, .. } => Some(format!("apt install {package}")),
        _ => None,
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Listen { .. } => Self::new(ExitCode::Busy, error)
                .hint("another program may listen there; choose a port with --listen"),
            ServerError::Start { .. } => Self::new(ExitCode::Failure, error),
        }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        Self::new(ExitCode::Failure, error)
    }
}

impl From<AccessLogError> for Failure {
    fn from(error: AccessLogError) -> Self {
        Self::new(ExitCode::Failure, error)
    }
}

impl From<ScratchError> for Failure {
    fn from(error: ScratchError) -> Self {
        let code = match &error {
            ScratchError::Interrupted => ExitCode::Interrupted,
            _ => ExitCode::Failure,
        };
        Self::new(code, error)
    }
}

/// A file or directory that could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}")]
struct FileError {
    action: &'static str,
    path: String,
    #[source]
    source: io::Error,
}

/// An error and its causes in one line; a cause that was already told in its error's words is left out.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.0.to_string();
        f.write_str(&told)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !told.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            (told, cause) = (text, error.source());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_in_one_line() {
        let failure = Failure::io("read", Path::new("/x"), io::Error::from_raw_os_error(2));
        assert_eq!(failure.code(), ExitCode::NotFound);
        let error = failure.error.expect("an error was given");
        assert_eq!(
            Chain(error.as_ref()).to_string(),
            "cannot read /x: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn store_errors_are_sorted_by_what_a_script_can_do() {
        let name = || "x".to_owned();
        let absent = StoreError::NotFound { name: name(), place: name() };
        let wrong = StoreError::WrongHash { name: name(), place: name(), actual: name() };
        let late = StoreError::TimedOut { name: name(), place: name() };
        assert_eq!(Failure::from(absent).code(), ExitCode::NotFound);
        assert_eq!(Failure::from(wrong).code(), ExitCode::Integrity);
        assert_eq!(Failure::from(late).code(), ExitCode::Transport);
    }
}
