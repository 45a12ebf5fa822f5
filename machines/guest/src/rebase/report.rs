//! What a rebase says of itself.

use std::fmt;

use super::{BESIDE, Conflict, Dropped, Merge, Rebase, Resolution, Step};

impl Rebase {
    /// The paths where what was made here and what the new base has contradict each other.
    pub fn conflicts(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.is_conflict())
    }
}

impl Step {
    /// Whether what was made here and what the new base has contradict each other.
    pub fn is_conflict(&self) -> bool {
        matches!(self.resolution, Resolution::Conflict { .. })
    }

    /// What is done, in a few words.
    pub fn words(&self) -> String {
        match &self.resolution {
            Resolution::Dropped { because: Dropped::SameAsNew } => "the new base has it too".to_owned(),
            Resolution::Dropped { because: Dropped::Unchanged } => {
                "replaced by the new base's, as it was not changed".to_owned()
            }
            Resolution::Dropped { because: Dropped::Derived } => {
                "replaced by the new base's, as it is derived".to_owned()
            }
            Resolution::Merged { by, .. } => {
                let by = match by {
                    Merge::Accounts => "account by account",
                    Merge::Packages => "package by package",
                    Merge::Lines => "line by line",
                };
                format!("merged {by}")
            }
            Resolution::Attributes { .. } => "owner and permissions as in the new base".to_owned(),
            Resolution::Conflict { kind, beside } => {
                let kept = match kind {
                    Conflict::BothChanged => "changed on both sides: yours stays",
                    Conflict::RemovedFromBase => "the new base has it no more: yours stays",
                    Conflict::RemovedHere => "changed in the new base: stays removed, as you removed it",
                    Conflict::AnotherKind => "of another kind in the new base: yours stays",
                    Conflict::Replaced => "you replaced the whole directory: the new base's stays hidden",
                };
                let beside = beside.as_ref().map(|_| format!(", the new one is beside it as *{BESIDE}"));
                format!("{kept}{}", beside.unwrap_or_default())
            }
        }
    }
}

/// One line for each step, and one of the sums.
impl fmt::Display for Rebase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let mark = if step.is_conflict() { '!' } else { ' ' };
            writeln!(f, "{mark} /{}: {}", step.path.display(), step.words())?;
        }
        for (kind, numbers) in [("user", &self.users), ("group", &self.groups)] {
            for (old, new) in numbers {
                writeln!(f, "  {kind} number {old} is the new base's: yours becomes {new}")?;
            }
        }
        let conflicts = self.conflicts().count();
        write!(
            f,
            "{} changes untouched, {} adapted, {conflicts} in conflict",
            self.untouched,
            self.steps.len() - conflicts
        )
    }
}
