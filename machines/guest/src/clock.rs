//! The clock: machines whose clock stands at a time before their image was made would take every signature for one of the
//! future. Such a clock is set by what the repository's servers say, which is believed for nothing else.

use std::time::{Duration, SystemTime};

use reqwest::Proxy;
use rustix::time::{ClockId, Timespec, clock_settime};
use varve_store::{HttpConfig, Proxy as Way};

use crate::config::RepositoryConfig;
use crate::console::Console;
use crate::plain_http;

/// No image is older: 2026-01-01.
const OLDEST_IMAGE: Duration = Duration::from_secs(1_767_225_600);
/// Nobody will boot this later: 2100-01-01.
const LATEST: Duration = Duration::from_secs(4_102_444_800);
/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sets the clock if it can't be right. `image` is when the image was made, where that is known.
pub(crate) fn mend(
    repository: &RepositoryConfig,
    image: Option<SystemTime>,
    now: fn() -> SystemTime,
    console: &Console,
) {
    let oldest = SystemTime::UNIX_EPOCH + OLDEST_IMAGE;
    let floor = image.filter(|image| sensible(*image)).map_or(oldest, |image| image.max(oldest));
    if now() >= floor {
        return;
    }
    let (time, by) = match ask(repository).filter(|time| *time >= floor && sensible(*time)) {
        Some(time) => (time, "by the repository's server"),
        None => (floor, "to when the image was made, since no server tells the time"),
    };
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let spec = Timespec { tv_sec: since.as_secs() as i64, tv_nsec: since.subsec_nanos().into() };
    match clock_settime(ClockId::Realtime, spec) {
        Ok(()) => console.warn(format_args!(
            "the clock stood before this image was made, and is set {by}: {}",
            httpdate::fmt_http_date(time)
        )),
        Err(error) => console.warn(format_args!("the clock is wrong and can't be set: {error}")),
    }
}

fn sensible(time: SystemTime) -> bool {
    time < SystemTime::UNIX_EPOCH + LATEST
}

/// What the first server says that says something.
fn ask(repository: &RepositoryConfig) -> Option<SystemTime> {
    let config = HttpConfig::new(&repository.servers, &repository.proxy).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        for way in config.proxies.groups().iter().flatten() {
            let builder = plain_http::client().timeout(PATIENCE);
            let builder = match way {
                Way::Direct => builder.no_proxy(),
                Way::Through(url) => builder.proxy(Proxy::all(url).ok()?),
            };
            // A certificate can't be checked without a clock: only servers without one are asked.
            let client = builder.build().ok()?;
            for server in config.servers.iter().filter(|server| server.as_str().starts_with("http:")) {
                let answer = client.head(format!("{server}/.cvmfspublished")).send().await;
                let date = answer.ok().and_then(|answer| {
                    httpdate::parse_http_date(answer.headers().get("date")?.to_str().ok()?).ok()
                });
                if date.is_some() {
                    return date;
                }
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_tells_the_time() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/cvmfs/a.b", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(
                b"HTTP/1.1 404 Not Found\r\nDate: Sat, 21 Nov 2026 20:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
            );
        });
        let repository =
            RepositoryConfig { name: "a.b".into(), servers: url, proxy: String::new(), keys: String::new() };
        assert_eq!(ask(&repository), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_291_200)));
    }
}
