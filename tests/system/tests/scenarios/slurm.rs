//! Jobs of a user's in a real Slurm: a batch script, the tasks of a step, a job that is cancelled. The node has no FUSE for users.

use std::process::Command;
use std::time::Duration;

use varve_system::{Sandboxes, User};
use varve_testkit::{Slurm, wait_until};

/// A job of a user without rights, in the directory that the user works in.
fn as_user(slurm: &Slurm, sandboxes: &Sandboxes, arguments: &[&str]) -> String {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args(arguments);
    command.current_dir(sandboxes.work()).env("SLURM_CONF", slurm.configuration());
    for variable in ["VARVE", "VARVE_HOME"] {
        let of_sandboxes = sandboxes.command::<&str>(&[]);
        let value = of_sandboxes.get_envs().find(|(name, _)| *name == variable).and_then(|(_, value)| value);
        command.env(variable, value.expect("because sandboxes set it"));
    }
    let output = command.output().expect("because setpriv is installed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn jobs_run_in_environments_and_end_with_all_that_they_started() {
    let Some(sandboxes) = Sandboxes::new(User::Nobody) else { return };
    let Some(slurm) = Slurm::start() else { return };
    let run = format!(
        "\"$VARVE\" run -q --system {} -r {} --pass 'SLURM_*'",
        Sandboxes::SYSTEM,
        Sandboxes::SOFTWARE
    );
    let look = format!("cat /cvmfs/{}/hello; echo rank $SLURM_PROCID of $SLURM_NTASKS", Sandboxes::SOFTWARE);
    let read = |name: &str| std::fs::read_to_string(sandboxes.work().join(name)).unwrap_or_default();

    let script = format!(
        "--wrap={run} -- sh -c '{}'",
        look.replace("$SLURM_PROCID of $SLURM_NTASKS", "$SLURM_JOB_NAME")
    );
    as_user(&slurm, &sandboxes, &["sbatch", "--wait", "-J", "plots", "-o", "batch.log", &script]);
    assert_eq!(read("batch.log"), "hello\nrank plots\n");

    let command = format!("{run} -- sh -c '{look}'");
    let said = as_user(&slurm, &sandboxes, &["srun", "-n2", "--overcommit", "sh", "-c", &command]);
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["hello", "hello", "rank 0 of 2", "rank 1 of 2"]);

    let script = format!("--wrap={run} -- sh -c 'echo started; exec sleep 1000'");
    let number = as_user(&slurm, &sandboxes, &["sbatch", "--parsable", "-o", "long.log", &script]);
    wait_until("the command of the job", Duration::from_secs(60), || read("long.log").contains("started"));
    as_user(&slurm, &sandboxes, &["scancel", number.trim()]);
    wait_until("the end of all that the job started", Duration::from_secs(60), || {
        ["run", "sandbox-holder", "sandbox-filler", "mount-supervisor", "mount-worker"]
            .iter()
            .all(|word| sandboxes.processes(word).is_empty())
    });
}
