//! Sandboxes for scenarios: repositories of root's or of a user's, runs in them, and what is left of them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use varve_testkit::{TreeBuilder, mounts_below, wait_until};

use crate::installation::{Installation, Outcome, fuse_is_missing, programs_are_missing};

/// The number of a user without any rights.
const NOBODY: u32 = 65534;

/// Who runs something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Root, without a user namespace for the mounts.
    Root,
    /// A user who may do nothing but open /dev/fuse, as on any desktop.
    Nobody,
}

/// An installation of one user with two repositories: [`Sandboxes::SOFTWARE`], [`Sandboxes::SYSTEM`].
pub struct Sandboxes {
    installation: Installation,
    user: User,
}

impl Sandboxes {
    /// A repository with `hello`, which says so.
    pub const SOFTWARE: &'static str = "software.lab.example";
    /// A small operating system, with the tools of busybox.
    pub const SYSTEM: &'static str = "system.lab.example";

    /// Both repositories, or `None` if this machine lacks what is needed; then that is said.
    ///
    /// # Panics
    /// If they can't be made.
    pub fn new(user: User) -> Option<Self> {
        if fuse_is_missing() || programs_are_missing(&["busybox", "setpriv", "unshare"]) {
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can become another user");
            return None;
        }
        let installation = Installation::new();
        let program = installation.command::<&OsStr>(&[]).get_program().to_owned();
        // Where every user finds it.
        if fs::hard_link(&program, installation.path("varve")).is_err() {
            fs::copy(&program, installation.path("varve")).expect("because there is room");
        }
        fs::set_permissions(installation.path(""), fs::Permissions::from_mode(0o755))
            .expect("because it is ours");
        let sandboxes = Self { installation, user };
        let work = sandboxes.work();
        if user == User::Nobody {
            let device = sandboxes.installation.path("fuse");
            let made = Command::new("mknod").arg(&device).args(["-m", "666", "c", "10", "229"]).status();
            assert!(made.is_ok_and(|status| status.success()), "a device can't be made");
            chown(sandboxes.installation.directory("own"), Some(NOBODY), Some(NOBODY))
                .expect("because this is root");
            chown(&work, Some(NOBODY), Some(NOBODY)).expect("because this is root");
        }
        let (software, system) =
            (sandboxes.installation.path("software"), sandboxes.installation.path("system"));
        TreeBuilder::new(&software).file("hello", "hello\n").file("dir/data", "data\n").finish();
        let passwd = "root:x:0:0:root:/root:/bin/sh\n";
        TreeBuilder::new(&system).file("etc/passwd", passwd).file("etc/os-release", "ID=lab\n").finish();
        for directory in ["bin", "usr/bin", "var/tmp", "root", "tmp", "proc", "sys", "dev", "mnt"] {
            fs::create_dir_all(system.join(directory)).expect("because it is ours");
        }
        fs::copy("/bin/busybox", system.join("bin/busybox")).expect("because busybox is installed");
        let listed = Command::new("/bin/busybox").arg("--list").output().expect("because it is installed");
        for tool in String::from_utf8_lossy(&listed.stdout).lines().filter(|tool| *tool != "busybox") {
            symlink("busybox", system.join("bin").join(tool)).expect("because the directory is ours");
        }
        for (name, tree) in [(Self::SOFTWARE, &software), (Self::SYSTEM, &system)] {
            sandboxes.publish(name, tree);
        }
        Some(sandboxes)
    }

    /// Makes a repository of a tree.
    ///
    /// # Panics
    /// If that fails.
    pub fn publish(&self, name: &str, tree: &Path) {
        let tree = tree.to_str().expect("because scratch paths are text");
        self.succeed(&["repo", "create", name]);
        self.succeed(&["repo", "publish", name, tree]);
    }

    /// Where runs are started: a directory of the user's.
    pub fn work(&self) -> PathBuf {
        self.installation.directory("own/work")
    }

    /// The files of the user's own, with its home of the program.
    pub fn own(&self) -> PathBuf {
        self.installation.path("own")
    }

