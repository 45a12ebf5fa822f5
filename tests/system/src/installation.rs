//! A temporary home of the program, and calls of the program in it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use varve_testkit::{ProcessGuard, Scratch, wait_until};

/// A temporary home of the program. On drop its mounts and servers are gone, and its files too.
pub struct Installation {
    scratch: Scratch,
    program: PathBuf,
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
        Self { scratch: Scratch::new(), program }
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
        command.args(arguments).env("VARVE_HOME", self.path("home")).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end, whatever that is.
    ///
    /// # Panics
    /// If it can't be started.
    pub fn call<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Outcome {
        // Files instead of pipes: a mount that the call leaves behind would keep a pipe open.
        let (out, err) = (self.path("call.out"), self.path("call.err"));
        let create = |path: &Path| File::create(path).expect("because the scratch directory is writable");
        let status = self
            .command(arguments)
            .stdout(create(&out))
            .stderr(create(&err))
            .status()
            .expect("because the program exists");
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

    /// Serves the repositories of this installation, or those that lie in `root`.
    ///
    /// # Panics
    /// If the server does not answer.
    pub fn serve(&self, root: Option<&Path>) -> Server {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("because the loopback interface has free ports")
            .port();
        let mut arguments = vec!["serve".into(), "--listen".into(), format!("127.0.0.1:{port}").into()];
        if let Some(root) = root {
            arguments.extend(["--root".into(), root.as_os_str().to_owned()]);
        }
        let log = File::create(self.path("serve.log")).expect("because the scratch directory is writable");
        let mut command = self.command(&arguments);
        command.stdout(Stdio::null()).stderr(log);
        let process = ProcessGuard::start(&mut command).expect("because the program exists");
        wait_until("the server", Duration::from_secs(30), || TcpStream::connect(("127.0.0.1", port)).is_ok());
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
        self.run(&["repo", "create", name]);
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

/// The program, built beside the test that runs.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("because a running test has a path");
    let build = test.parent().and_then(Path::parent).expect("because tests lie in target/PROFILE/deps");
    build.join("varve")
}
