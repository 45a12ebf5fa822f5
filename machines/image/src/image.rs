//! From parts to files: kernel and initramfs become a hybrid image, and that every other form.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::appliance::appliance;
use crate::engine::{Engine, EngineError};
use crate::esp::{Esp, EspContents};
use crate::format::Format;
use crate::hybrid::Hybrid;
use crate::identifiers::settle;
use crate::iso9660::VolumeDate;
use crate::kernel::Kernel;
use crate::manifest::FilePart;
use crate::unified::unified;

/// What every image is told unless somebody says otherwise: words go to the serial line and the screen.
pub const DEFAULT_COMMAND_LINE: &str = "console=tty0 console=ttyS0,115200";

/// The parts that images are made of.
#[derive(Clone, Copy, Debug)]
pub struct ImageParts<'a> {
    /// What the boot menus call it, and files are named by.
    pub name: &'a str,
    /// The kernel.
    pub kernel: &'a Kernel,
    /// What the kernel unpacks.
    pub initramfs: &'a [u8],
    /// What the kernel is told.
    pub command_line: &'a str,
    /// Seconds since 1970: the date of everything in the image.
    pub epoch: u64,
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
                kernel: &self.kernel.image,
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
            kernel_size: self.kernel.image.len(),
            initramfs_size: self.initramfs.len(),
            command_line: self.command_line,
            serial,
            date: VolumeDate::of(self.epoch),
        };
        Ok(hybrid.build()?)
    }

    /// Writes images into a directory, each when it is whole. `begin` is told of each before the work for it begins.
    ///
    /// # Errors
    /// [`ImageError`] for the first that can't be made.
    pub fn write(
        &self,
        formats: &[Format],
        directory: &Path,
        mut begin: impl FnMut(Format),
    ) -> Result<Vec<FilePart>, ImageError> {
        fs::create_dir_all(directory).map_err(ImageError::file(directory))?;
        let scratch = tempfile::tempdir_in(directory).map_err(ImageError::file(directory))?;
        let mut hybrid = None;
        let mut files = Vec::new();
        for &format in formats {
            begin(format);
            for (ending, bytes) in self.contents(format, scratch.path(), &mut hybrid)? {
                let name = format!("{}.{ending}", self.name);
                write_whole(&directory.join(&name), &bytes)?;
                files.push(FilePart::of(name, format, &bytes));
            }
        }
        Ok(files)
    }

    /// The files of a form: the endings of their names, and what is in them.
    fn contents(
        &self,
        format: Format,
        scratch: &Path,
        hybrid: &mut Option<(Vec<u8>, usize)>,
    ) -> Result<Vec<(&'static str, Vec<u8>)>, ImageError> {
        let (kernel, initramfs) = (&self.kernel.image, self.initramfs);
        match format {
            Format::Kernel => return Ok(vec![("vmlinuz", kernel.clone()), ("initrd", initramfs.to_vec())]),
            Format::Efi => {
                let image = unified(kernel, initramfs, self.command_line, &self.kernel.release, self.name)?;
                return Ok(vec![("efi", image)]);
            }
            _ => {}
        }
        let (bytes, size) = match hybrid {
            Some(disk) => disk,
            None => {
                let mut bytes = self.hybrid(scratch)?;
                let size = bytes.len();
                bytes.resize(size.next_multiple_of(DISK_ALIGNMENT), 0);
                let path = scratch.join(HYBRID);
                fs::write(&path, &bytes).map_err(ImageError::file(&path))?;
                hybrid.insert((bytes, size))
            }
        };
        match format {
            Format::Iso => return Ok(vec![("iso", bytes[..*size].to_vec())]),
            Format::Raw => return Ok(vec![("img", bytes.clone())]),
            _ => {}
        }
        let disk = self.converted(format, scratch, bytes)?;
        if format == Format::Ova {
            let capacity = bytes.len() as u64;
            let appliance = appliance(self.name, &disk, capacity, self.epoch);
            return Ok(vec![("ova", appliance.map_err(ImageError::file(scratch))?)]);
        }
        Ok(vec![(format.name(), disk)])
    }

    /// The hybrid image, which lies in `scratch`, in another form.
    fn converted(&self, format: Format, scratch: &Path, hybrid: &[u8]) -> Result<Vec<u8>, ImageError> {
        let Some((name, options)) = format.of_qemu() else { return Ok(hybrid.to_vec()) };
        // A VMDK names itself.
        let path = match format {
            Format::Ova => scratch.join(format!("{}-disk1.vmdk", self.name)),
            _ => scratch.join(format!("{}.{format}", self.name)),
        };
        let mut engine = Engine::new("qemu-img", "qemu-utils").args(["convert", "-f", "raw", "-O", name]);
        if !options.is_empty() {
            engine = engine.args(["-o", options]);
        }
        engine.arg(scratch.join(HYBRID)).arg(&path).run()?;
        let disk = fs::read(&path).map_err(ImageError::file(&path))?;
        fs::remove_file(&path).map_err(ImageError::file(&path))?;
        settle(format, disk, hybrid).ok_or(ImageError::Disk { format })
    }
}

/// The hybrid image among the temporary files, as large as a disk of whole MiB, which is what clouds want.
const HYBRID: &str = "hybrid";
const DISK_ALIGNMENT: usize = 1 << 20;

/// Writes a file so that it appears when it is whole.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    let wrap = || ImageError::file(path);
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("."))).map_err(wrap())?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().set_permissions(fs::Permissions::from_mode(0o644)))
        .and_then(|()| file.as_file().sync_all())
        .map_err(wrap())?;
    file.persist(path).map_err(|error| wrap()(error.error))?;
    Ok(())
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
    /// A disk's headers are not where they are expected.
    #[error("qemu-img made a {format} disk of a form that Varve does not know")]
    Disk {
        /// What it was asked for.
        format: Format,
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
