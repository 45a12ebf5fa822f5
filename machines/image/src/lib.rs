//! Boot images: a kernel and the guest in a file that boots anywhere.
//!
//! [`Kernel`] is Debian's packaged one, unchanged, or the small one. [`Initramfs`] puts the guest, the kernel's modules and
//! [`BootSettings`] into what the kernel unpacks first. [`ImageParts`] makes of both a hybrid image for BIOS and UEFI, and of
//! that every other [`Format`]. [`ImageBuild`] does all of it and signs an [`ImageManifest`].
//!
//! Invariants: the same inputs and date make the same bytes; kernel and initramfs are in a hybrid image once; a packaged
//! kernel and its modules are never changed; no file of a result appears before it is whole.

mod appliance;
mod boot_settings;
mod build;
mod compression;
mod cpio;
mod debian_package;
mod engine;
mod esp;
mod format;
mod guest;
mod hybrid;
mod identifiers;
mod image;
mod initramfs;
mod iso9660;
mod kernel;
mod manifest;
mod scratch;
mod signing;
mod unified;

pub use boot_settings::{BootSettings, BootSettingsError};
pub use build::{BuildError, ImageBuild};
pub use compression::Compression;
pub use cpio::CpioArchive;
pub use debian_package::{DebianPackage, PackageError};
pub use engine::EngineError;
pub use format::Format;
pub use guest::{Guest, GuestError};
pub use image::{DEFAULT_COMMAND_LINE, ImageError, ImageParts};
pub use initramfs::Initramfs;
pub use kernel::apt::{AptError, fetch_package};
pub use kernel::modules::{Module, ModuleError, default_modules};
pub use kernel::small::{BuiltKernel, SmallKernelError, SmallKernelRequest, build_small_kernel};
pub use kernel::{Kernel, KernelError, KernelPackage};
pub use manifest::{FilePart, ImageManifest, InitramfsPart, KernelPart, ManifestError};
pub use scratch::{TEMPLATE_BYTES, TEMPLATE_UUID, scratch_template};
pub use signing::{ImageKey, ImageSignatureError, PublicImageKey};
