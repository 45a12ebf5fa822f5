//! `varve image show`: what an image is made of.

use std::path::PathBuf;

use clap::Args;

use super::verify;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Show what an image is made of, from its signed manifest
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// An image, or its `NAME.manifest.json`
    image: PathBuf,
    /// The public key that must have signed; this user's own if not given
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Print the manifest as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let key = verify::key(invocation, self.key.as_deref())?;
        let (manifest, _) = verify::manifest(&self.image, &key)?;
        if self.json {
            return invocation.output.json(&manifest);
        }
        let (kernel, initramfs) = (&manifest.kernel, &manifest.initramfs);
        let package = match (&kernel.package, &kernel.package_version) {
            (Some(package), Some(version)) => format!(" of {package} {version}"),
            _ => String::new(),
        };
        let rows = [
            ("image", manifest.name.clone()),
            ("boots", initramfs.repository.clone().unwrap_or_else(|| "what its user data names".to_owned())),
            ("kernel", format!("{}{package}, {} bytes", kernel.release, kernel.size)),
            ("modules", kernel.modules.len().to_string()),
            ("initramfs", format!("{} bytes, {}", initramfs.size, initramfs.compression)),
            ("guest", format!("{} bytes, sha256 {}", initramfs.guest_size, initramfs.guest_sha256)),
            ("command line", manifest.command_line.clone()),
        ];
        for (name, value) in rows {
            invocation.output.line(format!("{name:<13} {value}"))?;
        }
        for part in &manifest.files {
            invocation
                .output
                .line(format!("{:<13} {} bytes, sha256 {}", part.name, part.size, part.sha256))?;
        }
        Ok(())
    }
}
