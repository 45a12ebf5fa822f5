//! What a program says about servers, proxies and patience, checked once. Where it was written is not known here.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::Rng as _;
use reqwest::Url;

/// Servers, proxies and patience of an [`super::HttpSource`].
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Where the repository is served, best first: `http://host/cvmfs/NAME`. At least one.
    pub servers: Vec<ServerUrl>,
    /// The proxies on the way.
    pub proxies: ProxyGroups,
    /// What the servers' logs show.
    pub user_agent: String,
    /// How long a server may be silent, or slower than `low_speed`, before it counts as failed.
    pub timeout_direct: Duration,
    /// The same through a proxy.
    pub timeout_proxied: Duration,
    /// Bytes a second; less than this over the timeout is a failure.
    pub low_speed: u64,
    /// How often everything is tried once more after every server and proxy has failed.
    pub retries: u32,
    /// The most that is waited before the first such retry; doubled for each further one. The actual wait is random.
    pub backoff: Duration,
    /// The most that is waited before any retry.
    pub backoff_limit: Duration,
    /// Whether an object that takes unusually long to come is asked for over another route as well.
    pub hedging: bool,
    /// How long servers behind the first are preferred after a failure.
    pub server_reset: Duration,
    /// How long a failed proxy is avoided.
    pub proxy_reset: Duration,
    /// How many redirects are followed.
    pub redirects: usize,
    /// Certificates of authorities, in PEM, that are trusted for `https` besides the system's.
    pub root_certificates: Vec<Vec<u8>>,
}

impl HttpConfig {
    /// The defaults of CernVM-FS for a list of servers (`a;b`) and of proxies (see [`ProxyGroups`]).
    ///
    /// # Errors
    /// [`HttpConfigError`] if a list can't be read.
    pub fn new(servers: &str, proxies: &str) -> Result<Self, HttpConfigError> {
        Ok(Self {
            servers: ServerUrl::parse_list(servers)?,
            proxies: proxies.parse()?,
            user_agent: concat!("Varve/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeout_direct: Duration::from_secs(10),
            timeout_proxied: Duration::from_secs(5),
            low_speed: 1024,
            retries: 1,
            backoff: Duration::from_secs(2),
            backoff_limit: Duration::from_secs(10),
            hedging: true,
            server_reset: Duration::from_secs(1800),
            proxy_reset: Duration::from_secs(300),
            redirects: 4,
            root_certificates: Vec::new(),
        })
    }

    /// A random wait before retry number `round`, counted from 0.
    pub(super) fn wait_before(&self, round: u32) -> Duration {
        let most = self.backoff.saturating_mul(1 << round.min(20));
        most.min(self.backoff_limit).mul_f64(rand::thread_rng().gen_range(0.25..=1.0))
    }
}

/// The address of a repository on a server: `http` or `https`, a host, a path; no slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl(String);

impl ServerUrl {
    /// Reads addresses between `;` or, as in old configurations, `,`. Blanks around them don't matter.
    ///
    /// # Errors
    /// [`HttpConfigError`] if one is malformed or there is none.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, HttpConfigError> {
        let parts = text.split([';', ',']).map(str::trim).filter(|part| !part.is_empty());
        let servers: Vec<Self> = parts.map(str::parse).collect::<Result<_, _>>()?;
        if servers.is_empty() { Err(HttpConfigError::NoServer) } else { Ok(servers) }
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServerUrl {
    type Err = HttpConfigError;

    fn from_str(text: &str) -> Result<Self, HttpConfigError> {
        let malformed = || HttpConfigError::Server { text: text.chars().take(200).collect() };
        let url: Url = text.trim().parse().map_err(|_| malformed())?;
        let usable = matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some()
            && url.query().is_none()
            && url.fragment().is_none();
        if !usable {
            return Err(malformed());
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One way to the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// None between: `DIRECT`.
    Direct,
    /// Through this proxy, `http://host:port`.
    Through(String),
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("DIRECT"),
            Self::Through(url) => f.write_str(url),
        }
    }
}

/// Groups of proxies: the members of one group share the load, the next group is for when all of them have failed.
///
/// Text form as in `CVMFS_HTTP_PROXY`: groups between `;`, members between `|`, `DIRECT` for no proxy; a member without
/// scheme is `http`; blanks don't matter. An empty text is `DIRECT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyGroups {
    groups: Vec<Vec<Proxy>>,
    /// The first of the groups that are for when all before have failed; their number if there is none.
    first_fallback: usize,
}

impl ProxyGroups {
    /// No proxy at all.
    pub fn direct() -> Self {
        Self::of(vec![vec![Proxy::Direct]])
    }

