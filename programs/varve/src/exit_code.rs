//! Every exit code, declared once. The table in docs/operate/files.md is tested against it.

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitCode {
    Success,
    Failure,
    Usage,
    Integrity,
    NotFound,
    Transport,
    Busy,
    NotRun,
    NotExecutable,
    CommandNotFound,
    Interrupted,
    OutputClosed,
}

impl ExitCode {
    /// Every code.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 12] = [
        Self::Success,
        Self::Failure,
        Self::Usage,
        Self::Integrity,
        Self::NotFound,
        Self::Transport,
        Self::Busy,
        Self::NotRun,
        Self::NotExecutable,
        Self::CommandNotFound,
        Self::Interrupted,
        Self::OutputClosed,
    ];

    /// What a process of this program ended with; the plain failure if something else ended it.
    pub(crate) fn of(status: std::process::ExitStatus) -> Self {
        let known =
            [Self::Usage, Self::Integrity, Self::NotFound, Self::Transport, Self::Busy, Self::Interrupted];
        let is = |code: &Self| status.code() == Some(code.number().into());
        known.into_iter().find(is).unwrap_or(Self::Failure)
    }

    /// What the shell sees.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Integrity => 3,
            Self::NotFound => 4,
            Self::Transport => 5,
            Self::Busy => 6,
            Self::NotRun => 125,
            Self::NotExecutable => 126,
            Self::CommandNotFound => 127,
            Self::Interrupted => 130,
            Self::OutputClosed => 141,
        }
    }

    /// What it tells a script, as the documentation says it.
    #[cfg(test)]
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done",
            Self::Failure => "failed for a reason that no other code names",
            Self::Usage => {
                "the command line, the environment or a configuration file is wrong; nothing was done"
            }
            Self::Integrity => "data are not what their hash or signature says; trying again will not help",
            Self::NotFound => "the repository, tag, path or object definitely does not exist",
            Self::Transport => {
                "a server, a proxy or the way to them failed, or a time limit was reached; try again"
            }
            Self::Busy => "somebody else is working on the same thing; try again when they are done",
            Self::NotRun => {
                "`varve run` could not start the command; what the other codes name is said in words"
            }
            Self::NotExecutable => "the command of `varve run` is there, but can't be executed",
            Self::CommandNotFound => "the command of `varve run` is not there",
            Self::Interrupted => "stopped by Ctrl-C",
            Self::OutputClosed => "nobody reads the output any more, as in `varve … \\| head`",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_every_code() {
        let page = include_str!("../../../docs/operate/files.md");
        for code in ExitCode::ALL {
            let row = format!("| {} | {} |", code.number(), code.meaning());
            assert!(page.contains(&row), "docs/operate/files.md lacks the row\n{row}");
        }
    }
}
