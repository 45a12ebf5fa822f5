//! What all processes of a command may use together: a control group of its own (cgroup v2).
//!
//! It is made in this process' own group, or in the nearest one above that this user may change and that hands on the
//! controllers which the limits need. Where there is none, the limit is refused.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;

use crate::error::SandboxError;
use crate::sandbox::Limits;

/// What begins the names of our groups.
const PREFIX: &str = "varve-";
/// The time over which processor time is counted, in microseconds: the kernel's own.
const PERIOD: u64 = 100_000;
/// How often, and after which pauses, a group is tried to be removed whose processes are just ending.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);

/// A group of processes.
#[derive(Debug)]
pub(crate) struct Group {
    path: PathBuf,
}

/// What is to be written where.
struct Setting {
    what: &'static str,
    controller: &'static str,
    file: &'static str,
    value: String,
}

impl Group {
    /// A group with these limits, without any process yet; none without limits.
    pub(crate) fn of(limits: &Limits) -> Result<Option<Self>, SandboxError> {
        let settings = settings(limits);
        let Some(first) = settings.first() else { return Ok(None) };
        let missing = |why: &str| SandboxError::Limit { what: first.what, why: why.to_owned() };
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let top = mount_point(&table).ok_or_else(|| missing("no control groups of version 2 are mounted"))?;
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().to_owned();
        Self::below(&top, Path::new(&own), &settings, std::process::id()).map(Some)
    }

    fn below(top: &Path, own: &Path, settings: &[Setting], number: u32) -> Result<Self, SandboxError> {
        let own = if top.join(own).is_dir() { top.join(own) } else { top.to_owned() };
        let mut why = vec![];
        for parent in own.ancestors().take_while(|parent| parent.starts_with(top)) {
            remove_abandoned(parent);
            match Self::within(parent, settings, number) {
                Ok(group) => return Ok(group),
                Err(reason) => why.push(format!("{}: {reason}", parent.display())),
            }
        }
        let what = settings.first().map_or("it", |setting| setting.what);
        Err(SandboxError::Limit { what, why: why.join("; ") })
    }

    fn within(parent: &Path, settings: &[Setting], number: u32) -> Result<Self, String> {
        let list = |file: &str| fs::read_to_string(parent.join(file)).unwrap_or_default();
        let has = |text: &str, name: &str| text.split_whitespace().any(|word| word == name);
        let (known, handed_on) = (list("cgroup.controllers"), list("cgroup.subtree_control"));
        for Setting { controller, .. } in settings {
            if !has(&known, controller) {
                return Err(format!("it doesn't have the controller '{controller}'"));
            }
            if !has(&handed_on, controller) {
                fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"))
                    .map_err(|error| format!("it doesn't hand on the controller '{controller}' ({error})"))?;
            }
        }
        let group = Self { path: parent.join(format!("{PREFIX}{number}")) };
        fs::create_dir(&group.path).map_err(|error| format!("no group can be made there ({error})"))?;
        for Setting { file, value, .. } in settings {
            fs::write(group.path.join(file), value)
                .map_err(|error| format!("cannot set {file} ({error})"))?;
        }
        Ok(group)
    }

    /// Takes in a process; its children to come follow it.
    pub(crate) fn take(&self, process: Pid) -> Result<(), SandboxError> {
        let file = self.path.join("cgroup.procs");
        fs::write(&file, process.as_raw_nonzero().to_string()).map_err(SandboxError::io("write to", &file))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes a group once its last process has ended.
pub(crate) fn remove(group: &Path) {
    for _ in 0..TRIES {
        match fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(PAUSE),
            _ => return,
        }
    }
}

/// Removes groups of programs that were killed. One that has processes can't be removed.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
        if number.is_some_and(|number| !Path::new(&format!("/proc/{number}")).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn settings(limits: &Limits) -> Vec<Setting> {
    let memory = limits.memory.map(|bytes| Setting {
        what: "memory",
        controller: "memory",
        file: "memory.max",
        value: bytes.to_string(),
    });
    let processors = limits.millicpus.map(|thousandths| Setting {
        what: "processor time",
        controller: "cpu",
        file: "cpu.max",
        value: format!("{} {PERIOD}", (thousandths * PERIOD / 1000).max(1000)),
    });
    let processes = limits.processes.map(|count| Setting {
        what: "the number of processes",
        controller: "pids",
        file: "pids.max",
        // The first process inside is ours.
        value: count.saturating_add(1).to_string(),
    });
    [memory, processors, processes].into_iter().flatten().collect()
}

/// Where control groups of version 2 are mounted, of a table of mounts.
fn mount_point(table: &str) -> Option<PathBuf> {
    let line = table.lines().find(|line| {
        line.split_once(" - ").is_some_and(|(_, kind)| kind.split(' ').next() == Some("cgroup2"))
    })?;
    line.split(' ').nth(4).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_group_that_hands_on_is_taken() {
        let scratch = varve_testkit::Scratch::new();
        let own = scratch.directory("slice/scope");
        fs::write(own.join("cgroup.controllers"), "cpu").unwrap();
        let slice = scratch.join("slice");
        fs::write(slice.join("cgroup.controllers"), "cpu memory pids").unwrap();
        fs::write(slice.join("cgroup.subtree_control"), "memory").unwrap();
        let limits = Limits { memory: Some(1 << 20), processes: Some(9), millicpus: Some(1500) };
        let group = Group::below(&scratch, Path::new("slice/scope"), &settings(&limits), 7).unwrap();
        assert_eq!(group.path(), slice.join("varve-7"));
        let read = |file: &str| fs::read_to_string(slice.join("varve-7").join(file)).unwrap();
        assert_eq!(read("memory.max"), "1048576");
        assert_eq!((read("cpu.max"), read("pids.max")), ("150000 100000".into(), "10".into()));
    }

    #[test]
    fn a_limit_that_nobody_can_set_is_refused() {
        let scratch = varve_testkit::Scratch::new();
        fs::write(scratch.join("cgroup.controllers"), "").unwrap();
        let limits = Limits { memory: Some(1), ..Limits::default() };
        let refused = Group::below(&scratch, Path::new(""), &settings(&limits), 7).unwrap_err().to_string();
        assert!(refused.contains("memory") && refused.contains("controller"), "{refused}");
    }

    #[test]
    fn the_mount_is_found_beside_those_of_version_1() {
        let table = "30 1 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                     31 1 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(table).as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
    }
}
