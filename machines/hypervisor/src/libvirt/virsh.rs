//! Calls of `virsh`, libvirt's own client: in English, with a limit, its words bounded.

use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::HypervisorError;
use crate::qemu;

/// The program.
pub(super) const PROGRAM: &str = "virsh";
/// What brings it on Debian.
const PACKAGE: &str = "libvirt-clients";
/// The longest that any call takes: it may write the memory of a machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// The most that is read of what it prints.
const MOST: u64 = 1 << 20;

/// Which libvirt is called; `None` for the one that virsh chooses.
#[derive(Clone, Debug, Default)]
pub(super) struct Virsh {
    pub(super) uri: Option<String>,
}

impl Virsh {
    /// Calls it, and returns what it printed.
    ///
    /// # Errors
    /// [`HypervisorError::Program`] with what it said; `action` as in "could not `action` machine".
    pub(super) fn call(
        &self,
        action: &'static str,
        name: &str,
        words: &[&str],
    ) -> Result<String, HypervisorError> {
        let failed = || HypervisorError::io("run", Path::new(PROGRAM));
        let (mut out, mut said) =
            (tempfile::tempfile().map_err(failed())?, tempfile::tempfile().map_err(failed())?);
        let mut command = Command::new(PROGRAM);
        if let Some(uri) = &self.uri {
            command.args(["--connect", uri]);
        }
        let mut child = command
            .arg("--quiet")
            .args(words)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(out.try_clone().map_err(failed())?)
            .stderr(said.try_clone().map_err(failed())?)
            .spawn()
            .map_err(qemu::missing(PROGRAM, PACKAGE))?;
        let end = Instant::now() + PATIENCE;
        let status = loop {
            match child.try_wait().map_err(failed())? {
                Some(status) => break status,
                None if Instant::now() > end => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(HypervisorError::Late {
                        name: name.to_owned(),
                        what: "was not answered for by libvirt",
                        limit: PATIENCE,
                        hint: "",
                    });
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let read = |file: &mut std::fs::File| {
            let mut bytes = Vec::new();
            file.rewind().and_then(|()| file.take(MOST).read_to_end(&mut bytes)).map_err(failed())?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        if status.success() {
            return read(&mut out);
        }
        let said = read(&mut said)?;
        let lines: Vec<&str> = said
            .lines()
            .map(|line| line.trim_start_matches("error: ").trim())
            .filter(|line| !line.is_empty())
            .collect();
        Err(HypervisorError::Program {
            program: PROGRAM.to_owned(),
            action,
            name: name.to_owned(),
            said: lines.join("; "),
        })
    }
}
