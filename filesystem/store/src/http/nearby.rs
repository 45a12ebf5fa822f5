//! Which servers and fallback proxies are near: any server of CernVM-FS's or ours is asked once, over the usual ways.

use std::time::Duration;

use reqwest::Url;

use super::HttpSource;
use super::config::{HttpConfig, HttpConfigError, Proxy};
use super::pursuit::Wanted;
use crate::{Deadline, ObjectSource as _, StoreError};

/// The most bytes of an answer: a number and a comma for each host.
const LIMIT: u64 = 4096;

/// What stands between servers and the proxies that every request goes through.
const SEPARATOR: &str = "+PXYSEP+";

/// The same configuration with the nearest servers first, and the nearest fallback proxies.
///
/// Waits for an answer no longer than `limit`. Caches on the way tell clients apart by `client`, unless there is a proxy:
/// then the proxy's place counts.
///
/// # Errors
/// [`NearbyError`] if nobody knows; then the configured order is as good as any.
pub fn nearest_first(config: &HttpConfig, client: &str, limit: Duration) -> Result<HttpConfig, NearbyError> {
    let groups = config.proxies.groups();
    let fallback = &groups[config.proxies.first_fallback()..];
    if config.servers.len() < 2 && fallback.len() < 2 {
        return Ok(config.clone());
    }
    let mut hosts: Vec<String> = config.servers.iter().map(|server| host(server.as_str())).collect();
    let separated = config.proxies.first_fallback() == 0 && !fallback.is_empty();
    hosts.extend(separated.then(|| SEPARATOR.to_owned()));
    let offset = hosts.len();
    // The members of a group are in one place.
    hosts.extend(fallback.iter().map(|group| group.first().map_or_else(String::new, host_of)));
    let through = groups.iter().flatten().map(host_of).find(|host| *host != NOWHERE);
    let client = through.unwrap_or_else(|| client.to_owned());

    let source = HttpSource::new(HttpConfig { retries: 0, ..config.clone() })?;
    let wanted = Wanted {
        name: &"the order of servers",
        path: format!("/api/v1.0/geo/{client}/{}", hosts.join(",")),
        part: None,
        hash: None,
        limit: LIMIT,
        revalidate: false,
        optional: true,
    };
    let mut answer = Vec::new();
    source.pursue(&wanted, &mut answer, Deadline::after(limit))?;
    let order =
        parse(&answer, hosts.len()).ok_or_else(|| NearbyError::Malformed { place: source.place() })?;

    let mut sorted = config.clone();
    sorted.servers = order.iter().filter_map(|at| config.servers.get(*at)).cloned().collect();
    let near = order.iter().filter_map(|at| fallback.get(at.checked_sub(offset)?)).cloned();
    sorted.proxies.replace_fallback(near.collect());
    Ok(sorted)
}

/// Where `DIRECT` leads.
const NOWHERE: &str = "direct";

fn host_of(proxy: &Proxy) -> String {
    match proxy {
        Proxy::Direct => NOWHERE.to_owned(),
        Proxy::Through(url) => host(url),
    }
}

fn host(url: &str) -> String {
    let url: Option<Url> = url.parse().ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| NOWHERE.to_owned())
}

/// The order that an answer gives, counted from 0, if every one of `count` is in it once.
fn parse(answer: &[u8], count: usize) -> Option<Vec<usize>> {
    let text = std::str::from_utf8(answer).ok()?;
    let numbers: Vec<usize> =
        text.trim().split(',').map(|number| number.trim().parse()).collect::<Result<_, _>>().ok()?;
    let mut seen = numbers.clone();
    seen.sort_unstable();
    seen.into_iter().eq(1..=count).then(|| numbers.into_iter().map(|number| number - 1).collect())
}

/// Why the order of servers is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NearbyError {
    /// No connections could be set up.
    #[error(transparent)]
    Config(#[from] HttpConfigError),
    /// Nobody answered, or nobody knows.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The answer is something else, such as a login page.
    #[error("{place} answered something else than an order of servers")]
    Malformed {
        /// Who it was.
        place: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_order_is_one() {
        assert_eq!(parse(b"2,1,3\n", 3), Some(vec![1, 0, 2]));
        assert_eq!(parse(b"1", 1), Some(vec![0]));
        for bad in ["", "1,2", "1,2,2", "0,1,2", "1,2,4", "1,2,3,4", "<html>", "3,2,1,"] {
            assert_eq!(parse(bad.as_bytes(), 3), None, "{bad}");
        }
    }
}
