//! Whether an answer may take time: what the receiving threads can't tell at once is left to threads that may wait.

use varve_store::Deadline;

use super::error::FillError;

/// Whether somebody may wait.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// No: what needs the network or much of the disk is left for later.
    None,
    /// Until then.
    Until(Deadline),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Stop {
    /// It needs patience.
    Wait,
    /// It can't be filled.
    Failed(FillError),
}

impl From<FillError> for Stop {
    fn from(error: FillError) -> Self {
        Self::Failed(error)
    }
}

impl Patience {
    pub(super) fn deadline(self) -> Result<Deadline, Stop> {
        match self {
            Self::None => Err(Stop::Wait),
            Self::Until(deadline) => Ok(deadline),
        }
    }
}
