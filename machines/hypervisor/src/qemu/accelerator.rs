//! What executes a machine's instructions: the processor itself through KVM, or QEMU's translator (TCG).
//!
//! That `/dev/kvm` can be opened says little: where KVM is itself inside of a virtual machine, firmware may start under it and
//! kernels hang. So a guest of our own is let run under it: a firmware of 256 bytes that goes through what kernels go through
//! first (protected mode, paging, long mode, SSE, twenty million turns of a loop) and then ends QEMU with a number. It does so
//! in a tenth of a second even in translation; where it doesn't within [`PATIENCE`], KVM is not for use. The verdict is kept
//! beside what it was found with.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::PROGRAM;
use crate::error::HypervisorError;
use crate::hypervisor::{Accelerator, AcceleratorChoice};

/// How long the guest may take.
const PATIENCE: Duration = Duration::from_millis(2500);
/// QEMU's exit code when a guest writes 0x10 to the device `isa-debug-exit`.
const ALIVE: i32 = 0x10 << 1 | 1;
/// The size of the firmware, which ends where the address space ends.
const FIRMWARE_SIZE: usize = 64 * 1024;

/// The last 256 bytes of the firmware; `probe.s` beside this file is what they were assembled from.
const FIRMWARE: &[u8; 256] = include_bytes!("probe.bin");

/// What was found, and with what.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Verdict {
    /// The host's kernel, its processor, QEMU's version.
    found_with: String,
    accelerator: Accelerator,
}

/// Chooses; the verdict of a trial is kept in the directory `cache`.
pub(crate) fn choose(choice: AcceleratorChoice, cache: &Path) -> Result<Accelerator, HypervisorError> {
    if choice == AcceleratorChoice::Tcg {
        return Ok(Accelerator { kvm: false, why: "emulation was asked for".to_owned() });
    }
    let accelerator = match without_trial() {
        Some(why) => Accelerator { kvm: false, why },
        None => tried(cache)?,
    };
    if choice == AcceleratorChoice::Kvm && !accelerator.kvm {
        return Err(HypervisorError::NoAccelerator { why: accelerator.why });
    }
    Ok(accelerator)
}

/// When KVM didn't do for a real machine what it did for the trial. Nothing is kept of it: it may be that machine's own fault.
pub(crate) fn disappointed(why: &str) -> Accelerator {
    Accelerator { kvm: false, why: format!("QEMU failed under KVM: {why}") }
}

/// Why KVM can't be used, as far as that is seen without trying.
fn without_trial() -> Option<String> {
    let device = Path::new("/dev/kvm");
    if !cfg!(target_arch = "x86_64") {
        return Some("this host's processor is not of the machine's kind".to_owned());
    }
    match OpenOptions::new().read(true).write(true).open(device) {
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some("there is no /dev/kvm on this host".to_owned())
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Some("this user may not open /dev/kvm; members of the group kvm may".to_owned())
        }
        Err(error) => Some(format!("/dev/kvm can't be opened ({error})")),
    }
}

fn tried(cache: &Path) -> Result<Accelerator, HypervisorError> {
    let found_with = found_with()?;
    let kept = fs::read(cache.join("accelerator.json")).ok();
    let kept: Option<Verdict> = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(kept) = kept.filter(|kept| kept.found_with == found_with) {
        return Ok(kept.accelerator);
    }
    let accelerator = match trial("kvm", "host")? {
        None => Accelerator { kvm: true, why: "a trial guest came alive under KVM".to_owned() },
        Some(why) => Accelerator { kvm: false, why: format!("a trial guest under KVM {why}") },
    };
    let verdict = Verdict { found_with, accelerator };
    keep(cache, &verdict);
    Ok(verdict.accelerator)
}

/// A verdict that can't be kept is found again next time.
fn keep(cache: &Path, verdict: &Verdict) {
    let kept = || -> io::Result<()> {
        fs::create_dir_all(cache)?;
        let mut file = tempfile::NamedTempFile::new_in(cache)?;
        file.write_all(&serde_json::to_vec_pretty(verdict)?)?;
        file.persist(cache.join("accelerator.json"))?;
        Ok(())
    };
    let _ = kept();
}