    /// The program with arguments, as the user.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = self.script("exec \"$VARVE\" \"$@\"");
        command.arg("varve").args(arguments);
        command
    }

    /// Runs a script to its end, in a mount namespace that root has changed before with another one.
    pub fn call_script_after(&self, preparation: &str, script: &str) -> Outcome {
        let mut command = self.script(script);
        command.env("PREPARATION", preparation);
        self.installation.end(command)
    }

    /// A shell script, as the user, which finds the program in `$VARVE`.
    pub fn script(&self, script: &str) -> Command {
        let mut command = match self.user {
            User::Root => {
                let mut command = Command::new("sh");
                command.args(["-c", script]);
                command
            }
            User::Nobody => {
                // In a mount namespace of its own, where everybody may open the device.
                let become_user = "mount --bind \"$DEVICE\" /dev/fuse; eval \"${PREPARATION-}\"; script=$1; shift; exec setpriv --reuid=65534 \
                                   --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all sh -c \"$script\" \"$@\"";
                let mut command = Command::new("unshare");
                command.args(["--mount", "sh", "-c", become_user, "sh", script]);
                command
            }
        };
        command
            .current_dir(self.work())
            .env("VARVE", self.installation.path("varve"))
            .env("VARVE_HOME", self.own().join("home"))
            .env("DEVICE", self.installation.path("fuse"))
            .env("HOME", "/home/somebody")
            .env("USER", "somebody")
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end, whatever that is.
    pub fn call<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Outcome {
        self.installation.end(self.command(arguments))
    }

    /// Runs a script to its end.
    pub fn call_script(&self, script: &str) -> Outcome {
        self.installation.end(self.script(script))
    }

    /// Runs the program, which has to succeed, and returns its standard output.
    ///
    /// # Panics
    /// If it fails.
    pub fn succeed<A: AsRef<OsStr> + std::fmt::Debug>(&self, arguments: &[A]) -> String {
        let outcome = self.call(arguments);
        assert_eq!(
            outcome.code,
            Some(0),
            "{:?}: varve {arguments:?}: {}{}",
            self.user,
            outcome.stdout,
            outcome.stderr
        );
        outcome.stdout
    }

    /// A script in the operating system, with the software, that has to succeed.
    ///
    /// # Panics
    /// If it fails.
    pub fn inside(&self, options: &[&str], script: &str) -> String {
        self.succeed(&self.arguments(options, script))
    }

    /// The arguments for a script in the operating system, with the software.
    pub fn arguments<'a>(&self, options: &[&'a str], script: &'a str) -> Vec<&'a str> {
        let software = ["run", "--system", Self::SYSTEM, "-r", Self::SOFTWARE];
        [&software[..], options, &["--", "sh", "-c", script]].concat()
    }

    /// Processes of the program with this word in their command line.
    pub fn processes(&self, word: &str) -> Vec<i32> {
        let program = self.installation.path("varve");
        let program = program.to_str().expect("because scratch paths are text");
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                let line = fs::read(entry.path().join("cmdline")).ok()?;
                let line = String::from_utf8_lossy(&line);
                let is_it = line.starts_with(program) && line.split('\0').any(|part| part == word);
                is_it.then(|| entry.file_name().to_str()?.parse().ok()).flatten()
            })
            .collect()
    }

    /// Waits until no process, no mount and no socket of any run is left.
    pub fn wait_for_nothing(&self) {
        let run = self.own().join("home/run");
        wait_until("the end of all that runs have started", Duration::from_secs(30), || {
            ["run", "sandbox-holder", "mount-supervisor", "mount-worker"]
                .iter()
                .all(|word| self.processes(word).is_empty())
        });
        assert!(mounts_below(&self.own()).is_empty());
        let mut left: Vec<_> = fs::read_dir(&run)
            .expect("because there were runs")
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(left, ["holder.lock", "holder.log", "sandboxes"]);
        assert_eq!(fs::read_dir(run.join("sandboxes")).map(Iterator::count).unwrap_or_default(), 0);
    }
}
