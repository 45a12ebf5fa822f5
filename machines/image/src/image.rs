//! From parts to files: kernel and initramfs become a hybrid image, and that every other form.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::{Engine, EngineError};
use crate::esp::{Esp, EspContents};
use crate::format::Format;
use crate::hybrid::Hybrid;
use crate::iso9660::VolumeDate;

/// What every image is told unless somebody says otherwise: words go to the serial line and the screen.
pub const DEFAULT_COMMAND_LINE: &str = "console=tty0 console=ttyS0,115200";

/// The parts that images are made of.
#[derive(Clone, Copy, Debug)]
pub struct ImageParts<'a> {
    /// What the boot menus call it, and files are named by.
    pub name: &'a str,
    /// The kernel.
    pub kernel: &'a [u8],
    /// What the kernel unpacks.
    pub initramfs: &'a [u8],
    /// What the kernel is told.
    pub command_line: &'a str,
    /// Seconds since 1970: the date of everything in the image.
    pub epoch: u64,
}

/// A file that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// Its form.
    pub format: Format,
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

impl ImageParts<'_> {
    /// The hybrid image. The same parts make the same bytes.
    ///
    /// # Errors
    /// [`ImageError`] if a program that does a part of the work is missing or fails.
    pub fn hybrid(&self, scratch: &Path) -> Result<Vec<u8>, ImageError> {
        let serial = u32::try_from(self.epoch & 0xffff_ffff).unwrap_or(1);
        let esp = Esp::build(
            &EspContents {
                kernel: self.kernel,
                initramfs: self.initramfs,
                title: self.name,
                command_line: self.command_line,
                serial,
                epoch: self.epoch,
            },
            scratch,
        )?;
        let hybrid = Hybrid {
            esp: &esp,
            kernel_size: self.kernel.len(),
            initramfs_size: self.initramfs.len(),
            command_line: self.command_line,
            serial,
            date: VolumeDate::of(self.epoch),
        };
        Ok(hybrid.build()?)
    }

    /// Writes images into a directory, in the order asked for. `done` is told of each.
    ///
    /// # Errors
    /// [`ImageError`] for the first that can't be made.
    pub fn write(
        &self,
        formats: &[Format],
        directory: &Path,
        mut done: impl FnMut(&ImageFile),
    ) -> Result<Vec<ImageFile>, ImageError> {
        let scratch = tempfile::tempdir_in(directory).map_err(ImageError::file(directory))?;
        let mut hybrid = None;
        let mut files = Vec::new();
        for &format in formats {
            let path = |ending: &str| directory.join(format!("{}.{ending}", self.name));
            let mut made = Vec::new();
            match format {
                Format::Kernel => {
                    made.push((path("vmlinuz"), self.kernel.to_vec()));
                    made.push((path("initrd"), self.initramfs.to_vec()));
                }
                _ => {
                    if hybrid.is_none() {
                        let bytes = self.hybrid(scratch.path())?;
                        fs::write(scratch.path().join("hybrid"), &bytes)
                            .map_err(ImageError::file(scratch.path()))?;
                        hybrid = Some(bytes);
                    }
                    match (format.of_qemu(), &hybrid) {
                        (Some((name, options)), _) => {
                            let bytes = converted(scratch.path(), name, options)?;
                            made.push((path(format.name()), bytes));
                        }
                        (None, Some(bytes)) => {
                            let ending = if format == Format::Raw { "img" } else { format.name() };
                            made.push((path(ending), bytes.clone()));
                        }
                        (None, None) => {}
                    }
                }
            }
            for (path, bytes) in made {
                let mut file = tempfile::NamedTempFile::new_in(directory).map_err(ImageError::file(&path))?;
                io::Write::write_all(&mut file, &bytes)
                    .and_then(|()| {
                        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
                        file.as_file().set_permissions(mode)
                    })
                    .and_then(|()| file.as_file().sync_all())
                    .map_err(ImageError::file(&path))?;
                file.persist(&path).map_err(|error| ImageError::file(&path)(error.error))?;
                let file = ImageFile { format, size: bytes.len() as u64, path };
                done(&file);
                files.push(file);
            }
        }
        Ok(files)
    }
}

/// The hybrid image in `scratch` in another form.
fn converted(scratch: &Path, name: &str, options: &str) -> Result<Vec<u8>, ImageError> {
    let path = scratch.join("converted");
    let mut engine = Engine::new("qemu-img", "qemu-utils").args(["convert", "-f", "raw", "-O", name]);
    if !options.is_empty() {
        engine = engine.args(["-o", options]);
    }
    engine.arg(scratch.join("hybrid")).arg(&path).run()?;
    let bytes = fs::read(&path).map_err(ImageError::file(&path))?;
    fs::remove_file(&path).map_err(ImageError::file(&path))?;
    Ok(bytes)
}

impl VolumeDate {
    /// Seconds since 1970.
    fn of(epoch: u64) -> Self {
        let time = i64::try_from(epoch).ok().and_then(|epoch| jiff::Timestamp::from_second(epoch).ok());
        let time = time.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_zoned(jiff::tz::TimeZone::UTC);
        let byte = |number: i8| u8::try_from(number).unwrap_or(0);
        Self {
            year: u16::try_from(time.year()).unwrap_or(1970),
            month: byte(time.month()),
            day: byte(time.day()),
            hour: byte(time.hour()),
            minute: byte(time.minute()),
            second: byte(time.second()),
        }
    }
}

/// Why an image can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A file can't be used.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A program is missing or fails.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl ImageError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