    /// These, and behind them others for when all have failed: then no request goes without a proxy any more, unless the
    /// others say so.
    #[must_use]
    pub fn with_fallback(mut self, fallback: Self) -> Self {
        for group in &mut self.groups {
            group.retain(|proxy| *proxy != Proxy::Direct);
        }
        self.groups.retain(|group| !group.is_empty());
        self.first_fallback = self.groups.len();
        self.groups.extend(fallback.groups);
        self
    }

    /// The first of the groups that [`Self::with_fallback`] added.
    pub(super) fn first_fallback(&self) -> usize {
        self.first_fallback
    }

    /// The same with those groups in another order.
    pub(super) fn replace_fallback(&mut self, groups: Vec<Vec<Proxy>>) {
        self.groups.truncate(self.first_fallback);
        self.groups.extend(groups);
    }

    fn of(groups: Vec<Vec<Proxy>>) -> Self {
        Self { first_fallback: groups.len(), groups }
    }

    /// The groups in order, none of them empty.
    pub fn groups(&self) -> &[Vec<Proxy>] {
        &self.groups
    }
}

impl FromStr for ProxyGroups {
    type Err = HttpConfigError;

    fn from_str(text: &str) -> Result<Self, HttpConfigError> {
        let members = |group: &str| -> Result<Vec<Proxy>, HttpConfigError> {
            group.split('|').map(str::trim).filter(|member| !member.is_empty()).map(parse_proxy).collect()
        };
        let mut groups: Vec<Vec<Proxy>> = text.split(';').map(members).collect::<Result<_, _>>()?;
        groups.retain(|group| !group.is_empty());
        Ok(if groups.is_empty() { Self::direct() } else { Self::of(groups) })
    }
}

impl fmt::Display for ProxyGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<String> = self
            .groups
            .iter()
            .map(|group| group.iter().map(Proxy::to_string).collect::<Vec<_>>().join("|"))
            .collect();
        f.write_str(&groups.join(";"))
    }
}

fn parse_proxy(text: &str) -> Result<Proxy, HttpConfigError> {
    if text.eq_ignore_ascii_case("direct") {
        return Ok(Proxy::Direct);
    }
    let malformed = || HttpConfigError::Proxy { text: text.chars().take(200).collect() };
    let address = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url: Url = address.parse().map_err(|_| malformed())?;
    // A name without a port is refused too: `auto` and misspelt `DIRECT` would else become hosts.
    let has_port = url.port().is_some() || text.contains("://");
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || !has_port || url.path() != "/"
    {
        return Err(malformed());
    }
    Ok(Proxy::Through(url.as_str().trim_end_matches('/').to_owned()))
}

/// What is wrong with a list of servers or proxies, or with certificates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpConfigError {
    /// The list of servers is empty.
    #[error("no server is given")]
    NoServer,
    /// Not the address of a repository on a server.
    #[error("'{text}' is not the address of a repository (http://host/cvmfs/NAME)")]
    Server {
        /// The offending text.
        text: String,
    },
    /// Not a proxy.
    #[error("'{text}' is not a proxy (http://host:port, host:port or DIRECT)")]
    Proxy {
        /// The offending text.
        text: String,
    },
    /// A root certificate can't be read, or the system has none.
    #[error("cannot set up connections: {reason}")]
    Client {
        /// What the library said.
        reason: String,
    },
    /// Threads could not be started.
    #[error("cannot start the network's threads")]
    Threads(#[source] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_proxies_are_read() {
        for (text, expected) in [
            ("", "DIRECT"),
            (" ; |", "DIRECT"),
            ("DIRECT", "DIRECT"),
            ("http://a:3128|http://b:3128;DIRECT", "http://a:3128|http://b:3128;DIRECT"),
            ("a:3128 | b:3128 ; direct", "http://a:3128|http://b:3128;DIRECT"),
            ("http://a:3128; http://b:3128", "http://a:3128;http://b:3128"),
            ("http://[::1]:3128/", "http://[::1]:3128"),
        ] {
            let groups: ProxyGroups = text.parse().expect("because it is well formed");
            assert_eq!(groups.to_string(), expected, "{text}");
        }
        for bad in ["auto", "DIREKT", "ftp://a:1", "http://a:3128/path", "http://:1", "a:b:c"] {
            assert!(bad.parse::<ProxyGroups>().is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_of_servers_are_read() {
        let servers = ServerUrl::parse_list(" http://a/cvmfs/x/ ; https://b:8000/cvmfs/x,http://c/x ;");
        let texts: Vec<String> =
            servers.expect("because it is well formed").iter().map(ServerUrl::to_string).collect();
        assert_eq!(texts, ["http://a/cvmfs/x", "https://b:8000/cvmfs/x", "http://c/x"]);
        for bad in ["", ";", "a/cvmfs/x", "ftp://a/x", "http://", "http://a/x?y"] {
            assert!(ServerUrl::parse_list(bad).is_err(), "{bad}");
        }
    }
}
