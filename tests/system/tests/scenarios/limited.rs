//! Limits of what a run may use: control groups that are really set, where this machine has any of version 2.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use varve_system::{Sandboxes, User};
use varve_testkit::{ProcessGuard, wait_until};

/// Where groups of version 2 are mounted with all controllers that limits need; else why there are none.
fn groups() -> Result<PathBuf, String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("because /proc is mounted");
    let mounted = table.lines().find(|line| line.contains(" - cgroup2 "));
    let Some(place) = mounted.and_then(|line| line.split(' ').nth(4)) else {
        return Err("no control groups of version 2 are mounted".to_owned());
    };
    let place = PathBuf::from(place);
    let known = fs::read_to_string(place.join("cgroup.controllers")).unwrap_or_default();
    if !["cpu", "memory", "pids"].iter().all(|needed| known.split_whitespace().any(|one| one == *needed)) {
        return Err(format!(
            "of the controllers, version 2 of the control groups has only '{}'",
            known.trim()
        ));
    }
    let trial = place.join(format!("varve-test-{}", std::process::id()));
    if let Err(error) = fs::create_dir(&trial).and_then(|()| fs::remove_dir(&trial)) {
        return Err(format!("no control group can be made: {error}"));
    }
    Ok(place)
}

/// Groups of runs below a place.
fn of_runs(place: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(of_runs(&path));
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("varve-"));
            found.extend(number.filter(|number| number.parse::<u32>().is_ok()).map(|_| path));
        }
    }
    found
}

#[test]
fn memory_processors_and_processes_are_limited() {
    let place = match groups() {
        Ok(place) => place,
        Err(why) => {
            println!("skipped: {why}");
            return;
        }
    };
    let Some(sandboxes) = Sandboxes::new(User::Root) else { return };
    let before = of_runs(&place);
    // A process that takes more is killed, and nobody else.
    let greedy = "head -c 300m /dev/zero | tail -c 300m > /dev/null; echo survived; dd if=/dev/zero of=/dev/null bs=300M count=1";
    let limited = sandboxes.call(&sandboxes.arguments(&["--memory", "64MiB"], greedy));
    assert!(limited.stdout.contains("survived"), "{}{}", limited.stdout, limited.stderr);
    assert_ne!(limited.code, Some(0), "{}", limited.stderr);
    let many = "n=0; while test $n -lt 40; do sleep 3 & n=$((n + 1)); done; wait; echo all";
    let limited = sandboxes.call(&sandboxes.arguments(&["--processes", "20"], many));
    assert!(!limited.stdout.contains("all"), "{}{}", limited.stdout, limited.stderr);
    assert!(sandboxes.inside(&["--processes", "60"], many).contains("all"));

    let options = ["--cpus", "0.25", "--memory", "1GiB", "--processes", "9"];
    let mut command = sandboxes.command(&sandboxes.arguments(&options, "exec sleep 1000"));
    let mut running = ProcessGuard::start(command.stdout(Stdio::null())).expect("because the program exists");
    let mut made = vec![];
    wait_until("a control group with processes", Duration::from_secs(30), || {
        made = of_runs(&place);
        made.retain(|group| !before.contains(group));
        made.iter()
            .any(|group| fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|text| !text.is_empty()))
    });
    let read = |file: &str| fs::read_to_string(made[0].join(file)).expect("because the limit is set");
    assert_eq!(read("cpu.max"), "25000 100000\n");
    assert_eq!((read("memory.max"), read("pids.max")), ("1073741824\n".into(), "10\n".into()));
    // Killed at any moment, nothing of it is left.
    running.kill().expect("because it runs");
    sandboxes.wait_for_nothing();
    wait_until("the end of the control group", Duration::from_secs(30), || !made[0].exists());
    assert_eq!(of_runs(&place), before);
}
