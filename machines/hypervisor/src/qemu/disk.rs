//! Disk images, made by QEMU itself without a machine: no other program is needed, and paths are JSON.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::PROGRAM;
use super::monitor::Monitor;
use crate::error::HypervisorError;
use crate::hypervisor::Snapshot;
use crate::image_format::ImageFormat;

/// How long making an image may take; sparse ones take none.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file that a machine reads and nobody may change meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackingImage {
    pub(crate) path: PathBuf,
    pub(crate) format: ImageFormat,
    size: u64,
    modified: Option<Duration>,
}

impl BackingImage {
    /// Looks at an image as it is now.
    pub(crate) fn look(path: &Path, format: ImageFormat) -> Result<Self, HypervisorError> {
        let path = path.canonicalize().map_err(HypervisorError::io("find", path))?;
        if path.to_str().is_none() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "its path is not text");
            return Err(HypervisorError::io("use", &path)(error));
        }
        let metadata = path.metadata().map_err(HypervisorError::io("look at", &path))?;
        let modified = metadata.modified().ok();
        let modified = modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        Ok(Self { size: metadata.len(), modified, path, format })
    }

    /// One of a machine's own, raw, which nobody else changes.
    pub(crate) fn own(path: PathBuf) -> Self {
        Self { path, format: ImageFormat::Raw, size: 0, modified: None }
    }

    /// Whether it is still as it was.
    pub(crate) fn check(&self) -> Result<(), HypervisorError> {
        if Self::look(&self.path, self.format)? == *self {
            return Ok(());
        }
        let changed = io::Error::new(
            io::ErrorKind::InvalidData,
            "it was changed since the machine was made, whose own disk holds only the differences to it",
        );
        Err(HypervisorError::io("use", &self.path)(changed))
    }

    /// How QEMU is told to open it: in this format and no other, and nothing that it refers to.
    pub(crate) fn node(&self) -> Value {
        let file = json!({ "driver": "file", "filename": self.path, "read-only": true });
        let mut node = json!({ "driver": self.format.driver(), "read-only": true, "file": file });
        if self.format == ImageFormat::Qcow2 {
            node["backing"] = Value::Null;
        }
        node
    }
}

/// QEMU without a machine, for work on images.
pub(crate) struct Workbench {
    child: Child,
    monitor: Monitor<Pipes>,
}

struct Pipes {
    output: ChildStdout,
    input: ChildStdin,
}

impl Read for Pipes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.output.read(buffer)
    }
}

impl Write for Pipes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.input.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.flush()
    }
}

impl Workbench {
    /// Starts it for images of the machine `name`.
    pub(crate) fn start(name: &str) -> Result<Self, HypervisorError> {
        // It would not end by itself when this process is killed.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", PROGRAM])
            .args(["-machine", "none", "-nodefaults", "-no-user-config", "-display", "none", "-qmp", "stdio"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(super::missing("setpriv", "util-linux"))?;
        let (Some(output), Some(input)) = (child.stdout.take(), child.stdin.take()) else {
            let error = io::Error::other("it has no pipes");
            return Err(HypervisorError::io("use", Path::new(PROGRAM))(error));
        };
        match Monitor::over(name, Pipes { output, input }) {
            Ok(monitor) => Ok(Self { child, monitor }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// The lasting name of the kind of machine that `alias` means in this QEMU.
    pub(crate) fn machine_type(&mut self, alias: &str) -> Result<String, HypervisorError> {
        let machines = self.monitor.execute("query-machines", &json!({}))?;
        let found =
            machines.as_array().and_then(|machines| machines.iter().find(|kind| kind["alias"] == alias));
        Ok(found.and_then(|kind| kind["name"].as_str()).unwrap_or(alias).to_owned())
    }

    /// Makes an empty qcow2 image.
    pub(crate) fn create(&mut self, path: &Path, size: u64) -> Result<(), HypervisorError> {
        self.make(path, size, &json!({}))
    }

    /// Makes a qcow2 image of the differences to another one, as large as that, and notes in it the other one's `name`.
    pub(crate) fn create_over(
        &mut self,
        path: &Path,
        backing: &BackingImage,
        name: &str,
    ) -> Result<(), HypervisorError> {
        let mut node = backing.node();
        node["node-name"] = "backing".into();
        self.monitor.execute("blockdev-add", &node)?;
        let nodes = self.monitor.execute("query-named-block-nodes", &json!({ "flat": true }))?;
        let found =
            nodes.as_array().and_then(|nodes| nodes.iter().find(|node| node["node-name"] == "backing"));
        let size = found.and_then(|node| node["image"]["virtual-size"].as_u64()).unwrap_or(0);
        self.monitor.execute("blockdev-del", &json!({ "node-name": "backing" }))?;
        let over = json!({ "backing-file": name, "backing-fmt": backing.format.driver() });
        self.make(path, size, &over)
    }

    /// The snapshots in a qcow2 image.
    pub(crate) fn snapshots(&mut self, path: &Path) -> Result<Vec<Snapshot>, HypervisorError> {
        let file = json!({ "driver": "file", "filename": path, "read-only": true, "locking": "off" });
        let node = json!({ "driver": "qcow2", "node-name": "image", "read-only": true, "backing": null, "file": file });
        self.monitor.execute("blockdev-add", &node)?;
        let nodes = self.monitor.execute("query-named-block-nodes", &json!({ "flat": true }))?;
        self.monitor.execute("blockdev-del", &json!({ "node-name": "image" }))?;
        Ok(snapshots_of(&nodes, "image"))
    }

    fn make(&mut self, path: &Path, size: u64, more: &Value) -> Result<(), HypervisorError> {
        let file = json!({ "driver": "file", "filename": path, "size": 0 });
        self.monitor.job("file", "blockdev-create", json!({ "options": file }), PATIENCE)?;
        let node = json!({ "driver": "file", "node-name": "file", "filename": path });
        self.monitor.execute("blockdev-add", &node)?;
        let mut image = json!({ "driver": "qcow2", "file": "file", "size": size.next_multiple_of(512) });
        if let (Some(image), Some(more)) = (image.as_object_mut(), more.as_object()) {
            image.extend(more.clone());
        }
        self.monitor.job("image", "blockdev-create", json!({ "options": image }), PATIENCE)?;
        self.monitor.execute("blockdev-del", &json!({ "node-name": "file" }))?;
        // It is renamed into place together with everything else; by then it must be on the disk.
        std::fs::File::open(path).and_then(|file| file.sync_all()).map_err(HypervisorError::io("sync", path))
    }
}

impl Drop for Workbench {
    fn drop(&mut self) {
        // Its work is done, or given up.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The snapshots that QEMU knows of one of its nodes.
pub(crate) fn snapshots_of(nodes: &Value, node: &str) -> Vec<Snapshot> {
    let nodes = nodes.as_array().map(Vec::as_slice).unwrap_or_default();
    let found = nodes.iter().find(|found| found["node-name"] == node);
    let kept = found.and_then(|node| node["image"]["snapshots"].as_array());
    let mut snapshots: Vec<Snapshot> = kept
        .into_iter()
        .flatten()
        .filter_map(|snapshot| {
            Some(Snapshot {
                name: snapshot["name"].as_str()?.to_owned(),
                created: snapshot["date-sec"].as_i64()?,
                memory: snapshot["vm-state-size"].as_u64(),
            })
        })
        .collect();
    snapshots.sort_by(|a, b| a.name.cmp(&b.name));
    snapshots
}
