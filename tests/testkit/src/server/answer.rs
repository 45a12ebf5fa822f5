//! Writes one answer, proper or faulty.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::thread::sleep;

use super::connection::Request;
use super::{Fault, State};

const HTML: &[u8] = b"<!DOCTYPE html><html><body><h1>Please sign in to the network</h1></body></html>\n";

/// Answers; whether the connection may be used again.
pub(super) fn answer(
    mut stream: &TcpStream,
    state: &State,
    request: &Request,
    fault: Option<Fault>,
) -> io::Result<bool> {
    let proper = |path: &str| state.origin.answer(request, path);
    let send = |status: u16, body: &[u8]| whole(stream, request, status, body);
    let Some(fault) = fault else {
        let answer = proper(&request.path)?;
        return send(answer.status, &answer.body);
    };
    match fault {
        Fault::Delay(pause) => sleep(pause),
        Fault::StallBeforeHeaders => state.stall(),
        Fault::Swap(path) => {
            let answer = proper(&path)?;
            return send(answer.status, &answer.body);
        }
        Fault::Content(body) => return send(200, &body),
        Fault::Html => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n",
                HTML.len()
            )?;
            stream.write_all(HTML)?;
            return Ok(true);
        }
        Fault::Status(status) => return send(status, b"this is an error\n"),
        Fault::Close => return Ok(false),
        Fault::Garbage => {
            stream.write_all(&[0xff; 64])?;
            return Ok(false);
        }
        Fault::RedirectLoop => {
            let host = request.header("host").unwrap_or_default();
            let target = if request.path.starts_with('/') {
                format!("http://{host}{}", request.path)
            } else {
                request.path.clone()
            };
            return redirect(stream, &target);
        }
        Fault::Redirect(target) => return redirect(stream, &target),
        Fault::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            let block = [b'x'; 64 << 10];
            while !state.stopped() {
                stream.write_all(&block)?;
            }
            return Ok(false);
        }
        Fault::Truncate(_)
        | Fault::FlipBit(_)
        | Fault::StallAfter(_)
        | Fault::Trickle(..)
        | Fault::WrongLength(_)
        | Fault::CloseAfter(_) => {}
    }
    let answer = proper(&request.path)?;
    let (status, mut body) = (answer.status, answer.body);
    match fault {
        Fault::Truncate(length) => body.truncate(length),
        Fault::FlipBit(bit) if !body.is_empty() => {
            let at = bit / 8 % body.len();
            body[at] ^= 1 << (bit % 8);
        }
        Fault::StallAfter(length) => {
            let (first, rest) = body.split_at(length.min(body.len()));
            head(stream, status, body.len() as i64)?;
            stream.write_all(first)?;
            state.stall();
            stream.write_all(rest)?;
            return Ok(true);
        }
        Fault::Trickle(length, pause) => {
            head(stream, status, body.len() as i64)?;
            for piece in body.chunks(length.max(1)) {
                if state.stopped() {
                    return Ok(false);
                }
                stream.write_all(piece)?;
                sleep(pause);
            }
            return Ok(true);
        }
        Fault::WrongLength(difference) => {
            head(stream, status, (body.len() as i64 + difference).max(0))?;
            stream.write_all(&body)?;
            return Ok(false);
        }
        Fault::CloseAfter(length) => {
            head(stream, status, body.len() as i64)?;
            stream.write_all(&body[..length.min(body.len())])?;
            return Ok(false);
        }
        _ => {}
    }
    send(status, &body)
}

fn whole(mut stream: &TcpStream, request: &Request, status: u16, body: &[u8]) -> io::Result<bool> {
    head(stream, status, body.len() as i64)?;
    if request.method != "HEAD" {
        stream.write_all(body)?;
    }
    Ok(request.header("connection") != Some("close"))
}

fn head(mut stream: &TcpStream, status: u16, length: i64) -> io::Result<()> {
    let reason = match status {
        200 => "OK",
        404 => "Not Found",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    };
    // One write, so that head and body are not sent as two small packets.
    let text = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(text.as_bytes())
}

fn redirect(mut stream: &TcpStream, target: &str) -> io::Result<bool> {
    write!(stream, "HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n")?;
    Ok(true)
}
