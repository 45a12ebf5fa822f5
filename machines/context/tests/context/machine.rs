//! A root directory as a small machine has it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use varve_context::{Context, Outcome, Plan, Report, read};

/// The day on which tests happen.
const TODAY: u32 = 20_000;

pub(super) struct Machine {
    directory: TempDir,
}

impl Machine {
    /// A machine; none, and the reason printed, where files can't be given to others.
    pub(super) fn new() -> Option<Self> {
        let machine = Self { directory: TempDir::new().unwrap() };
        if fs::metadata(machine.path("/")).unwrap().uid() != 0 {
            println!("skipped: only root can give files to others");
            return None;
        }
        machine.write(
            "/etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n",
        );
        machine.write("/etc/group", "root:x:0:\ndaemon:x:1:\nsudo:x:27:\n");
        machine.write("/etc/shadow", "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n");
        machine.write("/etc/gshadow", "root:*::\ndaemon:*::\nsudo:*::\n");
        machine.write("/etc/skel/.profile", "umask 022\n");
        machine.write(
            "/usr/lib/systemd/system/ssh.service",
            "[Install]\nWantedBy=multi-user.target\nAlias=sshd.service\n",
        );
        machine.write("/usr/lib/systemd/system/getty@.service", "[Install]\nWantedBy=getty.target\n");
        symlink("usr/lib", machine.path("/lib")).unwrap();
        Some(machine)
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    pub(super) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Applies what user data says twice: the second time nothing may change.
    pub(super) fn become_what(&self, text: &str) -> (Plan, Report) {
        let Context { document, notices, .. } = read(text.as_bytes());
        assert_eq!(notices, [], "{text}");
        let plan = document.plan();
        let report = plan.apply(self.root(), TODAY).unwrap();
        let again = plan.apply(self.root(), TODAY + 1).unwrap();
        for ((step, first), second) in plan.steps.iter().zip(&report.outcomes).zip(&again.outcomes) {
            assert!(*second != Outcome::Changed, "{step:?} changed something twice");
            assert!(!matches!(first, Outcome::Failed { .. }), "{step:?}: {first:?}");
        }
        (plan, report)
    }
}
