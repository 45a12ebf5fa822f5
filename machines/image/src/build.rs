//! A whole build: initramfs, images and their signed manifest from kernel, guest and settings.

use std::fs;
use std::io;
use std::path::Path;

use crate::boot_settings::BootSettings;
use crate::compression::Compression;
use crate::engine::EngineError;
use crate::format::Format;
use crate::guest::Guest;
use crate::image::{ImageError, ImageParts, write_whole};
use crate::initramfs::Initramfs;
use crate::kernel::Kernel;
use crate::manifest::{ImageManifest, InitramfsPart, KernelPart, MANIFEST_ENDING, SIGNATURE_ENDING, digest};
use crate::scratch::scratch_template;
use crate::signing::{ImageKey, ImageSignatureError};

/// What images are built from.
#[derive(Clone, Copy, Debug)]
pub struct ImageBuild<'a> {
    /// What files and boot menus are named by: letters, digits and `._-`.
    pub name: &'a str,
    /// The kernel, with its modules.
    pub kernel: &'a Kernel,
    /// Process 1.
    pub guest: &'a Guest,
    /// What is booted if nobody says otherwise.
    pub boot_settings: Option<&'a BootSettings>,
    /// What the kernel is told: one line of ASCII.
    pub command_line: &'a str,
    /// What the initramfs is compressed with.
    pub compression: Compression,
    /// Seconds since 1970: the date of everything.
    pub epoch: u64,
}

impl ImageBuild<'_> {
    /// Writes images into a directory, and beside them `NAME.manifest.json` and `NAME.manifest.sig`, which are written last.
    /// `begin` is told what is being made. The same inputs make the same bytes.
    ///
    /// # Errors
    /// [`BuildError`] for the first that can't be made.
    pub fn write(
        &self,
        formats: &[Format],
        directory: &Path,
        key: &ImageKey,
        mut begin: impl FnMut(String),
    ) -> Result<ImageManifest, BuildError> {
        self.check()?;
        let wrap = |source| ImageError::File { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(wrap)?;
        begin("the initramfs".to_owned());
        let scratch = tempfile::tempdir_in(directory).map_err(wrap)?;
        let template = scratch_template(scratch.path(), self.epoch)?;
        let settings = self.boot_settings.map(BootSettings::to_toml);
        let initramfs = Initramfs {
            init: self.guest.bytes(),
            boot_settings: settings.as_deref(),
            kernel: self.kernel,
            scratch_template: Some(&template),
        };
        let initramfs = initramfs.build(self.compression).map_err(BuildError::Compress)?;
        let parts = ImageParts {
            name: self.name,
            kernel: self.kernel,
            initramfs: &initramfs,
            command_line: self.command_line,
            epoch: self.epoch,
        };
        let files = parts.write(formats, directory, |format| begin(format.to_string()))?;
        let kernel = self.kernel;
        let manifest = ImageManifest {
            version: 1,
            name: self.name.to_owned(),
            epoch: self.epoch,
            files,
            kernel: KernelPart {
                release: kernel.release.clone(),
                package: kernel.package.as_ref().map(|package| package.name.clone()),
                package_version: kernel.package.as_ref().map(|package| package.version.clone()),
                size: kernel.image.len() as u64,
                sha256: digest(&kernel.image),
                modules: kernel.modules.iter().map(|module| module.name.clone()).collect(),
            },
            initramfs: InitramfsPart {
                compression: self.compression.name().to_owned(),
                size: initramfs.len() as u64,
                sha256: digest(&initramfs),
                guest_size: self.guest.bytes().len() as u64,
                guest_sha256: digest(self.guest.bytes()),
                boot_settings_sha256: settings.as_deref().map(|text| digest(text.as_bytes())),
                repository: self.boot_settings.map(|settings| settings.repository.clone()),
            },
            command_line: self.command_line.to_owned(),
        };
        let (text, signature) = manifest.sign(key)?;
        let beside = |ending: &str| directory.join(format!("{}{ending}", self.name));
        write_whole(&beside(SIGNATURE_ENDING), &signature)?;
        write_whole(&beside(MANIFEST_ENDING), &text)?;
        Ok(manifest)
    }

    /// Names and the command line become parts of configuration files of boot loaders.
    fn check(&self) -> Result<(), BuildError> {
        let sound = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if self.name.is_empty() || self.name.starts_with('.') || !self.name.chars().all(sound) {
            return Err(BuildError::Name { name: self.name.to_owned() });
        }
        if self.command_line.len() > 2000 || self.command_line.chars().any(|c| !matches!(c, ' '..='~')) {
            return Err(BuildError::CommandLine);
        }
        Ok(())
    }
}

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A name that can't be a file's.
    #[error("{name:?} can't name an image: letters, digits and ._- can")]
    Name {
        /// The name.
        name: String,
    },
    /// A command line that boot loaders would not pass on.
    #[error("the kernel's command line must be one line of at most 2000 ASCII characters")]
    CommandLine,
    /// The initramfs can't be compressed.
    #[error("cannot compress the initramfs")]
    Compress(#[source] io::Error),
    /// A program is missing or fails.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An image can't be made.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The manifest can't be signed.
    #[error(transparent)]
    Signature(#[from] ImageSignatureError),
}

impl BuildError {
    /// The outside program that was of no use, if that is why.
    pub fn engine(&self) -> Option<&EngineError> {
        match self {
            Self::Engine(error) | Self::Image(ImageError::Engine(error)) => Some(error),
            _ => None,
        }
    }
}
