//! `varve vm ssh`: ssh into a machine by the port that leads to it.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use varve_hypervisor::{MachineName, PowerState, Protocol};

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Log in to a machine with ssh, or run a command in it
#[derive(Args, Debug)]
#[command(
    after_help = "The machine's key is learnt at the first time and kept with the machine, apart from ~/.ssh/known_hosts.\n\n\
                  Examples:\n  varve vm ssh debian@web\n  varve vm ssh root@web -- uname -a"
)]
pub(crate) struct Ssh {
    /// The machine, perhaps with the user to log in as
    #[arg(value_name = "[USER@]NAME")]
    target: String,
    /// A private key
    #[arg(short, long, value_name = "FILE")]
    identity: Option<OsString>,
    /// Wait this long until the machine lets people in, such as right after its start
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
    /// A command to run instead of a shell, and options of ssh in front of it
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Ssh {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let (user, name) = match self.target.rsplit_once('@') {
            Some((user, name)) => (Some(user), name),
            None => (None, self.target.as_str()),
        };
        if user.is_some_and(|user| user.is_empty() || user.starts_with('-')) {
            return Err(Failure::usage(format!("'{}' names no user", self.target)));
        }
        let name: MachineName = name.parse().map_err(Failure::usage_error)?;
        let status = super::machines(invocation)?.status(&name)?;
        if status.inspection.state != PowerState::Running {
            let message = format!("machine {name} is {}", status.inspection.state);
            return Err(Failure::usage(message).hint("let it run with `varve vm start`"));
        }
        let mut ports = status.inspection.ports.iter();
        let port =
            ports.find(|port| port.guest == 22 && port.protocol == Protocol::Tcp).ok_or_else(|| {
                Failure::new(
                    ExitCode::NotFound,
                    format!("no port of this host leads to port 22 of machine {name}"),
                )
            })?;
        let address =
            if port.address.is_unspecified() { "127.0.0.1".into() } else { port.address.to_string() };
        if self.wait > 0 && !answers(&address, port.host, Duration::from_secs(self.wait)) {
            let message = format!("machine {name} lets nobody in by ssh after {} s", self.wait);
            return Err(Failure::new(ExitCode::Transport, message)
                .hint(format!("see what it says with `varve vm console --log {name}`")));
        }
        let mut command = Command::new("ssh");
        let known = status.home.path("known_hosts");
        command.arg("-p").arg(port.host.to_string());
        command.arg("-o").arg("StrictHostKeyChecking=accept-new");
        command.arg("-o").arg(format!("HostKeyAlias={name}"));
        let mut option = OsString::from("UserKnownHostsFile=\"");
        option.push(&known);
        option.push("\"");
        command.arg("-o").arg(option);
        if let Some(identity) = &self.identity {
            command.arg("-i").arg(identity);
        }
        if let Some(user) = user {
            command.arg("-l").arg(user);
        }
        let error = command.arg(address).args(&self.command).exec();
        if error.kind() == io::ErrorKind::NotFound {
            return Err(Failure::new(ExitCode::Failure, "ssh is not installed")
                .hint("install it; on Debian: apt install openssh-client"));
        }
        Err(Failure::io("run", "ssh".as_ref(), error))
    }
}

/// Waits until a server of ssh says its name at this port.
fn answers(address: &str, port: u16, patience: Duration) -> bool {
    /// What the name begins with.
    const GREETING: [u8; 4] = *b"SSH-";
    const ATTEMPT: Duration = Duration::from_secs(5);
    const PAUSE: Duration = Duration::from_millis(500);
    let start = Instant::now();
    loop {
        // The port is this host's, and is open before anybody listens in the machine.
        let greeted = TcpStream::connect((address, port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(ATTEMPT))?;
            let mut greeting = [0; GREETING.len()];
            stream.read_exact(&mut greeting)?;
            Ok(greeting == GREETING)
        });
        if greeted.unwrap_or(false) {
            return true;
        }
        if start.elapsed() >= patience {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
}
