//! The order of servers by distance, remembered: asked for at a mount, and not again at each start of a worker.

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use varve_content::Algorithm;
use varve_store::{HttpConfig, ProxyGroups, ServerUrl, nearest_first};

/// The longest that a mount waits for an answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long an answer is used without asking again. Without a new answer an old one is used, however old it is.
const FRESH: Duration = Duration::from_secs(3600);

/// An answer as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    /// The lists as they are configured.
    asked: String,
    /// Seconds since 1970.
    at: u64,
    servers: String,
    proxies: String,
}

/// Sorts the servers and fallback proxies of a configuration by distance. What was found out is kept below `directory`.
pub(crate) fn sort(config: HttpConfig, directory: &Path, now: SystemTime) -> HttpConfig {
    let asked = format!("{} {}", list(&config.servers), config.proxies);
    let name = Algorithm::Sha1.hash(asked.as_bytes()).to_string();
    let path = directory.join(format!("{name}.json"));
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let kept = remembered(&path, &asked);
    let fresh = |kept: &&Remembered| kept.at <= seconds && seconds - kept.at < FRESH.as_secs();
    if let Some(kept) = kept.as_ref().filter(fresh) {
        applied(&config, kept).unwrap_or(config)
    } else {
        // Caches on the way must not give one client's answer to another.
        let client = format!("x{:016x}", RandomState::new().build_hasher().finish());
        match nearest_first(&config, &client, PATIENCE) {
            Ok(sorted) => {
                let (servers, proxies) = (list(&sorted.servers), sorted.proxies.to_string());
                remember(&path, &Remembered { asked, at: seconds, servers, proxies });
                sorted
            }
            Err(error) => {
                tracing::warn!(%error, "the servers' order by distance is not known");
                kept.and_then(|kept| applied(&config, &kept)).unwrap_or(config)
            }
        }
    }
}

fn list(servers: &[ServerUrl]) -> String {
    servers.iter().map(ServerUrl::as_str).collect::<Vec<_>>().join(";")
}

fn remembered(path: &Path, asked: &str) -> Option<Remembered> {
    let kept: Remembered = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    (kept.asked == asked).then_some(kept)
}

fn applied(config: &HttpConfig, kept: &Remembered) -> Option<HttpConfig> {
    let servers = ServerUrl::parse_list(&kept.servers).ok()?;
    let proxies: ProxyGroups = kept.proxies.parse().ok()?;
    // Nobody but the configuration says which there are.
    let same =
        servers.len() == config.servers.len() && servers.iter().all(|server| config.servers.contains(server));
    same.then(|| HttpConfig { servers, proxies, ..config.clone() })
}

/// Best effort: without it, the servers are asked again.
fn remember(path: &Path, answer: &Remembered) {
    let write = || -> std::io::Result<()> {
        let directory = path.parent().unwrap_or(path);
        fs::create_dir_all(directory)?;
        let mut fresh = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer(&mut fresh, answer)?;
        fresh.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    if let Err(error) = write() {
        tracing::debug!(%error, "the servers' order is not remembered");
    }
}

#[cfg(test)]
mod tests {
    use varve_testkit::{Fault, FaultyServer, Rule, Scratch};

    use super::*;

    #[test]
    fn an_answer_is_remembered_and_used_when_nobody_answers() {
        let scratch = Scratch::new();
        let server = FaultyServer::new(scratch.path());
        server.add(Rule::new("/geo/", Fault::Content(b"2,1".to_vec())));
        let first = format!("{}/cvmfs/x", server.url());
        let second = "http://b.invalid/cvmfs/x";
        let config = || HttpConfig::new(&format!("{first};{second}"), "").expect("well formed");
        let directory = scratch.join("nearby");
        let now = SystemTime::now();
        assert_eq!(list(&sort(config(), &directory, now).servers), format!("{second};{first}"));
        assert_eq!(list(&sort(config(), &directory, now).servers), format!("{second};{first}"));
        assert_eq!(server.count("/geo/"), 1);
        // After a while it is asked for again.
        server.clear();
        server.add(Rule::new("/geo/", Fault::Content(b"1,2".to_vec())));
        let later = now + 2 * FRESH;
        assert_eq!(list(&sort(config(), &directory, later).servers), format!("{first};{second}"));
        assert_eq!(server.count("/geo/"), 2);
        drop(server);
        assert_eq!(list(&sort(config(), &directory, later + 2 * FRESH).servers), format!("{first};{second}"));
    }
}
