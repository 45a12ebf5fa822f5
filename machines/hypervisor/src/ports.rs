//! Ports of this host that lead into a machine: those that were asked for, and free ones for the others.

use std::io;
use std::net::{SocketAddrV4, TcpListener, UdpSocket};

use crate::directory::Run;
use crate::error::HypervisorError;
use crate::hypervisor::ForwardedPort;
use crate::qemu::PROGRAM;
use crate::spec::{PortForward, Protocol};

/// How often other free ports are tried, when somebody else takes them first.
const TRIALS: u32 = 5;

/// The search for a machine's ports.
pub(crate) struct Ports<'a> {
    forwards: &'a [PortForward],
    /// What it had the last time, to have it again.
    last: Vec<ForwardedPort>,
    trials: u32,
}

impl<'a> Ports<'a> {
    pub(crate) fn new(forwards: &'a [PortForward], last: Option<&Run>) -> Self {
        Self { forwards, last: last.map(|run| run.ports.clone()).unwrap_or_default(), trials: 0 }
    }

    /// A port for each.
    ///
    /// # Errors
    /// If one that was asked for is in use.
    pub(crate) fn find(&self, name: &str) -> Result<Vec<ForwardedPort>, HypervisorError> {
        // All are held until all are found, so that none is found twice.
        let mut held = Vec::new();
        let mut ports = Vec::new();
        for (at, forward) in self.forwards.iter().enumerate() {
            let before = self.last.get(at).filter(|last| last.guest == forward.guest).map(|last| last.host);
            let wanted = forward.host.or(before).unwrap_or(0);
            let found = match hold(forward, wanted) {
                Err(_) if forward.host.is_none() => hold(forward, 0),
                found => found,
            };
            let (port, socket) = found.map_err(|source| in_use(name, forward, &source))?;
            held.push(socket);
            let PortForward { address, guest, protocol, .. } = *forward;
            ports.push(ForwardedPort { address, host: port, guest, protocol });
        }
        Ok(ports)
    }

    /// One of them was taken by somebody else before QEMU could have it.
    ///
    /// # Errors
    /// If that happens too often.
    pub(crate) fn taken(&mut self, name: &str) -> Result<(), HypervisorError> {
        self.trials += 1;
        self.last.clear();
        if self.trials < TRIALS {
            return Ok(());
        }
        Err(HypervisorError::Program {
            program: PROGRAM.to_owned(),
            action: "start",
            name: name.to_owned(),
            said: "its ports were taken by others again and again".to_owned(),
        })
    }
}

/// What keeps others from a port.
enum Held {
    Tcp { _listener: TcpListener },
    Udp { _socket: UdpSocket },
}

fn hold(forward: &PortForward, port: u16) -> io::Result<(u16, Held)> {
    let address = SocketAddrV4::new(forward.address, port);
    match forward.protocol {
        Protocol::Tcp => {
            let listener = TcpListener::bind(address)?;
            Ok((listener.local_addr()?.port(), Held::Tcp { _listener: listener }))
        }
        Protocol::Udp => {
            let socket = UdpSocket::bind(address)?;
            Ok((socket.local_addr()?.port(), Held::Udp { _socket: socket }))
        }
    }
}

fn in_use(name: &str, forward: &PortForward, source: &io::Error) -> HypervisorError {
    let port = forward.host.unwrap_or(0);
    let why = match source.kind() {
        io::ErrorKind::AddrInUse => "another program listens there".to_owned(),
        io::ErrorKind::PermissionDenied => "only root may have it".to_owned(),
        _ => source.to_string(),
    };
    let said = format!("port {port} of {} can't be forwarded: {why}", forward.address);
    HypervisorError::Program { program: PROGRAM.to_owned(), action: "start", name: name.to_owned(), said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_stay_and_used_ones_are_told() {
        let forwards = [PortForward::to(22), PortForward::to(80)];
        let first = Ports::new(&forwards, None).find("m").expect("because there are free ports");
        assert_ne!(first[0].host, first[1].host);
        let taken = TcpListener::bind(("127.0.0.1", 0)).expect("because there are free ports");
        let taken = (taken.local_addr().expect("because it is bound").port(), taken);
        let asked = [PortForward { host: Some(taken.0), ..PortForward::to(22) }];
        let error = Ports::new(&asked, None).find("m").expect_err("because it is taken").to_string();
        assert!(error.contains("another program listens there"), "{error}");
    }
}
