//! `varve vm`, as somebody types it, on a tiny guest in QEMU: from run to delete, and killed at random instants.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use varve_system::Installation;
use varve_testkit::{Guest, ProcessGuard, Random, wait_for, wait_until};

/// Emulated machines of a busy host are slow.
const LIMIT: Duration = Duration::from_secs(180);
/// How often saving and starting are killed.
const TIMES: u32 = 12;

/// Machines that are gone when the test is, whatever came of it.
struct Host {
    installation: Installation,
    guest: Guest,
}

impl Host {
    fn new() -> Option<Self> {
        let host = Self { installation: Installation::new(), guest: Guest::find()? };
        let script = "echo USER-DATA=$(strings /dev/vda | grep -o x-[a-z]*)\necho GUEST-READY\n";
        host.guest.initramfs(&host.initramfs(), &["virtio_blk"], script);
        Some(host)
    }

    fn initramfs(&self) -> std::path::PathBuf {
        self.installation.path("initramfs")
    }

    /// The arguments that run a machine, without more options.
    fn run_arguments(&self, name: &str) -> Vec<String> {
        let text = |path: &Path| path.to_str().expect("because scratch paths are text").to_owned();
        let mut arguments =
            ["vm", "run", "--name", name, "--memory", "128M", "--append", "console=ttyS0 quiet"]
                .map(str::to_owned)
                .to_vec();
        arguments.extend(["--kernel".to_owned(), text(self.guest.kernel())]);
        arguments.extend(["--initramfs".to_owned(), text(&self.initramfs())]);
        arguments
    }

    fn state(&self, name: &str) -> String {
        let listed = self.installation.run(&["vm", "list", "--json"]);
        let listed: serde_json::Value = serde_json::from_str(&listed).expect("because it is JSON");
        let machines = listed.as_array().expect("because it is a list");
        let found = machines.iter().find(|machine| machine["name"] == name);
        found.map_or("none", |machine| machine["state"].as_str().unwrap_or("unknown")).to_owned()
    }

    fn wait_for_line(&self, name: &str, line: &str) {
        wait_until(line, LIMIT, || self.installation.run(&["vm", "console", "--log", name]).contains(line));
    }

