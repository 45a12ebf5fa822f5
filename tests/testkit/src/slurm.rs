//! A real cluster of Slurm with one node, this machine, where Slurm is installed: own configuration, keys, ports, state.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{ProcessGuard, Scratch, wait_until};

const PROGRAMS: [&str; 3] = ["/usr/sbin/munged", "/usr/sbin/slurmctld", "/usr/sbin/slurmd"];

const LONG: Duration = Duration::from_secs(60);

/// A running cluster.
pub struct Slurm {
    // In the order in which they end.
    _node: ProcessGuard,
    _controller: ProcessGuard,
    _authentication: ProcessGuard,
    scratch: Scratch,
}

impl Slurm {
    /// Starts one. `None`, and a word why, where it isn't installed or this isn't root, who starts jobs of users.
    ///
    /// # Panics
    /// If its node doesn't become idle.
    pub fn start() -> Option<Self> {
        if let Some(program) = PROGRAMS.iter().find(|program| !Path::new(program).exists()) {
            assert!(std::env::var_os("CI").is_none(), "CI must have {program}");
            println!("skipped: {program} is not installed");
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can start jobs of users");
            return None;
        }
        let scratch = Scratch::new();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).expect("because it is ours");
        let _authentication = authentication(&scratch);
        fs::write(scratch.join("slurm.conf"), configuration(&scratch)).expect("because it is ours");
        let _controller = daemon(&scratch, "/usr/sbin/slurmctld", &["-D", "-c"]);
        let _node = daemon(&scratch, "/usr/sbin/slurmd", &["-D", "-N", "node"]);
        let slurm = Self { _node, _controller, _authentication, scratch };
        wait_until("an idle node", LONG, || {
            let shown = slurm.command("sinfo").args(["-h", "-o", "%T"]).output();
            shown.is_ok_and(|shown| shown.stdout.trim_ascii() == b"idle")
        });
        Some(slurm)
    }

    /// One of its programs, such as `sbatch`, for this cluster.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.scratch.join("slurm.conf")).stdin(Stdio::null());
        command
    }

    /// Its configuration, for commands that are started otherwise.
    pub fn configuration(&self) -> std::path::PathBuf {
        self.scratch.join("slurm.conf")
    }
}

fn authentication(scratch: &Scratch) -> ProcessGuard {
    let directory = scratch.directory("munge");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).expect("because it is ours");
    let mut key = [0; 1024];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut key)).expect("Linux has it");
    fs::write(directory.join("key"), key).expect("because it is ours");
    fs::set_permissions(directory.join("key"), fs::Permissions::from_mode(0o400))
        .expect("because it is ours");
    let at = |option: &str, name: &str| format!("--{option}={}", directory.join(name).display());
    let options = [
        at("key-file", "key"),
        at("socket", "socket"),
        at("pid-file", "pid"),
        at("log-file", "log"),
        at("seed-file", "seed"),
    ];
    let options: Vec<&str> =
        ["--foreground", "--force"].into_iter().chain(options.iter().map(String::as_str)).collect();
    let daemon = daemon(scratch, "/usr/sbin/munged", &options);
    wait_until("munge", LONG, || directory.join("socket").exists());
    daemon
}

fn configuration(scratch: &Scratch) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host = host.split('.').next().unwrap_or_default();
    let [controller, node] = free_ports();
    let at = |name: &str| scratch.directory(name).display().to_string();
    format!(
        "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={controller}\nSlurmdPort={node}\n\
         SlurmUser=root\nAuthType=auth/munge\nAuthInfo=socket={munge}/socket\n\
         StateSaveLocation={state}\nSlurmdSpoolDir={spool}\n\
         SlurmctldPidFile={state}/controller.pid\nSlurmdPidFile={state}/node.pid\n\
         ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nMpiDefault=none\n\
         SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nKillWait=5\n\
         NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs=1 State=UNKNOWN\n\
         PartitionName=main Nodes=node Default=YES OverSubscribe=FORCE:2 State=UP\n",
        munge = at("munge"),
        state = at("state"),
        spool = at("spool"),
    )
}

fn free_ports() -> [u16; 2] {
    let listeners =
        [0; 2].map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("because there are ports"));
    listeners.map(|listener| listener.local_addr().expect("because it listens").port())
}

fn daemon(scratch: &Scratch, program: &str, arguments: &[&str]) -> ProcessGuard {
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let log = || File::create(scratch.join(format!("{name}.log"))).expect("because it is ours");
    let mut command = Command::new(program);
    command.args(arguments).env("SLURM_CONF", scratch.join("slurm.conf"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log());
    ProcessGuard::start(&mut command).expect("because it is installed")
}
