//! `varve run --vm`: what a command reads and writes, how it ends and what is left of it, in a machine as in a sandbox. As root and
//! as a user without any rights.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use varve_system::{Equipment, Sandboxes, User, programs_are_missing};
use varve_testkit::{ProcessGuard, wait_until};

/// Emulated machines of a busy host are slow.
const LIMIT: Duration = Duration::from_secs(300);
/// Reads, writes to every place that there is, and ends with a code of its own.
const SCRIPT: &str = "cat /etc/os-release /cvmfs/software.lab.example/hello outside; id; pwd; echo \"$A$VARVE_HOME\"; \
    cat > /tmp/input; md5sum < /tmp/input; cat /tmp/input; \
    echo made > 'a file'; mkdir sub; mv 'a file' sub; echo more >> /etc/os-release; rm /bin/rev; \
    touch /cvmfs/software.lab.example/no 2> /dev/null; echo $?; uname -r >&2; exit 7";

/// For both kinds of users; the second part are the options of a run in a machine.
fn each(scenario: impl Fn(&Sandboxes, &str)) {
    let Some(equipment) = Equipment::find() else { return };
    for user in [User::Root, User::Nobody] {
        let Some(sandboxes) = Sandboxes::new(user) else { return };
        let [kernel, guest] = equipment.copy_to(sandboxes.own().parent().unwrap());
        let options = format!(
            "--vm --accelerator tcg --memory 512MiB --kernel {} --guest {}",
            kernel.display(),
            guest.display()
        );
        scenario(&sandboxes, &options);
    }
}

/// Processes with this text in their command line.
fn processes(text: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_it = |directory: &Path| {
        fs::read(directory.join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(text))
    };
    entries
        .filter(|entry| is_it(&entry.path()))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

#[test]
fn a_machine_runs_a_command_as_a_sandbox_does() {
    if programs_are_missing(&["tar"]) {
        return;
    }
    each(|sandboxes, machine| {
        let work = sandboxes.work();
        let bytes: Vec<u8> =
            (0..2_000_003u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 9) as u8).collect();
        fs::write(work.join("input"), bytes).unwrap();
        fs::write(work.join("outside"), "outside\n").unwrap();
        let ran = |options: &str, name: &str| {
            let _ = fs::remove_dir_all(work.join("sub"));
            let script = format!(
                "\"$VARVE\" run {options} --system system.lab.example -r software.lab.example --set A=1 \
                 --collect {name}.tar -- sh -c \"$SCRIPT\" < input > {name}.out 2> {name}.err"
            );
            let mut command = sandboxes.script(&script);
            let status = command.env("SCRIPT", SCRIPT).status().unwrap();
            let errors = fs::read_to_string(work.join(format!("{name}.err"))).unwrap();
            assert_eq!(status.code(), Some(7), "{errors}");
            assert_eq!(fs::read_to_string(work.join("sub/a file")).unwrap(), "made\n");
            let archive = work.join(format!("{name}.tar"));
            let listed = Command::new("tar").arg("tf").arg(archive).output().unwrap();
            (fs::read(work.join(format!("{name}.out"))).unwrap(), errors, listed.stdout)
        };
        let (in_sandbox, in_machine) = (ran("", "sandbox"), ran(machine, "machine"));
        let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
        assert!(in_machine.0 == in_sandbox.0, "{}\n{}", shown(&in_machine.0), shown(&in_sandbox.0));
        assert!(in_machine.1.contains("-cloud-amd64\n") && !in_sandbox.1.contains("-cloud-amd64"));
        assert_eq!(shown(&in_machine.2), shown(&in_sandbox.2));
        assert!(shown(&in_machine.2).contains(".wh.rev"), "{}", shown(&in_machine.2));
    });
}

#[test]
fn signals_reach_a_machine_and_nothing_is_left_of_a_killed_one() {
    each(|sandboxes, machine| {
        let home = sandboxes.own().join("home").display().to_string();
        let script = format!(
            "exec \"$VARVE\" run {machine} --no-network --system system.lab.example -- sh -c \"$SCRIPT\" > said 2>&1"
        );
        let inside = "trap 'echo got' TERM; ls /sys/class/net; echo ready; while :; do sleep 1; done";
        let mut command = sandboxes.script(&script);
        command.env("SCRIPT", inside).stdout(Stdio::null());
        let mut process = ProcessGuard::start(&mut command).unwrap();
        let said = || fs::read_to_string(sandboxes.work().join("said")).unwrap_or_default();
        wait_until("the command", LIMIT, || {
            assert!(process.wait(Duration::ZERO).unwrap().is_none(), "{}", said());
            said().ends_with("ready\n")
        });
        assert_eq!(said(), "lo\nready\n");
        // The shells around it have become the program.
        let program = Pid::from_raw(process.child().id() as i32).unwrap();
        kill_process(program, Signal::TERM).unwrap();
        wait_until("the signal", LIMIT, || said().contains("got\n"));
        assert!(
            !processes(&format!("{home}/cache")).is_empty(),
            "the machine's command line names its kernel"
        );
        process.kill().unwrap();
        wait_until("the end of the machine", LIMIT, || processes(&format!("{home}/cache")).is_empty());
        let left: Vec<_> = fs::read_dir(format!("{home}/cache/vm/boot")).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    });
}
