//! `varve context check`: whether user data are sound.

use clap::Args;
use varve_context::Severity;

use super::input::Input;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Check user data: what is wrong or unknown in them, with its line
#[derive(Args, Debug)]
#[command(after_help = "Ends with 2 when there is an error, and with --strict when there is a warning.")]
pub(crate) struct Check {
    #[command(flatten)]
    input: Input,
    /// Take warnings for errors
    #[arg(long)]
    strict: bool,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let context = self.input.read()?;
        let mut notices = context.notices;
        notices.extend(context.document.plan().notices);
        if self.json {
            invocation.output.json(&notices)?;
        } else {
            for notice in &notices {
                invocation.output.line(format_args!("{}: {notice}", self.input.name()))?;
            }
        }
        let counts = |notice: &&varve_context::Notice| notice.severity == Severity::Error || self.strict;
        match notices.iter().filter(counts).count() {
            0 => {
                let forms =
                    if context.forms.is_empty() { "nothing".to_owned() } else { context.forms.join(", ") };
                invocation.output.say(format_args!("{}: {forms}", self.input.name()));
                Ok(())
            }
            errors => Err(self.input.wrong(errors)),
        }
    }
}
