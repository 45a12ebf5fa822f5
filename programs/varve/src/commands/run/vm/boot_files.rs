//! What the machine starts from: a kernel, and a first file system with the guest and the kernel's modules. Made once for each
//! kernel and guest, and kept in the cache.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use varve_content::Algorithm;
use varve_environment::Image;
use varve_image::{Compression, Initramfs, Kernel};

use crate::commands::image::inputs;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Debian's kernel for virtual machines.
const USUAL_KERNEL: &str = "linux-image-cloud-amd64";
/// What it takes to run a command; what these depend on comes with them.
const MODULES: [&str; 8] = [
    "virtio_pci",
    "virtio_console",
    "virtio_net",
    "virtio_rng",
    "af_packet",
    "fuse",
    "overlay",
    "crc32c_generic",
];
/// What the contents of the first file system are; to be changed with them.
const FORM: &str = "1";

/// The files.
pub(super) struct BootFiles {
    pub(super) kernel: PathBuf,
    pub(super) initramfs: PathBuf,
}

impl BootFiles {
    /// Those of the kernel that is asked for, or of the usual one.
    pub(super) fn find(
        invocation: &Invocation,
        kernel: Option<&str>,
        guest: Option<&Path>,
        image: Option<&Image>,
    ) -> Result<Self, Failure> {
        let places = invocation.places()?;
        if let (None, Some(image)) = (kernel, image) {
            invocation.output.warn(format!(
                "the environment's boot image {} boots whole systems: this machine runs under {USUAL_KERNEL}",
                image.sha256
            ));
        }
        let named = kernel.unwrap_or(USUAL_KERNEL);
        let guest = match guest {
            Some(guest) => guest.to_owned(),
            None => {
                let own = std::env::current_exe();
                inputs::guest(&own.map_err(|error| Failure::io("find", Path::new("varve"), error))?)?
            }
        };
        let of_kernel = match inputs::is_file(named) {
            true => identity(Path::new(named))?,
            // A package stays the one that it was the first time.
            false => named.to_owned(),
        };
        let identity = format!("{FORM}\n{of_kernel}\n{}", identity(&guest)?);
        let digest = Algorithm::Sha1.hash(identity.as_bytes()).to_string();
        let all = places.cache().join("vm").join("boot");
        let directory = all.join(&digest[..16]);
        let files = Self { kernel: directory.join("kernel"), initramfs: directory.join("initramfs") };
        if !directory.is_dir() {
            make(invocation, named, &guest, &all, &directory)?;
        }
        Ok(files)
    }
}

/// A file that stays the same stays the same in these.
fn identity(path: &Path) -> Result<String, Failure> {
    let failed = |error| Failure::io("read", path, error);
    let path = path.canonicalize().map_err(failed)?;
    let status = fs::metadata(&path).map_err(failed)?;
    Ok(format!("{}\n{}\n{}.{}", path.display(), status.size(), status.mtime(), status.mtime_nsec()))
}

/// Appears whole, under whoever of several is the first.
fn make(
    invocation: &Invocation,
    kernel: &str,
    guest: &Path,
    all: &Path,
    directory: &Path,
) -> Result<(), Failure> {
    let package = inputs::package(invocation, kernel)?;
    let kernel = Kernel::open(&package, &MODULES.map(str::to_owned))?;
    let init = fs::read(guest).map_err(|error| Failure::io("read", guest, error))?;
    let initramfs = Initramfs { init: &init, boot_settings: None, kernel: &kernel, scratch_template: None };
    let failed = |error| Failure::io("write to", all, error);
    fs::create_dir_all(all).map_err(failed)?;
    let scratch = tempfile::Builder::new().prefix("new-").tempdir_in(all).map_err(failed)?;
    let initramfs = initramfs.build(Compression::None).map_err(failed)?;
    fs::write(scratch.path().join("kernel"), &kernel.image).map_err(failed)?;
    fs::write(scratch.path().join("initramfs"), initramfs).map_err(failed)?;
    match fs::rename(scratch.path(), directory) {
        Err(_) if directory.is_dir() => Ok(()),
        result => result.map_err(failed),
    }
}
