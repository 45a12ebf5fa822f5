//! A real S3 service on loopback: `rclone serve s3` over a scratch directory. Why that one is in
//! docs/decisions/0005-storage-on-s3.md.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{ProcessGuard, Scratch, wait_for};

/// Where `.ci/run` and CONTRIBUTING.md install the program.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/rclone/bin/rclone");

/// A running service with one empty bucket.
pub struct S3Server {
    program: PathBuf,
    scratch: Scratch,
    process: Option<ProcessGuard>,
    address: SocketAddr,
}

impl S3Server {
    /// The bucket.
    pub const BUCKET: &str = "varve-test";
    /// The name of the only key that may do anything.
    pub const KEY_ID: &str = "VARVETESTKEY";
    /// That key.
    pub const SECRET: &str = "not-a-secret-of-anybody";

    /// Starts one, or says why not. In CI (`CI` is set) there has to be one.
    ///
    /// # Panics
    /// If the program is there and doesn't start, or in CI if it is not there.
    pub fn start() -> Option<Self> {
        let Some(program) = program() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "there is no rclone that can 'serve s3': .ci/run installs it"
            );
            println!(
                "skipped: there is no rclone that can 'serve s3'; CONTRIBUTING.md tells how to install it"
            );
            return None;
        };
        let scratch = Scratch::new();
        scratch.directory(&format!("data/{}", Self::BUCKET));
        let (process, address) = launch(&program, &scratch, "127.0.0.1:0");
        Some(Self { program, scratch, process: Some(process), address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The file in which it keeps what it has under a key of the bucket.
    pub fn file(&self, key: &str) -> PathBuf {
        self.scratch.join("data").join(Self::BUCKET).join(key)
    }

    /// Ends it at once; what is stored stays.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again where it was.
    ///
    /// # Panics
    /// If it doesn't start.
    pub fn restart(&mut self) {
        self.stop();
        let (process, address) = launch(&self.program, &self.scratch, &self.address.to_string());
        (self.process, self.address) = (Some(process), address);
    }
}

fn launch(program: &Path, scratch: &Scratch, listen: &str) -> (ProcessGuard, SocketAddr) {
    let log = scratch.join("log");
    let file = File::create(&log).expect("because the scratch directory is writable");
    let mut command = Command::new(program);
    command
        .args(["serve", "s3", "--addr", listen, "--auth-key"])
        .arg(format!("{},{}", S3Server::KEY_ID, S3Server::SECRET))
        .arg(scratch.join("data"))
        .env("RCLONE_CONFIG", "/dev/null")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file);
    let process = ProcessGuard::start(&mut command).expect("because the program exists");
    let address = wait_for("the S3 server", Duration::from_secs(60), || {
        let said = fs::read_to_string(&log).ok()?;
        said.split_once("[http://")?.1.split_once("/]")?.0.parse().ok()
    });
    (process, address)
}

/// The program, if it is there and recent enough.
fn program() -> Option<PathBuf> {
    let candidates = [Path::new(INSTALLED), Path::new("rclone")];
    let serves = |program: &&Path| {
        let mut command = Command::new(program);
        command
            .args([OsStr::new("serve"), "s3".as_ref(), "--help".as_ref()])
            .env("RCLONE_CONFIG", "/dev/null");
        let output = command.stdin(Stdio::null()).output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("--auth-key"))
    };
    candidates.into_iter().find(serves).map(Path::to_owned)
}
