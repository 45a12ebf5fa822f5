//! `varve image verify`: whether files are those that somebody signed for.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use varve_image::{ImageManifest, PublicImageKey};

use super::inputs;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Compare images with their signed manifest
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// Images, or `NAME.manifest.json` for all that it names
    #[arg(required = true)]
    image: Vec<PathBuf>,
    /// The public key that must have signed; this user's own if not given
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Print what was verified as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Verified {
    file: String,
    kernel: String,
    repository: Option<String>,
}

impl Verify {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let key = key(invocation, self.key.as_deref())?;
        let mut verified = Vec::new();
        for image in &self.image {
            let (manifest, files) = manifest(image, &key)?;
            for file in files {
                manifest.check_file(&file)?;
                verified.push(Verified {
                    file: file.display().to_string(),
                    kernel: manifest.kernel.release.clone(),
                    repository: manifest.initramfs.repository.clone(),
                });
            }
        }
        if self.json {
            return invocation.output.json(&verified);
        }
        for Verified { file, kernel, repository } in &verified {
            let boots = repository.as_deref().unwrap_or("what its user data names");
            invocation.output.line(format!("{file}: as signed, kernel {kernel}, boots {boots}"))?;
        }
        Ok(())
    }
}

/// The key that must have signed.
pub(super) fn key(invocation: &Invocation, named: Option<&Path>) -> Result<PublicImageKey, Failure> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => inputs::signing_key(invocation, None)?.with_extension("pub"),
    };
    Ok(PublicImageKey::load(&path)?)
}

/// The verified manifest of an image, and the files that are meant: the image, or all if the manifest itself is named.
pub(super) fn manifest(image: &Path, key: &PublicImageKey) -> Result<(ImageManifest, Vec<PathBuf>), Failure> {
    let (manifest, path) = ImageManifest::beside(image, key)?;
    if path != image {
        return Ok((manifest, vec![image.to_owned()]));
    }
    let files = manifest.files.iter().map(|part| path.with_file_name(&part.name)).collect();
    Ok((manifest, files))
}
