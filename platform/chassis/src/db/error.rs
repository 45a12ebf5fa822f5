//! What can go wrong with a database.

/// Why a transaction did not happen, or can't be known to have happened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The engine is away or can't be opened; nothing was done.
    #[error("the database {place} is not available: {reason}")]
    Unavailable {
        /// Which one, without its password.
        place: String,
        /// What was said.
        reason: String,
    },
    /// The engine went away while it wrote: whether it did is not known.
    #[error("the database went away while it wrote: whether it did is not known")]
    Unknown,
    /// Other transactions were in the way again and again; nothing was done.
    #[error("the database is too busy")]
    Busy,
    /// Something that there can be only one of is there already; nothing was done.
    #[error("it is there already: {constraint}")]
    Duplicate {
        /// What the engine calls the rule.
        constraint: String,
    },
    /// A statement failed; nothing was done.
    #[error("the database refused: {reason}")]
    Refused {
        /// What was said.
        reason: String,
    },
    /// A column holds something else than was asked for.
    #[error("column {column} of a row is {found}, not {wanted}")]
    Column {
        /// Which one, counted from 0.
        column: usize,
        /// What is there.
        found: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },
    /// The tables aren't what this version knows.
    #[error("the tables of {service} can't be used: {reason}")]
    Schema {
        /// Whose tables.
        service: String,
        /// What is the matter.
        reason: String,
    },
    /// The database was closed, or what was done in it broke down.
    #[error("the work with the database was given up")]
    GivenUp,
}

/// What a failed statement means for the transaction that it was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It fails again.
    Lasting,
    /// Another transaction was in the way.
    Conflict,
    /// The connection is gone.
    Lost,
}

/// An error of an engine and what it means.
#[derive(Clone, Debug)]
pub(super) struct EngineError {
    pub(super) error: DatabaseError,
    pub(super) fault: Fault,
}

impl EngineError {
    pub(super) fn lasting(error: DatabaseError) -> Self {
        Self { error, fault: Fault::Lasting }
    }
}

impl From<EngineError> for DatabaseError {
    fn from(failed: EngineError) -> Self {
        failed.error
    }
}
