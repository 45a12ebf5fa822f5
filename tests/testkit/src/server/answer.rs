//! Writes one answer, proper or faulty.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::SystemTime;

use super::connection::Request;
use super::origin::Answer;
use super::{Fault, State};

const HTML: &[u8] = b"<!DOCTYPE html><html><body><h1>Please sign in to the network</h1></body></html>\n";

/// Answers; whether the connection may be used again.
pub(super) fn answer(
    mut stream: &TcpStream,
    state: &State,
    (request, sent): (&Request, &[u8]),
    fault: Option<Fault>,
) -> io::Result<bool> {
    let proper = |path: &str| Ok::<_, io::Error>(state.origin.answer(request, sent, path)?.part_for(request));
    let freshness = state.freshness();
    let send = |answer: Answer| whole(stream, request, &answer, freshness);
    let Some(fault) = fault else {
        return send(proper(&request.path)?);
    };
    match fault {
        Fault::Delay(pause) => sleep(pause),
        Fault::StallBeforeHeaders => state.stall(),
        Fault::Swap(path) => {
            return send(proper(&path)?);
        }
        Fault::Content(body) => return send(Answer::new(200, body)),
        Fault::WholeForPart => return send(state.origin.answer(request, sent, &request.path)?),
        Fault::Html => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n",
                HTML.len()
            )?;
            stream.write_all(HTML)?;
            return Ok(true);
        }
        Fault::Status(status) => return send(Answer::new(status, b"this is an error\n".to_vec())),
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
    let Answer { status, mut body, headers, length } = proper(&request.path)?;
    let head = |length: i64| head(stream, status, length, &headers, freshness);
    match fault {
        Fault::Truncate(length) => body.truncate(length),
        Fault::FlipBit(bit) if !body.is_empty() => {
            let at = bit / 8 % body.len();
            body[at] ^= 1 << (bit % 8);
        }
        Fault::StallAfter(length) => {
            let (first, rest) = body.split_at(length.min(body.len()));
            head(body.len() as i64)?;
            stream.write_all(first)?;
            state.stall();
            stream.write_all(rest)?;
            return Ok(true);
        }
        Fault::Trickle(length, pause) => {
            head(body.len() as i64)?;
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
            head((body.len() as i64 + difference).max(0))?;
            stream.write_all(&body)?;
            return Ok(false);
        }
        Fault::CloseAfter(length) => {
            head(body.len() as i64)?;
            stream.write_all(&body[..length.min(body.len())])?;
            return Ok(false);
        }
        _ => {}
    }
    send(Answer { status, body, headers, length })
}

fn whole(
    mut stream: &TcpStream,
    request: &Request,
    answer: &Answer,
    freshness: Option<u32>,
) -> io::Result<bool> {
    let length = answer.length.map_or(answer.body.len() as i64, |length| length as i64);
    head(stream, answer.status, length, &answer.headers, freshness)?;
    if request.method != "HEAD" {
        stream.write_all(&answer.body)?;
    }
    Ok(request.header("connection") != Some("close"))
}

fn head(
    mut stream: &TcpStream,
    status: u16,
    length: i64,
    headers: &[(String, String)],
    freshness: Option<u32>,
) -> io::Result<()> {
    let reason = match status {
        200 => "OK",
        206 => "Partial Content",
        404 => "Not Found",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    };
    // One write, so that head and body are not sent as two small packets.
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    // A cache that isn't told the date takes what it gets for stale.
    let freshness = freshness.map(|seconds| {
        let date = httpdate::fmt_http_date(SystemTime::now());
        format!("Date: {date}\r\nCache-Control: max-age={seconds}\r\n")
    });
    let freshness = freshness.unwrap_or_default();
    let text = format!("HTTP/1.1 {status} {reason}\r\nContent-Length: {length}\r\n{headers}{freshness}\r\n");
    stream.write_all(text.as_bytes())
}

fn redirect(mut stream: &TcpStream, target: &str) -> io::Result<bool> {
    write!(stream, "HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n")?;
    Ok(true)
}
