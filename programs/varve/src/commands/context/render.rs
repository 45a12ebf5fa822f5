//! `varve context render`: what is done to a machine, and doing it.

use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use clap::Args;
use serde::Serialize;
use varve_context::{Outcome, Plan, Severity};

use super::input::{Input, identities};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Show what user data do to a machine, or do it to a directory
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  varve context render user-data\n  varve context render user-data --root /mnt\n\
                  Nothing is run in the directory: what must run is left to its first boot. Doing it again changes nothing."
)]
pub(crate) struct Render {
    #[command(flatten)]
    input: Input,
    /// Do it to the system in this directory
    #[arg(long, value_name = "DIRECTORY")]
    root: Option<PathBuf>,
    /// A file with keys that open sealed secrets; may be repeated
    #[arg(long = "identity", short = 'i', value_name = "FILE")]
    identities: Vec<PathBuf>,
    /// Print the steps, and what became of each, as JSON; secrets are left out
    #[arg(long)]
    json: bool,
}

/// A step and what became of it.
#[derive(Serialize)]
struct Done<'a> {
    #[serde(flatten)]
    step: &'a varve_context::Step,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

impl Render {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let mut context = self.input.read()?;
        if !self.identities.is_empty() {
            let identities = identities(&self.identities)?;
            context.document.unseal(&identities).map_err(Failure::usage_error)?;
        }
        let plan = context.document.plan();
        self.input.report(invocation, &context.notices);
        self.input.report(invocation, &plan.notices);
        let errors =
            context.notices.iter().chain(&plan.notices).filter(|notice| notice.severity == Severity::Error);
        let errors = errors.count();
        match &self.root {
            Some(root) if errors == 0 => return self.apply(invocation, &plan, root),
            Some(_) => {}
            None if self.json => invocation.output.json(&plan.steps)?,
            None => invocation.output.write(plan.to_string().as_bytes())?,
        }
        if errors > 0 { Err(self.input.wrong(errors)) } else { Ok(()) }
    }

    fn apply(&self, invocation: &Invocation, plan: &Plan, root: &std::path::Path) -> Result<(), Failure> {
        let seconds = invocation.now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let days = u32::try_from(seconds / 86_400).unwrap_or(u32::MAX);
        let report = plan.apply(root, days).map_err(|error| Failure::new(ExitCode::NotFound, error))?;
        let steps = plan.steps.iter().zip(&report.outcomes);
        if self.json {
            let done: Vec<Done<'_>> = steps.map(|(step, outcome)| Done { step, outcome }).collect();
            invocation.output.json(&done)?;
        } else {
            for (step, outcome) in steps {
                match outcome {
                    Outcome::Changed => invocation.output.line(format_args!("changed    {step}"))?,
                    Outcome::Unchanged => invocation.output.line(format_args!("unchanged  {step}"))?,
                    Outcome::Skipped { why } => {
                        invocation.output.line(format_args!("skipped    {step}: {why}"))?;
                    }
                    Outcome::Failed { why } => {
                        invocation.output.line(format_args!("failed     {step}: {why}"))?;
                    }
                }
            }
        }
        match report.failures(plan).count() {
            0 => Ok(()),
            1 => Err(Failure::new(ExitCode::Failure, "one step could not be done")),
            count => Err(Failure::new(ExitCode::Failure, format!("{count} steps could not be done"))),
        }
    }
}
