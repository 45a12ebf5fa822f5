//! A network namespace without a name: threads and child processes enter it, and it ends with its last holder.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::system;

const DEVICE: &str = "varve0";

/// One side of a [`super::Link`].
pub struct Namespace {
    file: File,
    address: Ipv4Addr,
}

impl Namespace {
    /// A new namespace with a TUN device that has the address, and a loopback device; both are up.
    pub(super) fn with_device(address: Ipv4Addr) -> io::Result<(Self, File)> {
        let (file, device) = on_new_thread(|| {
            system::new_namespace()?;
            Ok::<_, io::Error>((File::open("/proc/thread-self/ns/net")?, system::tun_device(DEVICE)?))
        })?;
        let namespace = Self { file, address };
        namespace.ip(&["link", "set", "lo", "up"])?;
        namespace.ip(&["address", "add", &format!("{address}/24"), "dev", DEVICE])?;
        namespace.ip(&["link", "set", DEVICE, "up"])?;
        Ok((namespace, device))
    }

    /// The address of this side, which the other side reaches over the link.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A path to the namespace for `nsenter --net=…`, as long as this lives.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }

    /// Starts a command in the namespace. Everything but the network is as here.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(&self, command: &mut Command) -> io::Result<Child> {
        self.enter(|| command.spawn())?
    }

    /// Runs `action` on a thread in the namespace: sockets that it makes belong to it wherever they go.
    ///
    /// # Errors
    /// If the namespace can't be entered.
    pub fn enter<T: Send>(&self, action: impl FnOnce() -> T + Send) -> io::Result<T> {
        on_new_thread(|| {
            move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(action())
        })
    }

    fn ip(&self, arguments: &[&str]) -> io::Result<()> {
        let mut command = Command::new("ip");
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let output = self.start(&mut command)?.wait_with_output()?;
        if output.status.success() {
            return Ok(());
        }
        let reason = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(format!("ip {}: {}", arguments.join(" "), reason.trim())))
    }
}

fn on_new_thread<T: Send>(action: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let result = scope.spawn(action).join();
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
