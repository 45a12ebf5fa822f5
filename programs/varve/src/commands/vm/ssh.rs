//! `varve vm ssh`: ssh into a machine by the port that leads to it.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

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
