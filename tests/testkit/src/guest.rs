//! A tiny system to run in virtual machines: Debian's kernel for clouds, and a first file system with busybox and a script.
//!
//! The kernel comes through the machine's own apt configuration and is kept in `target/guests`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

/// Where a static busybox is, when it is installed.
const BUSYBOX: &str = "/bin/busybox";

/// What every guest does first.
const PREPARE: &str = "#!/bin/busybox sh
/bin/busybox mkdir -p /bin /sbin /usr/bin /usr/sbin
/bin/busybox --install -s
mkdir -p /proc /sys /dev /tmp /run /mnt
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*; do [ -e \"$module\" ] && insmod \"$module\"; done
";

/// A kernel and its modules, and what a first file system is made from.
#[derive(Clone, Debug)]
pub struct Guest {
    kernel: PathBuf,
    modules: PathBuf,
}

impl Guest {
    /// Debian's kernel for clouds; `None`, with the reason printed, where it, busybox or QEMU can't be had.
    ///
    /// # Panics
    /// Where they must be there: under `CI`.
    pub fn find() -> Option<Self> {
        match Self::get() {
            Ok(guest) => Some(guest),
            Err(error) if std::env::var_os("CI").is_some() => panic!("no guest for machines: {error:#}"),
            Err(error) => {
                println!("skipped: no guest for machines: {error:#}");
                None
            }
        }
    }

    /// The kernel's image.
    pub fn kernel(&self) -> &Path {
        &self.kernel
    }

    /// Makes a first file system at `path`, whose init loads `modules` in this order and then goes on with the lines of
    /// `script`, in busybox's shell.
    ///
    /// # Panics
    /// If a module isn't there.
    pub fn initramfs(&self, path: &Path, modules: &[&str], script: &str) {
        self.try_initramfs(path, modules, script).expect("because busybox and the modules are there");
    }

    fn try_initramfs(&self, path: &Path, modules: &[&str], script: &str) -> Result<()> {
        let mut archive = Newc { file: File::create(path)?, number: 0 };
        for directory in ["bin", "dev", "modules"] {
            archive.entry(directory, 0o40_755, &[])?;
        }
        archive.entry("bin/busybox", 0o100_755, &fs::read(BUSYBOX)?)?;
        for (number, module) in modules.iter().enumerate() {
            let module = find(&self.modules, module).with_context(|| format!("no module {module}"))?;
            let bytes = match module.extension().and_then(|end| end.to_str()) {
                Some("xz") => output(Command::new(BUSYBOX).arg("xzcat").arg(&module))?,
                _ => fs::read(&module)?,
            };
            archive.entry(&format!("modules/{number:02}.ko"), 0o100_644, &bytes)?;
        }
        archive.entry("init", 0o100_755, format!("{PREPARE}{script}\nexec sh\n").as_bytes())?;
        archive.entry("TRAILER!!!", 0, &[])
    }

    fn get() -> Result<Self> {
        let qemu = Command::new("qemu-system-x86_64").arg("--version").stdout(Stdio::null()).status();
        ensure!(qemu.is_ok(), "no qemu-system-x86_64; apt install qemu-system-x86");
        ensure!(Path::new(BUSYBOX).exists(), "no {BUSYBOX}; apt install busybox-static");
        let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests");
        fs::create_dir_all(&cache)?;
        // One process fetches, the others wait.
        let lock = File::create(cache.join("lock"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
        let root = cache.join("debian-cloud");
        if !root.exists() {
            let fetched = tempfile::Builder::new().prefix("fetch-").tempdir_in(&cache)?;
            fetch(fetched.path())?;
            fs::rename(fetched.path().join("root"), &root)?;
        }
        let entries = fs::read_dir(root.join("boot"))?.flatten().map(|entry| entry.path());
        let kernel = entries
            .into_iter()
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")))
            .context("the kernel's package has no kernel")?;
        Ok(Self { kernel, modules: root.join("lib/modules") })
    }
}

/// Downloads and unpacks the newest kernel for clouds.
fn fetch(directory: &Path) -> Result<()> {
    let listed = output(Command::new("apt-cache").args([
        "search",
        "--names-only",
        "^linux-image-6\\..*-cloud-amd64$",
    ]))?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let numbers = |name: &str| -> Vec<u64> {
        name.split(|character: char| !character.is_ascii_digit())
            .filter_map(|part| part.parse().ok())
            .collect()
    };
    let newest = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| numbers(name).len() > 3)
        .max_by_key(|name| numbers(name))
        .context("apt knows no linux-image-…-cloud-amd64")?;
    output(Command::new("apt-get").args(["download", newest]).current_dir(directory))?;
    let package = fs::read_dir(directory)?.flatten().next().context("apt-get downloaded nothing")?;
    output(Command::new("dpkg-deb").arg("-x").arg(package.path()).arg(directory.join("root")))?;
    Ok(())
}

/// Runs a command and returns what it printed.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// A kernel module below a directory, compressed or not.
fn find(directory: &Path, module: &str) -> Option<PathBuf> {
    for entry in fs::read_dir(directory).ok()?.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if let Some(found) = find(&path, module) {
                return Some(found);
            }
        } else if entry.file_name().to_str()?.split('.').next() == Some(module) {
            return Some(path);
        }
    }
    None
}

/// The archive that kernels unpack as their first file system.
struct Newc {
    file: File,
    number: u32,
}

impl Newc {
    fn entry(&mut self, name: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        self.number += 1;
        let fields = [self.number, mode, 0, 0, 1, 0, u32::try_from(bytes.len())?, 0, 0, 0, 0];
        let mut header = "070701".to_owned();
        for field in fields {
            header += &format!("{field:08x}");
        }
        header += &format!("{:08x}{:08x}{name}\0", name.len() + 1, 0);
        header += &"\0".repeat(header.len().next_multiple_of(4) - header.len());
        self.file.write_all(header.as_bytes())?;
        self.file.write_all(bytes)?;
        self.file.write_all(&[0; 3][..bytes.len().next_multiple_of(4) - bytes.len()])?;
        Ok(())
    }
}
