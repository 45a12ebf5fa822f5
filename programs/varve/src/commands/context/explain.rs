//! `varve context explain`: what becomes of each part of user data.

use clap::Args;
use varve_context::{Reference, explain};

use super::input::Input;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Explain user data: what each part becomes, in words
#[derive(Args, Debug)]
pub(crate) struct Explain {
    #[command(flatten)]
    input: Input,
    /// Print the document that the user data become, as TOML; secrets are left out
    #[arg(long, conflicts_with = "json")]
    document: bool,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let context = self.input.read()?;
        let output = &invocation.output;
        if self.json {
            return output.json(&context.document);
        }
        self.input.report(invocation, &context.notices);
        if self.document {
            let text = context.document.to_toml().map_err(Failure::usage_error)?;
            return output.write(text.as_bytes());
        }
        output.write(explain(&context).as_bytes())?;
        for reference in &context.references {
            let text = match reference {
                Reference::Include { address, once } => {
                    format!("more user data are fetched from {address}{}", if *once { ", once" } else { "" })
                }
                Reference::Online { key } => format!("the context {key} is asked for at CernVM Online"),
                Reference::Hepix { address } => format!("a HEPIX context is fetched from {address}"),
            };
            output.line(text)?;
        }
        Ok(())
    }
}
