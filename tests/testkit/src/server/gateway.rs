//! A reverse proxy: passes requests with their bodies on to one server, and its answers back.

use std::collections::HashSet;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::connection::Request;
use super::origin::{Answer, read_answer};

/// Headers of a connection, not of what goes over it.
const OF_CONNECTIONS: [&str; 4] = ["connection", "content-length", "transfer-encoding", "keep-alive"];

/// The way to a server.
pub(super) struct Gateway {
    address: SocketAddr,
    /// The paths that were stored, if conditional writes are to be refused for them.
    stored: Option<Mutex<HashSet<String>>>,
}

impl Gateway {
    pub(super) fn new(address: SocketAddr, conditional_writes: bool) -> Self {
        Self { address, stored: conditional_writes.then(Mutex::default) }
    }

    /// The server's answer, or that of a gateway which can't reach it.
    pub(super) fn answer(&self, request: &Request, body: &[u8], path: &str) -> io::Result<Answer> {
        if request.header("if-none-match") == Some("*") && self.with_stored(|stored| stored.contains(path)) {
            return Ok(Answer::new(412, b"<Error><Code>PreconditionFailed</Code></Error>".to_vec()));
        }
        let answer = self.pass_on(request, body, path)?;
        if answer.status == 200 {
            self.with_stored(|stored| match request.method.as_str() {
                "PUT" | "GET" | "HEAD" => stored.insert(path.to_owned()),
                _ => false,
            });
        }
        if request.method == "DELETE" {
            self.with_stored(|stored| stored.remove(path));
        }
        Ok(answer)
    }

    fn with_stored(&self, look: impl FnOnce(&mut HashSet<String>) -> bool) -> bool {
        let stored = self.stored.as_ref();
        stored.is_some_and(|stored| look(&mut stored.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn pass_on(&self, request: &Request, body: &[u8], path: &str) -> io::Result<Answer> {
        let unreachable = || Answer::new(502, b"the server can't be reached\n".to_vec());
        let Ok(mut stream) = TcpStream::connect(self.address) else { return Ok(unreachable()) };
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        // In the older version the body ends with the connection, and never comes in chunks.
        let mut head = format!("{} {path} HTTP/1.0\r\n", request.method);
        for (name, value) in request.headers.iter().filter(|(name, _)| name != "connection") {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let Some((head, body)) = read_answer(stream)? else { return Ok(unreachable()) };
        let length = head.header("content-length").and_then(|length| length.parse().ok());
        let headers = head.headers.iter().filter(|(name, _)| !OF_CONNECTIONS.contains(&name.as_str()));
        Ok(Answer {
            status: head.status(),
            body,
            headers: headers.cloned().collect(),
            length: length.filter(|_| request.method == "HEAD"),
        })
    }
}
