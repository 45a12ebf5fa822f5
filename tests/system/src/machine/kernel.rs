//! Debian's kernel for virtual machines, unchanged: its package is fetched through this machine's own apt configuration and
//! unpacked beside what was built.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Initramfs;

const META_PACKAGE: &str = "linux-image-cloud-amd64";
/// The modules that a machine of these tests needs; what they depend on comes with them.
const MODULES: [&str; 17] = [
    "fuse",
    "overlay",
    "virtio_pci",
    "virtio_net",
    "virtio_blk",
    "virtio_scsi",
    "sd_mod",
    "sr_mod",
    "isofs",
    "vfat",
    "nls_ascii",
    "nls_cp437",
    "qemu_fw_cfg",
    "ata_piix",
    "ahci",
    "af_packet",
    "udf",
];

/// An unpacked kernel package.
pub struct Kernel {
    /// The kernel itself.
    pub image: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    /// Fetches the package into `directory`, once.
    ///
    /// # Errors
    /// What apt or dpkg said.
    pub fn fetch(directory: &Path) -> Result<Self, String> {
        let package = package_name()?;
        let unpacked = directory.join(&package);
        if !unpacked.exists() {
            fs::create_dir_all(directory).map_err(|error| error.to_string())?;
            let work = directory.join(format!("{package}.{}", std::process::id()));
            fs::create_dir_all(&work).map_err(|error| error.to_string())?;
            run(Command::new("apt-get").args(["download", &package]).current_dir(&work))?;
            let archive = find(&work, |name| name.ends_with(".deb")).ok_or("apt fetched nothing")?;
            run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(work.join("unpacked")))?;
            // Another test may have been faster.
            let _ = fs::rename(work.join("unpacked"), &unpacked);
            let _ = fs::remove_dir_all(&work);
        }
        let image = find(&unpacked.join("boot"), |name| name.starts_with("vmlinuz"))
            .ok_or("there is no kernel in it")?;
        let modules = find(&unpacked.join("lib/modules"), |_| true).ok_or("there are no modules in it")?;
        Ok(Self { image, modules })
    }

    /// Adds the modules that tests need, and their list for the guest.
    pub fn add_modules(&self, initramfs: &mut Initramfs) {
        let mut files = BTreeMap::new();
        collect(&self.modules.join("kernel"), &mut files);
        let mut order: Vec<String> = Vec::new();
        let mut list = String::new();
        for name in MODULES {
            add(name, &files, &mut order);
        }
        let place = |name: &str| format!("{name}.ko");
        for name in order {
            let content = fs::read(&files[&name]).expect("because it was just found");
            let needs: Vec<String> = needs_of(&content).iter().map(|name| place(name)).collect();
            let aliases = facts(&content, "alias=");
            list.push_str(&format!("{}\t{}\t{}\n", place(&name), needs.join(","), aliases.join(",")));
            initramfs.file(&format!("lib/modules/{}", place(&name)), &content);
        }
        initramfs.file("lib/modules/varve.modules", list.as_bytes());
    }
}

/// What a module depends on, in front of it.
fn add(name: &str, files: &BTreeMap<String, PathBuf>, order: &mut Vec<String>) {
    let Some(path) = files.get(name) else { return };
    if order.iter().any(|known| known == name) {
        return;
    }
    for needed in needs_of(&fs::read(path).expect("because it was just found")) {
        add(&needed, files, order);
    }
    order.push(name.to_owned());
}

fn needs_of(module: &[u8]) -> Vec<String> {
    let lists = facts(module, "depends=");
    let names = lists.iter().flat_map(|list| list.split(',')).filter(|name| !name.is_empty());
    names.map(|name| name.replace('-', "_")).collect()
}

/// The values under a name among the facts that a module's file has of itself.
fn facts(module: &[u8], name: &str) -> Vec<String> {
    let texts = module.split(|&byte| byte == 0).filter_map(|text| text.strip_prefix(name.as_bytes()));
    texts.filter_map(|text| String::from_utf8(text.to_vec()).ok()).collect()
}

/// Every module below a directory, by the name that the kernel has for it.
fn collect(directory: &Path, files: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".ko")) {
            files.insert(name.replace('-', "_"), path.clone());
        }
    }
}

fn package_name() -> Result<String, String> {
    let said = run(Command::new("apt-cache").args(["depends", META_PACKAGE]))?;
    let depends = said.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    depends
        .map(str::to_owned)
        .find(|name| name.starts_with("linux-image-"))
        .ok_or_else(|| format!("apt knows no {META_PACKAGE}"))
}

fn find(directory: &Path, wanted: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?.flatten();
    entries
        .map(|entry| entry.path())
        .find(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(&wanted))
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
