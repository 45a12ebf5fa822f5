//! `varve image kernel`: the small kernel, built from Debian's source.

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use varve_image::{SmallKernelRequest, build_small_kernel};

use super::inputs;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::progress::Unit;

/// Build the small kernel from Debian's package of the kernel's source
#[derive(Args, Debug)]
#[command(
    after_help = "Takes some ten minutes on two cores, and 2 GB of disk space below the output directory. Needs gcc, \
                  make, flex, bison, bc, xz-utils and libelf-dev. The same source and compiler make the same bytes when \
                  SOURCE_DATE_EPOCH is set."
)]
pub(crate) struct Kernel {
    /// The source: a package that apt knows, or its file
    #[arg(long, value_name = "PACKAGE|FILE", default_value = "linux-source-6.12")]
    source: String,
    /// The kernel's file; its configuration is put beside it with the ending .config
    #[arg(long, short, value_name = "FILE", default_value = "varve.vmlinuz")]
    output: PathBuf,
    /// Compilers that run at once; one per core if not given
    #[arg(long, value_name = "NUMBER")]
    jobs: Option<NonZeroUsize>,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    file: String,
    size: usize,
    source: String,
    source_version: String,
}

impl Kernel {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let source = inputs::package(invocation, &self.source)?;
        let directory = match self.output.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => ".".as_ref(),
        };
        let directory = fs::canonicalize(directory).map_err(|error| Failure::io("find", directory, error))?;
        let scratch =
            tempfile::tempdir_in(&directory).map_err(|error| Failure::io("write to", &directory, error))?;
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let request = SmallKernelRequest {
            source: &source,
            scratch: scratch.path(),
            jobs: self.jobs.map_or_else(cores, NonZeroUsize::get),
            epoch: inputs::epoch(invocation),
        };
        let progress = invocation.progress("building a kernel", Unit::Count, None);
        let built = build_small_kernel(&request, |step| {
            progress.advance(1);
            progress.set_detail(step.trim());
        })?;
        progress.finish();
        let config = self.output.with_extension("config");
        for (path, bytes) in [(&self.output, &built.image[..]), (&config, built.config.as_bytes())] {
            fs::write(path, bytes).map_err(|error| Failure::io("write", path, error))?;
        }
        let (source, source_version) = built.source;
        let file = self.output.display().to_string();
        let report = Report { file, size: built.image.len(), source, source_version };
        if self.json {
            return invocation.output.json(&report);
        }
        let Report { file, size, source, source_version } = report;
        invocation.output.line(format!("{file}: {size} bytes, from {source} {source_version}"))
    }
}