    /// Types at the console until the answer is there, then leaves by the escape key.
    fn ask(&self, name: &str, typed: &str, answer: &str) {
        let mut command = self.installation.command(&["vm", "console", name]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut console = ProcessGuard::start(&mut command).expect("because the program exists");
        let mut input = console.child().stdin.take().expect("because it is a pipe");
        let mut output = console.child().stdout.take().expect("because it is a pipe");
        input.write_all(typed.as_bytes()).expect("because the console listens");
        let mut seen = Vec::new();
        wait_for(answer, LIMIT, || {
            let mut piece = [0; 4096];
            let count = output.read(&mut piece).expect("because it is a pipe");
            assert!(count > 0, "the console ended: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&piece[..count]);
            String::from_utf8_lossy(&seen).contains(answer).then_some(())
        });
        input.write_all(b"\x1d.").expect("because the console listens");
        let status = console.wait(LIMIT).expect("because it is our child");
        assert!(status.is_some_and(|status| status.success()));
    }

    /// Starts a command and kills it after `wait`, unless it has ended by then; whether it was killed.
    fn kill_after<A: AsRef<std::ffi::OsStr>>(&self, arguments: &[A], wait: Duration) -> bool {
        let mut command = self.installation.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = ProcessGuard::start(&mut command).expect("because the program exists");
        let ended = process.wait(wait).expect("because it is our child");
        process.kill().expect("because it is our child");
        ended.is_none()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let listed = self.installation.call(&["vm", "list", "--json"]).stdout;
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap_or_default();
        for machine in listed.as_array().into_iter().flatten() {
            if let Some(name) = machine["name"].as_str() {
                self.installation.call(&["vm", "delete", "--force", name]);
            }
        }
    }
}

#[test]
fn a_machine_lives_from_run_to_delete() {
    let Some(host) = Host::new() else { return };
    let installation = &host.installation;
    let user_data = installation.path("user-data");
    std::fs::write(&user_data, "#!/bin/sh\necho x-marks\n").expect("because it is writable");
    let mut arguments = host.run_arguments("first");
    arguments.extend(["--user-data".to_owned(), user_data.to_str().expect("because it is text").to_owned()]);
    assert_eq!(installation.run(&arguments), "first\n");
    let again = installation.call(&arguments);
    assert_eq!(again.code, Some(2), "{}", again.stderr);
    assert!(again.stderr.contains("there is a machine first already"), "{}", again.stderr);
    host.wait_for_line("first", "GUEST-READY");
    host.wait_for_line("first", "USER-DATA=x-marks");
    let table = installation.run(&["vm", "list"]);
    assert!(table.lines().nth(1).is_some_and(|line| line.starts_with("first  running")), "{table}");
    host.ask("first", "echo $((6 * 7))x\n", "42x");

    let late = installation.call(&["vm", "stop", "--timeout", "1", "first"]);
    assert_eq!(late.code, Some(5), "this guest has no power button: {}", late.stderr);
    assert!(late.stderr.contains("--force"), "{}", late.stderr);
    installation.run(&["vm", "save", "first"]);
    assert_eq!(host.state("first"), "saved");
    installation.run(&["vm", "start", "first"]);
    installation.run(&["vm", "snapshot", "first", "here"]);
    assert!(installation.run(&["vm", "snapshot", "first"]).contains("here"));
    installation.run(&["vm", "restore", "first", "here"]);
    installation.run(&["vm", "stop", "--force", "first"]);
    assert_eq!(host.state("first"), "stopped");
    installation.run(&["vm", "delete", "first"]);
    assert_eq!(host.state("first"), "none");
    assert_eq!(installation.call(&["vm", "stop", "first"]).code, Some(4));
    assert_eq!(installation.call(&["vm", "stop", "../first"]).code, Some(2));
}

#[test]
fn what_was_in_memory_survives_kills_at_any_instant() {
    let Some(host) = Host::new() else { return };
    let installation = &host.installation;
    installation.run(&host.run_arguments("keeper"));
    host.wait_for_line("keeper", "GUEST-READY");
    host.ask("keeper", "echo kept > /tmp/x; echo done-$((1 + 1))\n", "done-2");
    let begun = Instant::now();
    installation.run(&["vm", "save", "keeper"]);
    let saving = begun.elapsed();
    let begun = Instant::now();
    installation.run(&["vm", "start", "keeper"]);
    let starting = begun.elapsed();
    let mut random = Random::new(7);
    let mut killed = 0;
    for round in 0..TIMES {
        let (verb, usual) = if round % 2 == 0 { ("save", saving) } else { ("start", starting) };
        if (host.state("keeper") == "running") != (verb == "save") {
            continue;
        }
        let wait = usual.mul_f64(random.below(1000) as f64 / 1000.0);
        killed += u32::from(host.kill_after(&["vm", verb, "keeper"], wait));
        let state = host.state("keeper");
        assert!(
            ["running", "paused", "saved"].contains(&state.as_str()),
            "round {round}: {verb} left it {state}"
        );
        if verb == "start" {
            if state != "running" {
                installation.run(&["vm", "start", "keeper"]);
            }
            host.ask("keeper", "echo is-$(cat /tmp/x)\n", "is-kept");
        }
    }
    assert!(killed > TIMES / 4, "only {killed} of {TIMES} were killed in time");
}

#[test]
fn a_killed_run_leaves_a_whole_machine_or_none() {
    let Some(host) = Host::new() else { return };
    let installation = &host.installation;
    let begun = Instant::now();
    installation.run(&host.run_arguments("m"));
    let usual = begun.elapsed();
    installation.run(&["vm", "delete", "--force", "m"]);
    let mut random = Random::new(11);
    for round in 0..TIMES {
        let wait = usual.mul_f64(random.below(1000) as f64 / 1000.0);
        host.kill_after(&host.run_arguments("m"), wait);
        let state = host.state("m");
        assert!(["none", "running", "stopped"].contains(&state.as_str()), "round {round}: {state}");
        if state == "stopped" {
            installation.run(&["vm", "start", "m"]);
        }
        if state != "none" {
            installation.run(&["vm", "delete", "--force", "m"]);
        }
    }
    installation.run(&host.run_arguments("m"));
    let left = std::fs::read_dir(installation.path("home/machines")).expect("because it was made").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).filter(|name| name != ".locks").collect();
    assert_eq!(left, ["m"], "nothing else is left");
}
