//! A temporary home of the program, and calls of the program in it.

use std::cell::Cell;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use varve_testkit::{ProcessGuard, S3Server, Scratch, wait_for};

/// A temporary home of the program. On drop its mounts and servers are gone, and its files too.
pub struct Installation {
    scratch: Scratch,
    program: PathBuf,
    /// How many servers have been started, for a log of its own for each.
    servers: Cell<u32>,
    /// What `varve repo create` is told about the storage.
    storage: Vec<String>,
}

/// Makes two tests of each scenario, a function of an installation: one with repositories in local directories, one with
/// repositories on S3.
#[macro_export]
macro_rules! on_each_storage {
    ($($scenario:ident),* $(,)?) => {$(
        mod $scenario {
            #[test]
            fn directory() {
                super::$scenario(&$crate::Installation::new());
            }

            #[test]
            fn s3() {
                if let Some(server) = varve_testkit::S3Server::start() {
                    super::$scenario(&$crate::Installation::on_s3(&server.url()));
                }
            }
        }
    )*};
}

/// What a call of the program ended with.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A running `varve serve`.
pub struct Server {
    process: ProcessGuard,
    port: u16,
}

impl Server {
    /// The port it listens on, of the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a repository.
    pub fn url(&self, repository: &str) -> String {
        format!("http://127.0.0.1:{}/cvmfs/{repository}", self.port)
    }

    /// The process, for signals.
    pub fn process(&mut self) -> &mut ProcessGuard {
        &mut self.process
    }
}

impl Installation {
    /// An empty home.
    ///
    /// # Panics
    /// If the program has not been built.
    pub fn new() -> Self {
        let program = program();
        assert!(program.exists(), "{} is missing: run 'cargo build -p varve' first", program.display());
        Self { scratch: Scratch::new(), program, servers: Cell::new(0), storage: Vec::new() }
    }

