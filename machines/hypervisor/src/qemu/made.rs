//! What QEMU needs beside a machine's definition, made once with it, whoever starts QEMU:
//!
//! ```text
//! qemu.json              the lasting name of the kind of machine, the images behind its own ones
//! kernel, initramfs      copies
//! system.qcow2           the differences to the image it starts from
//! scratchN.qcow2         empty disks
//! memory.qcow2           the memory of snapshots
//! variables.qcow2, .raw  UEFI's variables
//! meta-data, seed.img    who it is, in cloud-init's form, or
//! metadata-relay         a link to the program that leads to the server which says it
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::disk::{BackingImage, Workbench};
use super::firmware;
use crate::directory::Home;
use crate::error::HypervisorError;
use crate::image_format::{ImageError, ImageFormat};
use crate::seed::{self, Metadata};
use crate::spec::{Boot, Firmware, MetadataSource};

/// The kind of machine that is made.
const MACHINE: &str = "q35";
/// UEFI's variables as they were installed.
const VARIABLES: &str = "variables.raw";
/// The size of the image that holds the memory of snapshots: it has no contents of its own.
const MEMORY_IMAGE: u64 = 1 << 20;

/// What was made for a machine, and never changes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) machine_type: String,
    pub(crate) base: Option<BackingImage>,
    pub(crate) scratch: usize,
    pub(crate) disks: Vec<BackingImage>,
}

impl Made {
    /// Makes everything, in a directory that nobody else sees yet.
    pub(crate) fn make(home: &Home) -> Result<Self, HypervisorError> {
        let spec = home.spec();
        match &spec.metadata {
            MetadataSource::Attached => attach(home)?,
            MetadataSource::Server { relay } => {
                let path = home.path(MetadataSource::RELAY);
                symlink(relay, &path).map_err(HypervisorError::io("make", &path))?;
            }
        }
        let base = match &spec.boot {
            Boot::Image(path) => {
                let format = ImageFormat::of(path)?;
                format.check_bootable(path)?;
                Some(BackingImage::look(path, format)?)
            }
            Boot::Kernel(boot) => {
                copy(&boot.kernel, &home.path("kernel"))?;
                if let Some(initramfs) = &boot.initramfs {
                    copy(initramfs, &home.path("initramfs"))?;
                }
                None
            }
        };
        let look = |path: &PathBuf| BackingImage::look(path, ImageFormat::of(path)?);
        let disks = spec.disks.iter().map(|disk| look(&disk.path)).collect::<Result<_, _>>()?;
        let mut workbench = Workbench::start(spec.name.as_str())?;
        let machine_type = workbench.machine_type(MACHINE)?;
        workbench.create(&home.path(&disk_file("memory")), MEMORY_IMAGE)?;
        for (number, size) in spec.scratch.iter().enumerate() {
            workbench.create(&home.path(&disk_file(&format!("scratch{number}"))), size.bytes())?;
        }
        if let Some(base) = base.as_ref().filter(|base| base.format != ImageFormat::Iso) {
            let name = base.path.to_string_lossy();
            workbench.create_over(&home.path(&disk_file("system")), base, &name)?;
        }
        if spec.firmware == Firmware::Uefi {
            let path = home.path(VARIABLES);
            copy(&firmware::uefi()?.variables, &path)?;
            // By its name only: the directory is still to be renamed.
            workbench.create_over(
                &home.path(&disk_file("variables")),
                &BackingImage::own(path),
                VARIABLES,
            )?;
        }
        let made = Self { machine_type, base, scratch: spec.scratch.len(), disks };
        home.write("qemu.json", &made)?;
        Ok(made)
    }

    /// What was made.
    pub(crate) fn read(home: &Home) -> Result<Self, HypervisorError> {
        let path = home.path("qemu.json");
        let gone = || HypervisorError::io("read", &path)(io::ErrorKind::NotFound.into());
        home.read("qemu.json")?.ok_or_else(gone)
    }

    /// The images that the machine writes to, by the names of their nodes, each with what is behind it.
    pub(crate) fn own_images(&self, home: &Home) -> impl Iterator<Item = (String, Option<BackingImage>)> {
        let base = self.base.as_ref().filter(|base| base.format != ImageFormat::Iso);
        let system = base.map(|base| ("system".to_owned(), Some(base.clone())));
        let scratch = (0..self.scratch).map(|number| (format!("scratch{number}"), None));
        let uefi = home.spec().firmware == Firmware::Uefi;
        let variables = uefi.then(|| ("variables".to_owned(), Some(BackingImage::own(home.path(VARIABLES)))));
        system.into_iter().chain(scratch).chain(variables).chain([("memory".to_owned(), None)])
    }
}

/// Makes the disk that says what the machine is to become.
fn attach(home: &Home) -> Result<(), HypervisorError> {
    let spec = home.spec();
    let metadata = Metadata {
        instance_id: &home.definition().id,
        local_hostname: spec.name.as_str(),
        public_keys: &spec.ssh_keys,
    };
    let failed = || HypervisorError::io("make", &home.path("seed.img"));
    let metadata = metadata.bytes().map_err(failed())?;
    let seed = seed::image(&metadata, spec.user_data.bytes().unwrap_or_default()).map_err(failed())?;
    home.write_bytes("meta-data", &metadata)?;
    home.write_bytes("seed.img", &seed)
}

/// The file of an image that the machine writes to.
pub(crate) fn disk_file(node: &str) -> String {
    format!("{node}.qcow2")
}

/// Copies a file that the machine is made from.
fn copy(from: &Path, to: &Path) -> Result<(), HypervisorError> {
    let unreadable = |source| ImageError::Read { path: from.to_owned(), source };
    if fs::metadata(from).map_err(unreadable)?.is_dir() {
        return Err(ImageError::Directory { path: from.to_owned() }.into());
    }
    let mut source = fs::File::open(from).map_err(unreadable)?;
    let failed = || HypervisorError::io("write", to);
    let mut file = fs::File::create(to).map_err(failed())?;
    io::copy(&mut source, &mut file).and_then(|_| file.sync_all()).map_err(failed())
}
