//! Which database a verb is about.

use clap::Args;
use varve_chassis::db::{DatabaseError, DumpError, Location};

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// A database.
#[derive(Args, Debug)]
pub(super) struct Place {
    /// The database: sqlite:PATH or postgresql://USER@HOST/NAME; without it $VARVE_HUB_DATABASE, or a file among this user's
    #[arg(long, value_name = "DATABASE")]
    database: Option<Location>,
}

impl Place {
    pub(super) fn location(&self, invocation: &Invocation) -> Result<Location, Failure> {
        match (&self.database, &invocation.environment.hub_database) {
            (Some(location), _) => Ok(location.clone()),
            (None, Some(text)) => text.parse().map_err(Failure::usage_error),
            (None, None) => Ok(Location::Sqlite(invocation.places()?.hub().join("hub.db"))),
        }
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        let code = match &error {
            DatabaseError::Unavailable { .. } | DatabaseError::Unknown => ExitCode::Transport,
            DatabaseError::Busy => ExitCode::Busy,
            DatabaseError::Schema { .. } => ExitCode::Usage,
            _ => ExitCode::Failure,
        };
        Self::new(code, error)
    }
}

impl From<DumpError> for Failure {
    fn from(error: DumpError) -> Self {
        match error {
            DumpError::Database(error) => error.into(),
            DumpError::Unsound { .. } => Self::new(ExitCode::Integrity, error),
            DumpError::NotEmpty { .. } => Self::usage_error(error),
            DumpError::File(_) => Self::new(ExitCode::Failure, error),
        }
    }
}
