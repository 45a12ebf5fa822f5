//! Where proper answers come from: a directory, or another server behind a proxy.

use std::fs;
use std::io::{self, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::connection::{Request, read_head};

/// Where the bodies come from.
pub(super) enum Origin {
    Directory(PathBuf),
    Below { prefix: String, directory: PathBuf },
    Forward,
}

/// A status and a body.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// The `Content-Range`, of a part.
    pub(super) range: Option<String>,
}

impl Answer {
    pub(super) fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, body, range: None }
    }

    /// The part of it that a request asks for with `Range: bytes=FIRST-LAST`, or all.
    pub(super) fn part_for(self, request: &Request) -> Self {
        let asked = request.header("range").and_then(|range| {
            let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
            Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
        });
        let Some((first, last)) = asked.filter(|_| self.status == 200) else { return self };
        let total = self.body.len();
        let Some(body) = self.body.get(first..(last.saturating_add(1)).min(total)) else {
            return Self::new(416, b"no such range\n".to_vec());
        };
        let range = Some(format!("bytes {first}-{}/{total}", first + body.len() - 1));
        Self { status: 206, body: body.to_vec(), range }
    }
}

impl Origin {
    /// The proper answer to `request` for `path`.
    pub(super) fn answer(&self, request: &Request, path: &str) -> io::Result<Answer> {
        match self {
            Self::Directory(directory) => Ok(file(directory, path)),
            Self::Below { prefix, directory } => Ok(match path.strip_prefix(prefix.as_str()) {
                Some(rest) if rest.starts_with('/') => file(directory, rest),
                _ => not_found(),
            }),
            Self::Forward => forward(request, path),
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
    let mut reader = BufReader::new(stream);
    let Some(head) = read_head(&mut reader)? else {
        return Ok(Answer::new(502, b"no answer\n".to_vec()));
    };
    let status = head.first.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(502);
    let mut body = Vec::new();
    match head.header("content-length").and_then(|length| length.parse::<u64>().ok()) {
        Some(length) => reader.take(length).read_to_end(&mut body)?,
        None => reader.read_to_end(&mut body)?,
    };
    Ok(Answer::new(status, body))
}
