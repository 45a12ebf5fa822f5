//! What machines with Debian's kernel and the guest as their first process are started from.
//!
//! Everything is as people have it: Debian's packaged kernel, fetched through this machine's own apt configuration; the guest
//! as `cargo build` makes it for images; the initramfs of images. Without QEMU or these the caller is told, and says that it
//! skips.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use varve_image::{Compression, Initramfs, Kernel, fetch_package, scratch_template};
use varve_testkit::MachineSettings;

/// Debian's kernel for virtual machines.
const KERNEL: &str = "linux-image-cloud-amd64";
/// The modules that a machine of these tests needs; what they depend on comes with them.
const MODULES: [&str; 13] = [
    "fuse",
    "overlay",
    "virtio_pci",
    "virtio_net",
    "virtio_blk",
    "isofs",
    "vfat",
    "nls_ascii",
    "nls_cp437",
    "qemu_fw_cfg",
    "af_packet",
    "ext4",
    "crc32c_generic",
];
/// When these images say that they were made: 2026-01-01.
const EPOCH: u64 = 1_767_225_600;

/// What is needed of the outside to start machines.
pub struct Equipment {
    kernel: Kernel,
    guest: Vec<u8>,
    /// The files of both.
    files: [PathBuf; 2],
}

impl Equipment {
    /// Looks for it; says what is missing.
    ///
    /// # Panics
    /// In CI if something is missing.
    pub fn find() -> Option<Self> {
        let missing = |what: &str| {
            assert!(env::var_os("CI").is_none(), "{what}, and CI must have it");
            println!("skipped: {what}");
        };
        if !works(Command::new("qemu-system-x86_64").arg("--version")) {
            missing("there is no qemu-system-x86_64 (Debian: qemu-system-x86)");
            return None;
        }
        let Some(guest) = guest() else {
            missing(
                "the guest has not been built (cargo build -p varve-guest-program --profile guest --target \
                 x86_64-unknown-linux-musl)",
            );
            return None;
        };
        let package = match fetch_package(KERNEL, &build_directory().join("test-kernels")) {
            Ok(package) => package,
            Err(error) => {
                missing(&format!("Debian's kernel can't be fetched: {error}"));
                return None;
            }
        };
        let kernel = Kernel::open(&package, &MODULES.map(str::to_owned)).expect("because it is Debian's");
        let files = [package, guest];
        let guest = fs::read(&files[1]).expect("because it has been built");
        Some(Self { kernel, guest, files })
    }

    /// Copies the kernel's package and the guest into a directory, where every user may read them.
    ///
    /// # Panics
    /// If they can't be copied.
    pub fn copy_to(&self, directory: &Path) -> [PathBuf; 2] {
        self.files.clone().map(|file| {
            let to = directory.join(file.file_name().expect("because it is a file"));
            fs::copy(&file, &to).expect("because the scratch directory is writable");
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).expect("because it is ours");
            to
        })
    }

    /// Writes kernel and initramfs of a machine with these settings into a directory.
    ///
    /// # Panics
    /// If they can't be written.
    pub fn write_image(&self, boot_settings: &str, directory: &Path) -> BootFiles {
        let files = BootFiles { kernel: directory.join("kernel"), initramfs: directory.join("initramfs") };
        let template = scratch_template(directory, EPOCH).expect("because e2fsprogs is part of every Debian");
        let initramfs = Initramfs {
            init: &self.guest,
            boot_settings: Some(boot_settings),
            kernel: &self.kernel,
            scratch_template: Some(&template),
        };
        let initramfs = initramfs.build(Compression::None).expect("because memory can be written to");
        fs::write(&files.initramfs, initramfs).expect("because the scratch directory is writable");
        fs::write(&files.kernel, &self.kernel.image).expect("because the scratch directory is writable");
        files
    }
}

/// What a machine is started from.
pub struct BootFiles {
    kernel: PathBuf,
    initramfs: PathBuf,
}

impl BootFiles {
    /// A machine that is started from them, with more words on the kernel's command line.
    pub fn machine(&self, words: &str) -> MachineSettings {
        let command_line = format!("console=ttyS0 quiet panic=1 varve.debug {words}");
        MachineSettings {
            memory: 768,
            cores: 2,
            kernel: Some((self.kernel.clone(), self.initramfs.clone(), command_line)),
            arguments: vec!["-no-reboot".to_owned()],
            ..MachineSettings::default()
        }
    }
}

/// The guest as it is built for images, or as it was built for debugging if that is newer.
fn guest() -> Option<PathBuf> {
    let target = build_directory().join("x86_64-unknown-linux-musl");
    let built = ["guest", "debug"].map(|profile| target.join(profile).join("varve-guest"));
    let age = |path: &PathBuf| fs::metadata(path).and_then(|kind| kind.modified()).ok();
    built.into_iter().filter(|path| path.exists()).max_by_key(age)
}

/// `target`.
fn build_directory() -> PathBuf {
    let test = env::current_exe().expect("because a running test has a path");
    test.ancestors().nth(3).expect("because tests lie in target/PROFILE/deps").to_owned()
}

fn works(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
