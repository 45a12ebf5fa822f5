//! `varve context seal`: secrets that only one machine can read.

use std::path::PathBuf;

use clap::Args;
use varve_context::{Recipient, Secret, Severity};

use super::input::{bytes, identities};
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Seal the secrets in user data to a machine's key
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  varve context seal --to age1… user-data > sealed.toml\n  printf %s \"$PASSWORD\" | varve context seal --to age1… \
                  --value -\nWhatever form the user data have, the sealed ones are Varve's own, in TOML. A machine makes its key by \
                  `varve context keygen`, and whoever has the key can read what is sealed to it."
)]
pub(crate) struct Seal {
    /// The key to seal to, as `varve context keygen` prints it; may be repeated
    #[arg(long = "to", value_name = "KEY", required = true)]
    recipients: Vec<Recipient>,
    /// The user data; - for standard input
    #[arg(value_name = "FILE", required_unless_present = "value")]
    file: Option<PathBuf>,
    /// A file with one secret, to be put into user data by hand; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    value: Option<PathBuf>,
    /// A file with keys that open secrets which are sealed already, to seal them anew; may be repeated
    #[arg(long = "identity", short = 'i', value_name = "FILE")]
    identities: Vec<PathBuf>,
}

impl Seal {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        if let Some(file) = &self.value {
            let text = String::from_utf8(bytes(file)?).map_err(Failure::usage_error)?;
            let sealed = Secret::Plain(text).seal(&self.recipients).map_err(Failure::usage_error)?;
            let table = toml::to_string(&sealed).map_err(Failure::usage_error)?;
            return invocation.output.write(table.as_bytes());
        }
        let Some(file) = &self.file else { return Err(Failure::usage("name the user data")) };
        let mut context = varve_context::read(&bytes(file)?);
        for notice in &context.notices {
            invocation.output.warn(format_args!("{}: {notice}", file.display()));
        }
        if context.notices.iter().any(|notice| notice.severity == Severity::Error)
            || !context.references.is_empty()
        {
            let why =
                "user data with errors, or that refer to others, are not sealed: something would be lost";
            return Err(Failure::usage(why).hint("`varve context check` shows the errors"));
        }
        let identities = identities(&self.identities)?;
        if !identities.is_empty() {
            context.document.unseal(&identities).map_err(Failure::usage_error)?;
        }
        context.document.seal(&self.recipients).map_err(Failure::usage_error)?;
        let text = context.document.to_toml().map_err(Failure::usage_error)?;
        invocation.output.write(text.as_bytes())
    }
}
