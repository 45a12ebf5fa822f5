//! A real PostgreSQL of the test's own: in a scratch directory, behind a socket there, as a user without privileges.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::{ProcessGuard, Scratch, wait_until};

/// Where Debian has one directory for each version.
const INSTALLED: &str = "/usr/lib/postgresql";
/// Whom the server runs as where the test is root, which it refuses to be.
const NOBODY: u32 = 65534;
/// How long it may take to start and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server with one empty database.
pub struct Postgres {
    programs: PathBuf,
    scratch: Scratch,
    process: Option<ProcessGuard>,
}

impl Postgres {
    /// Starts one, or says why not. In CI (`CI` is set) there has to be one.
    ///
    /// # Panics
    /// If it is installed and doesn't start, or in CI if it isn't.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("CI").is_none(), "there is no PostgreSQL: .ci/run installs it");
            println!("skipped: there is no PostgreSQL (Debian: postgresql)");
            return None;
        };
        let scratch = Scratch::new();
        let data = scratch.directory("data");
        if rustix::process::geteuid().is_root() {
            let open = fs::Permissions::from_mode(0o755);
            fs::set_permissions(scratch.path(), open).expect("because the directory is the test's");
            chown(&data, Some(NOBODY), Some(NOBODY)).expect("because the test is root");
        }
        let mut initdb = unprivileged(&programs.join("initdb"));
        initdb.args(["--username=varve", "--auth=trust", "--encoding=UTF8", "--no-sync", "--no-locale"]);
        let made = initdb.arg("-D").arg(&data).output().expect("because the program exists");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut server = Self { programs, scratch, process: None };
        server.resume();
        Some(server)
    }

    /// How it is reached.
    pub fn address(&self) -> String {
        let socket = self.scratch.join("data").display().to_string().replace('/', "%2F");
        format!("postgresql://varve@{socket}/postgres?sslmode=disable")
    }

    /// Ends it at once, as a power cut would; what it has said to be stored is.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Its children end with it, which they don't when it is killed.
            let _ = process.signal(Signal::QUIT);
            let _ = process.wait(PATIENCE);
        }
    }

    /// Starts it again.
    ///
    /// # Panics
    /// If it doesn't start.
    pub fn resume(&mut self) {
        let data = self.scratch.join("data");
        let log = File::create(self.scratch.join("log")).expect("because the scratch directory is writable");
        let mut command = unprivileged(&self.programs.join("postgres"));
        command.arg("-D").arg(&data).arg("-k").arg(&data);
        command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=60"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(ProcessGuard::start(&mut command).expect("because the program exists"));
        wait_until("PostgreSQL", PATIENCE, || {
            fs::read_to_string(self.scratch.join("log"))
                .is_ok_and(|log| log.contains("ready to accept connections"))
        });
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env("LC_ALL", "C");
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// The directory with the programs of the newest version.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(INSTALLED).ok()?.flatten().map(|entry| entry.path().join("bin"));
    versions.filter(|programs| programs.join("initdb").exists()).max()
}
