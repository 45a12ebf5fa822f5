//! kill -9 of every process that a run consists of: nothing is left, and the next run works.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use varve_system::{Sandboxes, User};
use varve_testkit::{ProcessGuard, wait_until};

/// Starts a run that waits, and returns once it does.
fn start(sandboxes: &Sandboxes) -> ProcessGuard {
    let ready = sandboxes.work().join("ready");
    let _ = std::fs::remove_file(&ready);
    let script = "touch ready; while :; do sleep 0.1; cat /cvmfs/*/hello > read || exit 9; done";
    let mut command = sandboxes.command(&sandboxes.arguments(&[], script));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let run = ProcessGuard::start(&mut command).expect("because the program exists");
    wait_until("the command", Duration::from_secs(30), || ready.exists());
    run
}

fn kill(process: i32) {
    let process = Pid::from_raw(process).expect("because numbers of processes are positive");
    kill_process(process, Signal::KILL).expect("because it runs");
}

fn each(scenario: impl Fn(&Sandboxes)) {
    for user in [User::Root, User::Nobody] {
        let Some(sandboxes) = Sandboxes::new(user) else { return };
        scenario(&sandboxes);
        sandboxes.wait_for_nothing();
        assert_eq!(sandboxes.inside(&[], "echo again"), "again\n");
        sandboxes.wait_for_nothing();
    }
}

#[test]
fn the_command_ends_with_the_program() {
    each(|sandboxes| {
        let mut run = start(sandboxes);
        run.kill().expect("because it is our child");
    });
}

#[test]
fn the_program_ends_with_the_first_process_inside() {
    each(|sandboxes| {
        let mut run = start(sandboxes);
        let outside = i32::try_from(run.id()).expect("because numbers of processes are small");
        let inside = sandboxes.processes("run").into_iter().filter(|process| *process != outside);
        inside.for_each(kill);
        let ended = run.wait(Duration::from_secs(30)).expect("because it is our child");
        assert_eq!(ended.and_then(|status| status.code()), Some(128 + 9));
    });
}

#[test]
fn runs_end_with_the_holder() {
    each(|sandboxes| {
        let mut run = start(sandboxes);
        sandboxes.processes("sandbox-holder").into_iter().for_each(kill);
        let ended = run.wait(Duration::from_secs(30)).expect("because it is our child");
        assert_eq!(ended.and_then(|status| status.code()), Some(125));
    });
}

#[test]
fn a_mounts_processes_are_replaced() {
    each(|sandboxes| {
        let mut run = start(sandboxes);
        for part in ["mount-worker", "mount-supervisor"] {
            let killed = sandboxes.processes(part);
            assert_eq!(killed.len(), 2);
            killed.iter().copied().for_each(kill);
            wait_until("the replacement", Duration::from_secs(30), || {
                let now = sandboxes.processes(part);
                now.len() == 2 && now.iter().all(|process| !killed.contains(process))
            });
            // A worker that is killed together with its supervisor has nobody to go on: both are at work again first.
            for _ in 0..2 {
                let read = sandboxes.work().join("read");
                let _ = std::fs::remove_file(&read);
                wait_until("the next read", Duration::from_secs(30), || {
                    std::fs::read_to_string(&read).is_ok_and(|text| text == "hello\n")
                });
            }
        }
        assert!(run.wait(Duration::ZERO).expect("because it is our child").is_none());
        run.kill().expect("because it is our child");
    });
}
