//! Where proper answers come from: a directory, or another server behind a proxy or a gateway.

use std::fs;
use std::io::{self, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::connection::{Head, Request, read_head};
use super::gateway::Gateway;

/// Where the bodies come from.
pub(super) enum Origin {
    Directory(PathBuf),
    Below { prefix: String, directory: PathBuf },
    Forward,
    Gateway(Gateway),
}

/// A status, headers and a body.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// Names and values, without the body's length.
    pub(super) headers: Vec<(String, String)>,
    /// The length that a body would have which isn't there, of an answer to HEAD.
    pub(super) length: Option<u64>,
}

impl Answer {
    pub(super) fn new(status: u16, body: Vec<u8>) -> Self {
        let kind = ("Content-Type".to_owned(), "application/octet-stream".to_owned());
        Self { status, body, headers: vec![kind], length: None }
    }

    /// The part of it that a request asks for with `Range: bytes=FIRST-LAST`, or all.
    pub(super) fn part_for(self, request: &Request) -> Self {
        if self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-range")) {
            return self;
        }
        let asked = request.header("range").and_then(|range| {
            let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
            Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
        });
        let Some((first, last)) = asked.filter(|_| self.status == 200) else { return self };
        let total = self.body.len();
        let Some(body) = self.body.get(first..(last.saturating_add(1)).min(total)) else {
            return Self::new(416, b"no such range\n".to_vec());
        };
        let range = format!("bytes {first}-{}/{total}", first + body.len() - 1);
        let mut headers = self.headers.clone();
        headers.push(("Content-Range".to_owned(), range));
        Self { status: 206, body: body.to_vec(), headers, length: None }
    }
}

impl Origin {
    /// The proper answer to `request`, which came with `body`, for `path`.
    pub(super) fn answer(&self, request: &Request, body: &[u8], path: &str) -> io::Result<Answer> {
        match self {
            Self::Directory(directory) => Ok(file(directory, path)),
            Self::Below { prefix, directory } => Ok(match path.strip_prefix(prefix.as_str()) {
                Some(rest) if rest.starts_with('/') => file(directory, rest),
                _ => not_found(),
            }),
            Self::Forward => forward(request, path),
            Self::Gateway(gateway) => gateway.answer(request, body, path),
        }
    }
}

fn not_found() -> Answer {
    Answer::new(404, b"not found\n".to_vec())
}

fn file(directory: &Path, path: &str) -> Answer {
    let path = Path::new(path.trim_start_matches('/'));
    if !path.components().all(|component| matches!(component, Component::Normal(_))) {
        return not_found();
    }
    fs::read(directory.join(path)).map_or_else(|_| not_found(), |body| Answer::new(200, body))
}

/// One request to the server that `address` (`http://host:port/path`) names, on a connection of its own.
fn forward(request: &Request, address: &str) -> io::Result<Answer> {
    let Some((host, path)) = address.strip_prefix("http://").and_then(|rest| rest.split_once('/')) else {
        return Ok(Answer::new(400, b"not an absolute address\n".to_vec()));
    };
    let Ok(mut stream) = TcpStream::connect(host) else {
        return Ok(Answer::new(502, b"cannot connect\n".to_vec()));
    };
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(stream, "{} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", request.method)?;
    match read_answer(stream)? {
        Some((head, body)) => Ok(Answer::new(head.status(), body)),
        None => Ok(Answer::new(502, b"no answer\n".to_vec())),
    }
}

/// The answer that comes on a connection which carries no other.
pub(super) fn read_answer(stream: TcpStream) -> io::Result<Option<(Head, Vec<u8>)>> {
    let mut reader = BufReader::new(stream);
    let Some(head) = read_head(&mut reader)? else { return Ok(None) };
    let mut body = Vec::new();
    match head.header("content-length").and_then(|length| length.parse::<u64>().ok()) {
        Some(length) => reader.take(length).read_to_end(&mut body)?,
        None => reader.read_to_end(&mut body)?,
    };
    Ok(Some((head, body)))
}
