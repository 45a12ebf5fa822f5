//! A machine under QEMU's own emulation, with Debian's kernel and the guest as its first process.
//!
//! Everything is as people have it: Debian's packaged kernel, fetched through this machine's own apt configuration; the guest
//! as `cargo build` makes it for images. Without QEMU or these the caller is told, and says that it skips.

mod initramfs;
mod kernel;

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use varve_testkit::{ProcessGuard, wait_for};

pub use self::initramfs::Initramfs;
pub use self::kernel::Kernel;

/// What is needed of the outside to start machines.
pub struct Equipment {
    /// Debian's kernel.
    pub kernel: Kernel,
    /// The guest's program.
    pub guest: PathBuf,
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
        match Kernel::fetch(&build_directory().join("test-kernels")) {
            Ok(kernel) => Some(Self { kernel, guest }),
            Err(reason) => {
                missing(&format!("Debian's kernel can't be fetched: {reason}"));
                None
            }
        }
    }

    /// An initramfs with the guest, Debian's modules and these settings.
    pub fn initramfs(&self, boot_settings: &str) -> Initramfs {
        let mut initramfs = Initramfs::new();
        initramfs.program("init", &fs::read(&self.guest).expect("because the guest has been built"));
        initramfs.file("etc/varve/boot.toml", boot_settings.as_bytes());
        self.kernel.add_modules(&mut initramfs);
        initramfs
    }
}

/// A machine that runs.
pub struct Machine {
    process: ProcessGuard,
    console: PathBuf,
}

impl Machine {
    /// Starts a machine whose console goes to `console`; with more arguments for QEMU.
    ///
    /// # Panics
    /// If QEMU can't be started.
    pub fn start(kernel: &Path, initramfs: &Path, words: &str, console: &Path, arguments: &[&str]) -> Self {
        let output = |path: &Path| File::create(path).expect("because the scratch directory is writable");
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "768"]);
        command.args(["-display", "none", "-nodefaults", "-no-reboot"]);
        command.args(["-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0,romfile="]);
        command.arg("-serial").arg(format!("file:{}", console.display()));
        command.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
        command.args(["-append", &format!("console=ttyS0 quiet panic=1 {words}")]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output(&console.with_extension("qemu")));
        let process = ProcessGuard::start(&mut command).expect("because QEMU is there");
        Self { process, console: console.to_owned() }
    }

    /// What the console has shown so far.
    pub fn console(&self) -> String {
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        read(&self.console) + &read(&self.console.with_extension("qemu"))
    }

    /// Waits until the console shows a text, and returns everything that it has shown.
    ///
    /// # Panics
    /// If it doesn't in time.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> String {
        let mut last = String::new();
        let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(text, limit, || {
                last = self.console();
                let ended = !matches!(self.process.wait(Duration::ZERO), Ok(None));
                (last.contains(text) || ended).then_some(())
            });
        }));
        last = self.console();
        assert!(shown.is_ok() && last.contains(text), "the console never shows '{text}':\n{last}");
        last
    }

    /// Waits until the machine has switched itself off, and returns what the console has shown.
    ///
    /// # Panics
    /// If it runs on.
    pub fn wait_for_end(&mut self, limit: Duration) -> String {
        let status = self.process.wait(limit).expect("because it is our child");
        assert!(status.is_some(), "the machine runs on:\n{}", self.console());
        self.console()
    }

    /// As if the power were cut.
    pub fn cut_power(mut self) -> String {
        let _ = self.process.kill();
        self.console()
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
