//! `varve context schema`: the JSON schema of documents.

use clap::Args;
use varve_context::schema;

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Print the JSON schema of Varve's own form, for editors
#[derive(Args, Debug)]
pub(crate) struct Schema {}

impl Schema {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        invocation.output.write(schema().as_bytes())
    }
}
