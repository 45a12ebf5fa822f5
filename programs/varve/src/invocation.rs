//! What a subcommand is given: where things lie, the time, where its words go. Made once, at the edge.

use std::time::SystemTime;

use varve_chassis::logging::{self, LogConfig, LogFormat};

use crate::cli::GlobalOptions;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::Output;
use crate::places::Places;
use crate::progress::{LogWriter, Progress, Unit};

/// One call of the program.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// The environment variables that matter.
    pub(crate) environment: Environment,
    /// Standard output and standard error.
    pub(crate) output: Output,
    /// Whether more is to be said.
    pub(crate) verbose: bool,
    root: bool,
}

impl Invocation {
    /// Reads nothing but its arguments and whose process this is.
    pub(crate) fn new(global: &GlobalOptions, environment: Environment) -> Self {
        let output = Output::new(global.quiet, environment.no_color);
        let verbose = global.verbose > 0;
        Self { environment, output, verbose, root: rustix::process::geteuid().is_root() }
    }

    /// The directories that this user's repositories, keys and caches lie in.
    pub(crate) fn places(&self) -> Result<Places, Failure> {
        Places::resolve(&self.environment, self.root).map_err(Failure::usage_error)
    }

    /// The wall clock. Libraries get what this returns as an argument.
    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Shows how far some long work is; `total` in `unit`s where it is known.
    pub(crate) fn progress(&self, label: &str, unit: Unit, total: Option<u64>) -> Progress {
        Progress::start(&self.output, label, unit, total)
    }

    /// Sends diagnostics to standard error: as many as `-v` says, or as `VARVE_LOG` does.
    pub(crate) fn start_logging(&self, global: &GlobalOptions) -> Result<(), Failure> {
        let filter = match &self.environment.log {
            Some(filter) => filter.clone(),
            None if global.quiet => "error".to_owned(),
            None => logging::filter_for_verbosity(global.verbose).to_owned(),
        };
        let config = LogConfig { filter, format: LogFormat::Short, color: self.output.colored_talk() };
        logging::start(&config, LogWriter::default).map_err(Failure::usage_error)
    }
}
