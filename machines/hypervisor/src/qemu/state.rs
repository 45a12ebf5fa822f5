//! States of a machine that are kept: its memory when it is saved, memory and disks in snapshots.
//!
//! Saving, killed at any instant:
//!
//! ```text
//!   held ─▶ memory to saved-memory.new, synced ─▶ renamed to saved-memory ─▶ QEMU ends
//! ```
//!
//! and going on from there:
//!
//! ```text
//!   QEMU held, reads saved-memory ─▶ saved-memory removed ─▶ it goes on
//! ```
//!
//! A process that still waits for its memory is ended, and another one reads it. As long as any other process is there, it is
//! what counts, and a file beside it is removed before it goes on: memory is never used a second time with disks that have
//! changed since.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::made::Made;
use super::monitor::Monitor;
use super::{Qemu, process};
use crate::directory::{Home, sync};
use crate::error::HypervisorError;
use crate::spec::SnapshotName;

/// The memory of a machine that is saved.
pub(super) const SAVED: &str = "saved-memory";
/// The same while it is written.
const SAVING: &str = "saved-memory.new";
/// How long a machine's memory may take to be written or read.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks.
const POLL: Duration = Duration::from_millis(20);
/// The job that works on a snapshot.
const JOB: &str = "snapshot";
/// The name under which a file is handed over.
const HANDED: &str = "memory";

type Session = Monitor<std::os::unix::net::UnixStream>;

impl Qemu {
    /// Writes the memory of a running machine to its directory, and ends it.
    pub(super) fn save_memory(&self, home: &Home) -> Result<(), HypervisorError> {
        let mut monitor = self.monitor(home)?;
        monitor.execute("stop", &json!({}))?;
        if let Err(error) = write_memory(&mut monitor, home) {
            // What could be wrong with it now is told by the error that led here.
            let _ = self.go_on(home, &mut monitor);
            return Err(error);
        }
        fs::rename(home.path(SAVING), home.path(SAVED))
            .map_err(HypervisorError::io("keep", &home.path(SAVED)))?;
        sync(home.directory())?;
        self.quit(home, Some(monitor))
    }

    /// Reads the memory of a machine that waits for it, and lets it go on.
    pub(super) fn read_memory(&self, home: &Home) -> Result<(), HypervisorError> {
        let path = home.path(SAVED);
        let file = File::open(&path).map_err(HypervisorError::io("read", &path))?;
        let mut monitor = self.monitor(home)?;
        monitor.hand_over(file.as_fd(), HANDED)?;
        monitor.execute("migrate-incoming", &json!({ "uri": format!("fd:{HANDED}") }))?;
        let end = Instant::now() + PATIENCE;
        loop {
            let status = monitor.execute("query-status", &json!({}))?;
            if status["status"] != "inmigrate" {
                break;
            }
            if Instant::now() > end {
                return Err(late(home, "did not read its memory"));
            }
            std::thread::sleep(POLL);
        }
        self.go_on(home, &mut monitor)
    }

    /// Lets a machine that is held go on, whatever it was held for by somebody who did not see the end of it.
    pub(super) fn go_on(&self, home: &Home, monitor: &mut Session) -> Result<(), HypervisorError> {
        monitor.end_of_job(JOB, "query-jobs", PATIENCE)?;
        monitor.execute("migrate_cancel", &json!({}))?;
        let end = Instant::now() + PATIENCE;
        loop {
            let state = monitor.execute("query-migrate", &json!({}))?;
            if matches!(state["status"].as_str(), None | Some("none" | "completed" | "failed" | "cancelled"))
            {
                break;
            }
            if Instant::now() > end {
                return Err(late(home, "did not stop to write its memory"));
            }
            std::thread::sleep(POLL);
        }
        home.remove(SAVING)?;
        home.remove(SAVED)?;
        monitor.execute("cont", &json!({})).map(drop)
    }

    /// Whether a machine waits for memory that nobody reads for it.
    pub(super) fn waits_for_memory(&self, home: &Home) -> Result<bool, HypervisorError> {
        let status = self.monitor(home)?.execute("query-status", &json!({}))?;
        Ok(status["status"] == "inmigrate")
    }

    /// Keeps memory and disks under a name.
    pub(super) fn keep_snapshot(&self, home: &Home, name: &SnapshotName) -> Result<(), HypervisorError> {
        self.on_snapshot(home, "snapshot-save", name, true)
    }

    /// Goes back to a snapshot. A machine that could not is held, and told so.
    pub(super) fn load_snapshot(&self, home: &Home, name: &SnapshotName) -> Result<(), HypervisorError> {
        let mut monitor = self.monitor(home)?;
        monitor.execute("stop", &json!({}))?;
        drop(monitor);
        self.on_snapshot(home, "snapshot-load", name, true)?;
        self.monitor(home)?.execute("cont", &json!({})).map(drop)
    }

    /// Forgets a snapshot.
    pub(super) fn forget_snapshot(&self, home: &Home, name: &SnapshotName) -> Result<(), HypervisorError> {
        self.on_snapshot(home, "snapshot-delete", name, false)
    }

    fn on_snapshot(
        &self,
        home: &Home,
        command: &str,
        name: &SnapshotName,
        with_memory: bool,
    ) -> Result<(), HypervisorError> {
        if home.spec().disks.iter().any(|disk| !disk.read_only) {
            return Err(HypervisorError::Unsupported {
                back_end: "qemu",
                what: format!(
                    "makes no snapshots of {}, since it writes to a disk that is not its own",
                    home.name()
                ),
            });
        }
        let made = Made::read(home)?;
        let devices: Vec<String> = made.own_images(home).map(|(node, _)| node).collect();
        let mut arguments = json!({ "tag": name.as_str(), "devices": devices });
        if with_memory {
            arguments["vmstate"] = Value::from("memory");
        }
        self.monitor(home)?.job(JOB, command, arguments, PATIENCE)
    }
}

fn write_memory(monitor: &mut Session, home: &Home) -> Result<(), HypervisorError> {
    let path = home.path(SAVING);
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
    let file = file.map_err(HypervisorError::io("write", &path))?;
    monitor.hand_over(file.as_fd(), HANDED)?;
    // Nobody is waiting: as fast as the disk is.
    monitor.execute("migrate-set-parameters", &json!({ "max-bandwidth": i64::MAX }))?;
    monitor.execute("migrate", &json!({ "uri": format!("fd:{HANDED}") }))?;
    let end = Instant::now() + PATIENCE;
    loop {
        let state = monitor.execute("query-migrate", &json!({}))?;
        match state["status"].as_str() {
            Some("completed") => break,
            Some("failed" | "cancelled") => {
                let said = state["error-desc"].as_str().unwrap_or("its memory could not be written");
                return Err(HypervisorError::Monitor {
                    name: home.name().to_string(),
                    command: "migrate".to_owned(),
                    said: said.to_owned(),
                });
            }
            _ if Instant::now() > end => return Err(late(home, "did not write its memory")),
            _ => std::thread::sleep(POLL),
        }
    }
    file.sync_all().map_err(HypervisorError::io("sync", &path))
}

fn late(home: &Home, what: &'static str) -> HypervisorError {
    HypervisorError::Late { name: home.name().to_string(), what, limit: PATIENCE, hint: "" }
}

/// Whether the memory of a machine is kept.
pub(super) fn is_saved(home: &Home) -> bool {
    home.path(SAVED).exists()
}

/// What a machine that doesn't run left behind.
pub(super) fn tidy(home: &Home) -> Result<(), HypervisorError> {
    if process::find(home.directory())?.is_none() { home.remove(SAVING) } else { Ok(()) }
}