/// A verdict holds for one kernel, one processor, one QEMU.
fn found_with() -> Result<String, HypervisorError> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find(|line| line.starts_with("model name")).unwrap_or_default();
    let processor = processor.rsplit(':').next().unwrap_or_default().trim();
    Ok(format!("{}; {processor}; {}", release.trim(), super::version()?))
}

/// Lets the guest run; `None` if it came alive, else what it did instead.
fn trial(accelerator: &str, processor: &str) -> Result<Option<String>, HypervisorError> {
    let failed = || HypervisorError::io("create a file in", Path::new("the directory of temporary files"));
    let mut firmware = tempfile::NamedTempFile::new().map_err(failed())?;
    let mut image = vec![0xf4; FIRMWARE_SIZE - FIRMWARE.len()];
    image.extend_from_slice(FIRMWARE);
    firmware.write_all(&image).map_err(failed())?;
    let mut said = tempfile::tempfile().map_err(failed())?;
    let copy = said.try_clone().map_err(failed())?;
    // It would not end by itself when this process is killed.
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", PROGRAM])
        .args(["-machine", &format!("q35,accel={accelerator}"), "-cpu", processor, "-m", "16M"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-bios"])
        .arg(firmware.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(copy)
        .spawn()
        .map_err(super::missing("setpriv", "util-linux"))?;
    let end = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().map_err(HypervisorError::io("wait for", Path::new(PROGRAM)))? {
            Some(status) => break Some(status),
            None if Instant::now() > end => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    if status.is_some_and(|status| status.code() == Some(ALIVE)) {
        return Ok(None);
    }
    let mut text = String::new();
    // What can't be read is not told.
    let _ = said.rewind().and_then(|()| said.take(2048).read_to_string(&mut text));
    let first =
        text.lines().next().unwrap_or_default().trim_start_matches(PROGRAM).trim_start_matches([':', ' ']);
    let told = if first.is_empty() { String::new() } else { format!(" ({first})") };
    Ok(Some(match status {
        Some(_) => format!("could not be started{told}"),
        None => format!("did not come alive within {} ms{told}", PATIENCE.as_millis()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trial_guest_comes_alive_in_translation() {
        if super::super::version().is_err() {
            println!("skipped: {PROGRAM} is not installed");
            return;
        }
        assert_eq!(trial("tcg", "max").expect("because QEMU is there"), None);
        let dead = trial("tcg", "no-such-processor").expect("because QEMU is there");
        assert!(dead.is_some_and(|why| why.starts_with("could not be started")));
    }

    #[test]
    fn the_trial_guest_is_what_its_source_says() {
        let scratch = varve_testkit::Scratch::new();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/qemu/probe.s");
        let (object, bytes) = (scratch.join("probe.o"), scratch.join("probe.bin"));
        let assembled = Command::new("as").args(["--32", "-o"]).arg(&object).arg(&source).status();
        let copied =
            Command::new("objcopy").args(["-O", "binary", "-j", ".text"]).arg(&object).arg(&bytes).status();
        if !(assembled.is_ok_and(|status| status.success()) && copied.is_ok_and(|status| status.success())) {
            println!("skipped: no assembler for x86");
            return;
        }
        assert!(fs::read(&bytes).expect("because it was written") == FIRMWARE);
    }

    #[test]
    fn a_verdict_is_kept_for_what_it_was_found_with() {
        if super::super::version().is_err() {
            println!("skipped: {PROGRAM} is not installed");
            return;
        }
        let cache = varve_testkit::Scratch::new();
        let accelerator = disappointed("it did");
        let found_with = found_with().expect("because QEMU is there");
        keep(&cache, &Verdict { found_with, accelerator: accelerator.clone() });
        assert_eq!(tried(&cache).expect("because it is kept"), accelerator);
        let other = Verdict { found_with: "another host".to_owned(), accelerator };
        keep(&cache, &other);
        let found = tried(&cache).expect("because QEMU is there");
        assert_ne!(found, other.accelerator);
        assert_eq!(tried(&cache).expect("because it is kept"), found);
    }

    #[test]
    fn emulation_needs_no_trial() {
        let chosen = choose(AcceleratorChoice::Tcg, Path::new("/nowhere"));
        assert!(!chosen.expect("because nothing is tried").kvm);
    }
}