    /// An empty home, whose repositories have their objects in the bucket of an [`S3Server`] that is reached at `url`.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn on_s3(url: &str) -> Self {
        let place = format!("s3://{}/some/prefix", S3Server::BUCKET);
        let options = ["--storage", &place, "--s3-endpoint", url, "--s3-allow-http"];
        Self { storage: options.map(str::to_owned).into(), ..Self::new() }
    }

    /// Makes a repository, with more options behind.
    ///
    /// # Panics
    /// If it fails.
    pub fn create(&self, name: &str, options: &[&str]) {
        let storage: Vec<&str> = self.storage.iter().map(String::as_str).collect();
        self.run(&[&["repo", "create", name], &storage[..], options].concat());
    }

    /// The part of a repository's settings that says where its objects are; empty if they are in its directory.
    pub fn storage_settings(&self, name: &str) -> String {
        let settings = fs::read_to_string(self.settings(name)).unwrap_or_default();
        settings.find("[storage]").map_or(String::new(), |at| settings[at..].to_owned())
    }

    /// The settings of a repository.
    pub fn settings(&self, name: &str) -> PathBuf {
        self.path("home/config/repositories").join(format!("{name}.toml"))
    }

    /// A path below the temporary directory.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.scratch.join(relative)
    }

    /// A directory below the temporary directory, made if it isn't there.
    pub fn directory(&self, relative: &str) -> PathBuf {
        self.scratch.directory(relative)
    }

    /// The directory of a repository that this installation publishes, as it is served.
    pub fn repository(&self, name: &str) -> PathBuf {
        self.path("home/repositories").join(name)
    }

    /// The public key of a repository that this installation publishes.
    pub fn public_key(&self, name: &str) -> PathBuf {
        self.path("home/keys").join(format!("{name}.pub"))
    }

    /// The program with arguments, to be run by the caller.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null());
        self.set_environment(&mut command);
        command
    }

    /// Runs the program to its end, whatever that is.
    ///
    /// # Panics
    /// If it can't be started.
    pub fn call<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Outcome {
        self.end(self.command(arguments))
    }

    /// Runs a command to its end, whatever that is.
    ///
    /// # Panics
    /// If it can't be started.
    pub fn end(&self, mut command: Command) -> Outcome {
        // Files instead of pipes: a mount that the call leaves behind would keep a pipe open.
        let (out, err) = (self.path("call.out"), self.path("call.err"));
        let create = |path: &Path| File::create(path).expect("because the scratch directory is writable");
        let status =
            command.stdout(create(&out)).stderr(create(&err)).status().expect("because the program exists");
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        Outcome { code: status.code(), stdout: read(&out), stderr: read(&err) }
    }

    /// Runs the program, which has to succeed, and returns its standard output.
    ///
    /// # Panics
    /// If it fails.
    pub fn run<A: AsRef<OsStr> + std::fmt::Debug>(&self, arguments: &[A]) -> String {
        let outcome = self.call(arguments);
        assert_eq!(outcome.code, Some(0), "varve {arguments:?}: {}{}", outcome.stdout, outcome.stderr);
        outcome.stdout
    }

    /// A POSIX shell in the directory `work`, for which the program is the command `varve`; it stops at the first failure.
    ///
    /// # Panics
    /// If the directory can't be made.
    pub fn shell(&self, script: &str) -> Command {
        let programs = self.program.parent().unwrap_or(Path::new("/"));
        let mut path = OsString::from(programs);
        path.push(":");
        path.push(env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command.args(["-euc", script]).current_dir(self.directory("work")).env("PATH", path);
        command.stdin(Stdio::null());
        self.set_environment(&mut command);
        command
    }

    fn set_environment(&self, command: &mut Command) {
        command.env("VARVE_HOME", self.path("home"));
        command.env("AWS_ACCESS_KEY_ID", S3Server::KEY_ID).env("AWS_SECRET_ACCESS_KEY", S3Server::SECRET);
        command.env_remove("AWS_SESSION_TOKEN");
    }

    /// Serves the repositories of this installation, or those that lie in `root`.
    ///
    /// # Panics
    /// If the server does not answer.
    pub fn serve(&self, root: Option<&Path>) -> Server {
        let mut arguments: Vec<OsString> = ["serve", "--listen", "127.0.0.1:0"].map(OsString::from).into();
        if let Some(root) = root {
            arguments.extend(["--root".into(), root.as_os_str().to_owned()]);
        }
        self.start_server(self.command(&arguments))
    }

    /// Starts a command that serves on a free port of the loopback interface, and waits until it says on which.
    ///
    /// # Panics
    /// If it doesn't.
    pub fn start_server(&self, mut command: Command) -> Server {
        self.servers.set(self.servers.get() + 1);
        let log = self.path(&format!("serve-{}.log", self.servers.get()));
        let file = File::create(&log).expect("because the scratch directory is writable");
        command.stdout(Stdio::null()).stderr(file);
        let process = ProcessGuard::start(&mut command).expect("because the program exists");
        let port = wait_for("the server", Duration::from_secs(60), || {
            let said = fs::read_to_string(&log).ok()?;
            let (_, rest) = said.split_once("http://127.0.0.1:")?;
            rest.split_once('/')?.0.parse().ok()
        });
        Server { process, port }
    }

    /// Mounts a repository on a fresh directory below the temporary directory, with more options behind.
    ///
    /// # Panics
    /// If it fails.
    pub fn mount(&self, repository: &str, url: &str, key: &Path, at: &str, options: &[&str]) -> PathBuf {
        let directory = self.directory(at);
        let outcome = self.try_mount(repository, url, key, &directory, options);
        assert_eq!(outcome.code, Some(0), "mounting {repository}: {}{}", outcome.stdout, outcome.stderr);
        directory
    }

    /// Mounts as [`Self::mount`], and may fail.
    pub fn try_mount(&self, repository: &str, url: &str, key: &Path, at: &Path, options: &[&str]) -> Outcome {
        let mut arguments: Vec<&OsStr> = vec!["mount".as_ref(), repository.as_ref(), at.as_ref()];
        arguments.extend([OsStr::new("--server"), url.as_ref(), "--key".as_ref(), key.as_ref()]);
        arguments.extend(options.iter().map(OsStr::new));
        self.call(&arguments)
    }

    /// Unmounts.
    ///
    /// # Panics
    /// If it fails.
    pub fn unmount(&self, directory: &Path) {
        self.run(&[OsStr::new("umount"), directory.as_ref()]);
    }

    /// Creates a repository and publishes a tree into it.
    ///
    /// # Panics
    /// If it fails.
    pub fn publish(&self, name: &str, tree: &Path) {
        self.create(name, &[]);
        self.run(&[OsStr::new("repo"), "publish".as_ref(), name.as_ref(), tree.as_ref()]);
    }
}

impl Default for Installation {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether this machine can't mount; says so.
pub fn fuse_is_missing() -> bool {
    let missing = File::options().read(true).write(true).open("/dev/fuse").is_err();
    if missing {
        println!("skipped: /dev/fuse can't be opened on this machine");
    }
    missing
}

/// Whether this machine, or this user, can't mount overlays; says so.
pub fn overlays_are_missing() -> bool {
    let missing = !rustix::process::geteuid().is_root();
    if missing {
        println!("skipped: overlays are mounted by root only");
    }
    missing || fuse_is_missing()
}

/// Whether one of the programs isn't installed on this machine; says so. In CI they must be there.
///
/// # Panics
/// If one is missing and `CI` is set.
pub fn programs_are_missing(programs: &[&str]) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_missing =
        |program: &&&str| !env::split_paths(&path).any(|directory| directory.join(program).is_file());
    let missing = programs.iter().find(is_missing);
    if let Some(program) = missing {
        assert!(env::var_os("CI").is_none(), "{program} is not installed, but this is CI");
        println!("skipped: {program} is not installed on this machine");
    }
    missing.is_some()
}

/// The program, built beside the test that runs.
fn program() -> PathBuf {
    let test = env::current_exe().expect("because a running test has a path");
    let build = test.parent().and_then(Path::parent).expect("because tests lie in target/PROFILE/deps");
    build.join("varve")
}
