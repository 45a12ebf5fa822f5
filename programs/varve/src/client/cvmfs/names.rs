//! The names of CernVM-FS's parameters, and the settings that they are here.

use std::path::PathBuf;

use varve_repository::RepositoryName;
use varve_store::ByteSize;

use crate::client::settings::{Origin, Size, Sourced};
use crate::client::shell::{Note, Variable, Variables};
use crate::client::{Client, ClientError, Ignored, fill_in};

/// Every name that means something, and the setting that it is.
#[cfg(test)]
pub(in crate::client) const HONOURED: &[(&str, &str)] = &[
    ("CVMFS_SERVER_URL", "servers"),
    ("CVMFS_HTTP_PROXY", "proxy"),
    ("CVMFS_FALLBACK_PROXY", "fallback-proxy"),
    ("CVMFS_EXTERNAL_URL", "external-servers"),
    ("CVMFS_EXTERNAL_HTTP_PROXY", "external-proxy"),
    ("CVMFS_PUBLIC_KEY", "keys"),
    ("CVMFS_KEYS_DIR", "keys"),
    ("CVMFS_TIMEOUT", "timeout"),
    ("CVMFS_TIMEOUT_DIRECT", "timeout-direct"),
    ("CVMFS_LOW_SPEED_LIMIT", "low-speed"),
    ("CVMFS_MAX_RETRIES", "retries"),
    ("CVMFS_BACKOFF_INIT", "backoff"),
    ("CVMFS_BACKOFF_MAX", "backoff-limit"),
    ("CVMFS_HOST_RESET_AFTER", "server-reset"),
    ("CVMFS_PROXY_RESET_AFTER", "proxy-reset"),
    ("CVMFS_FOLLOW_REDIRECTS", "redirects"),
    ("CVMFS_USE_GEOAPI", "geo"),
    ("CVMFS_MAX_SERVERS", "max-servers"),
    ("CVMFS_MAX_TTL", "refresh"),
    ("CVMFS_ROOT_HASH", "revision"),
    ("CVMFS_REPOSITORY_HASH", "revision"),
    ("CVMFS_REPOSITORY_TAG", "revision"),
    ("CVMFS_REPOSITORY_DATE", "revision"),
    ("CVMFS_SUID", "suid"),
    ("CVMFS_CLAIM_OWNERSHIP", "claim-ownership"),
    ("CVMFS_REPOSITORIES", "repositories"),
    ("CVMFS_STRICT_MOUNT", "only-listed"),
    ("CVMFS_DEFAULT_DOMAIN", "default-domain"),
    ("CVMFS_CACHE_BASE", "cache"),
    ("CVMFS_QUOTA_LIMIT", "cache-quota"),
];

/// Names without effect, and what is so instead. Further ones are ignored without a word of why.
const ELSE: &[(&str, &str)] = &[
    ("CVMFS_UID_MAP", "not supported yet: files show the owners that they were published with"),
    ("CVMFS_GID_MAP", "not supported yet: files show the owners that they were published with"),
    (
        "CVMFS_ENFORCE_ACLS",
        "not supported yet: access lists are shown, and the kernel checks file modes only",
    ),
    ("CVMFS_TRUSTED_CERTS", "not supported yet: whitelists are verified with public keys"),
    ("CVMFS_PAC_URLS", "proxies are not discovered"),
    ("CVMFS_PROXY_SHARD", "not supported yet: members of a group share the load at random"),
    ("CVMFS_PROXY_TEMPLATE", "not supported yet"),
    ("CVMFS_ALIEN_CACHE", "not supported: the cache has a format of its own"),
    ("CVMFS_NFS_SOURCE", "not needed: inode numbers outlive a restart"),
    ("CVMFS_AUTHZ_HELPER", "not supported yet: repositories that ask for membership can't be read"),
    ("CVMFS_AUTO_UPDATE", "not supported yet: name a revision to stay at it"),
    ("CVMFS_CONFIG_REPOSITORY", "its files are read where it is mounted"),
];

/// Names that were used on the way.
const SILENT: &[&str] = &["CVMFS_FQRN", "CVMFS_MOUNT_DIR", "CVMFS_BASE_ENV"];

/// Translates variables to settings.
///
/// # Errors
/// [`ClientError::Unverified`] if signatures were to be ignored.
pub(in crate::client) fn apply(
    variables: &Variables,
    name: Option<&RepositoryName>,
    client: &mut Client,
) -> Result<(), ClientError> {
    let domain = variables.get("CVMFS_DEFAULT_DOMAIN").map(|domain| domain.value.clone()).unwrap_or_default();
    // In an order of their own, where one goes before another.
    for first in ["CVMFS_KEYS_DIR", "CVMFS_REPOSITORY_DATE", "CVMFS_REPOSITORY_TAG"] {
        if let Some(variable) = variables.get(first) {
            one(first, variable, name, &domain, client)?;
        }
    }
    for (name_of_variable, variable) in variables.iter().filter(|(name, _)| name.starts_with("CVMFS_")) {
        if !["CVMFS_KEYS_DIR", "CVMFS_REPOSITORY_DATE", "CVMFS_REPOSITORY_TAG"].contains(&name_of_variable) {
            one(name_of_variable, variable, name, &domain, client)?;
        }
    }
    Ok(())
}

fn one(
    variable_name: &str,
    variable: &Variable,
    name: Option<&RepositoryName>,
    domain: &str,
    client: &mut Client,
) -> Result<(), ClientError> {
    let origin = Origin::File { path: variable.path.clone(), line: variable.line };
    // What is empty counts as not set.
    let text = variable.value.trim();
    if text.is_empty() || SILENT.contains(&variable_name) {
        return Ok(());
    }
    // Addresses keep their `@fqrn@`: they are filled in when they are used.
    let filled = name.map_or_else(|| text.to_owned(), |name| fill_in(text, name));
    let mut reader =
        Reader { name: variable_name, text: &filled, variable, origin: &origin, notes: &mut client.notes };
    let settings = &mut client.settings;
    match variable_name {
        "CVMFS_SERVER_URL" => settings.servers = reader.list(&[';', ','], text),
        "CVMFS_HTTP_PROXY" => settings.proxy = reader.proxies(),
        "CVMFS_FALLBACK_PROXY" => settings.fallback_proxy = reader.proxies(),
        "CVMFS_EXTERNAL_URL" => settings.external_servers = reader.list(&[';', ','], text),
        "CVMFS_EXTERNAL_HTTP_PROXY" => settings.external_proxy = reader.proxies(),
        "CVMFS_PUBLIC_KEY" => settings.keys = reader.paths(),
        "CVMFS_KEYS_DIR" => settings.keys = reader.paths(),
        "CVMFS_TIMEOUT" => settings.timeout = reader.number(),
        "CVMFS_TIMEOUT_DIRECT" => settings.timeout_direct = reader.number(),
        "CVMFS_LOW_SPEED_LIMIT" => settings.low_speed = reader.number(),
        "CVMFS_MAX_RETRIES" => settings.retries = reader.number(),
        "CVMFS_BACKOFF_INIT" => settings.backoff = reader.number(),
        "CVMFS_BACKOFF_MAX" => settings.backoff_limit = reader.number(),
        "CVMFS_HOST_RESET_AFTER" => settings.server_reset = reader.number(),
        "CVMFS_PROXY_RESET_AFTER" => settings.proxy_reset = reader.number(),
        "CVMFS_FOLLOW_REDIRECTS" => {
            settings.redirects = reader.switch().map(|on| on.map(|on| if on { 4 } else { 0 }));
        }
        "CVMFS_USE_GEOAPI" => settings.geo = reader.switch(),
        "CVMFS_MAX_SERVERS" => settings.max_servers = reader.number().filter(|most| most.value > 0),
        "CVMFS_MAX_TTL" => {
            let minutes = reader.number::<u32>().filter(|minutes| minutes.value > 0);
            settings.refresh = minutes.map(|minutes| minutes.map(|minutes| u64::from(minutes) * 60));
        }
        "CVMFS_ROOT_HASH" | "CVMFS_REPOSITORY_HASH" | "CVMFS_REPOSITORY_TAG" | "CVMFS_REPOSITORY_DATE" => {
            settings.revision = Some(reader.sourced(filled.clone()));
        }
        "CVMFS_SUID" => settings.suid = reader.switch(),
        "CVMFS_CLAIM_OWNERSHIP" => settings.claim_ownership = reader.switch(),
        "CVMFS_REPOSITORIES" => {
            let names = reader.list(&[',', ' '], &filled);
            settings.repositories = names.map(|names| {
                names.map(|names| names.into_iter().map(|name| full_name(name, domain)).collect())
            });
        }
        "CVMFS_STRICT_MOUNT" => settings.only_listed = reader.switch(),
        "CVMFS_DEFAULT_DOMAIN" => settings.default_domain = Some(reader.sourced(filled.clone())),
        // Its own directory beside those of the original, whose format is another.
        "CVMFS_CACHE_BASE" => settings.cache = Some(reader.sourced(PathBuf::from(&filled).join("varve"))),
        "CVMFS_QUOTA_LIMIT" => {
            let mebibytes = reader.number::<i64>().filter(|limit| limit.value > 0);
            let size = |mebibytes: i64| Size(ByteSize::mebibytes(mebibytes.unsigned_abs().min(1 << 40)));
            settings.cache_quota = mebibytes.map(|mebibytes| mebibytes.map(size));
        }
        "CVMFS_IGNORE_SIGNATURE" => {
            if reader.switch().is_none_or(|on| on.value) {
                return Err(ClientError::Unverified { origin });
            }
        }
        _ => {
            let why = ELSE.iter().find(|(name, _)| *name == variable_name).map(|(_, why)| *why);
            let (name, value) = (variable_name.to_owned(), filled);
            client.ignored.push(Ignored { name, value, origin, why });
        }
    }
    Ok(())
}

/// A repository's name with a domain.
pub(in crate::client) fn full_name(name: String, domain: &str) -> String {
    if name.contains('.') || domain.is_empty() { name } else { format!("{name}.{domain}") }
}

impl<T> Sourced<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Sourced<U> {
        Sourced { value: change(self.value), origin: self.origin }
    }
}

/// Reads one value; what can't be read is named and left out.
struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    variable: &'a Variable,
    origin: &'a Origin,
    notes: &'a mut Vec<Note>,
}

impl Reader<'_> {
    fn sourced<T>(&self, value: T) -> Sourced<T> {
        Sourced { value, origin: self.origin.clone() }
    }

    fn note(&mut self, text: String) {
        self.notes.push(Note { path: self.variable.path.clone(), line: self.variable.line, text });
    }

    fn number<T: std::str::FromStr>(&mut self) -> Option<Sourced<T>> {
        match self.text.parse() {
            Ok(number) => Some(self.sourced(number)),
            Err(_) => {
                self.note(format!(
                    "{}={} is not a number of that kind: it is left out",
                    self.name, self.text
                ));
                None
            }
        }
    }

    fn switch(&mut self) -> Option<Sourced<bool>> {
        let on = match self.text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "1" | "true" => true,
            "no" | "off" | "0" | "false" => false,
            _ => {
                self.note(format!("{}={} is neither yes nor no: it is left out", self.name, self.text));
                return None;
            }
        };
        Some(self.sourced(on))
    }

    fn list(&self, separators: &[char], text: &str) -> Option<Sourced<Vec<String>>> {
        let parts = text.split(separators).map(str::trim).filter(|part| !part.is_empty());
        let parts: Vec<String> = parts.map(str::to_owned).collect();
        (!parts.is_empty()).then(|| self.sourced(parts))
    }

    fn paths(&self) -> Option<Sourced<Vec<PathBuf>>> {
        self.list(&[':'], self.text)
            .map(|list| list.map(|paths| paths.into_iter().map(PathBuf::from).collect()))
    }

    /// Without `auto`, which stands for proxies that would have to be discovered.
    fn proxies(&mut self) -> Option<Sourced<String>> {
        let is_auto = |part: &str| part.trim().eq_ignore_ascii_case("auto");
        if !self.text.split([';', '|']).any(is_auto) {
            return Some(self.sourced(self.text.to_owned()));
        }
        self.note(format!("{} has 'auto', but proxies are not discovered: it is left out", self.name));
        let groups: Vec<String> = self
            .text
            .split(';')
            .map(|group| group.split('|').filter(|part| !is_auto(part)).collect::<Vec<_>>().join("|"))
            .filter(|group| !group.trim().is_empty())
            .collect();
        (!groups.is_empty()).then(|| self.sourced(groups.join(";")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Settings;

    #[test]
    fn every_name_sets_its_setting() {
        for (variable, setting) in HONOURED {
            let value = match *variable {
                "CVMFS_SERVER_URL" | "CVMFS_EXTERNAL_URL" => "http://a/b",
                _ => "1",
            };
            let mut variables = Variables::default();
            variables.preset(variable, value);
            let mut client = Client::default();
            apply(&variables, None, &mut client).expect("because it is allowed");
            let names: Vec<String> = client.settings.listed().into_iter().map(|listed| listed.name).collect();
            assert_eq!(names, [*setting], "{variable}");
        }
    }

    #[test]
    fn the_settings_are_what_was_meant() {
        let mut variables = Variables::default();
        for (name, value) in [
            ("CVMFS_HTTP_PROXY", "auto; a:1 | auto|b:1;DIRECT"),
            ("CVMFS_QUOTA_LIMIT", "4000"),
            ("CVMFS_MAX_TTL", "3"),
            ("CVMFS_PUBLIC_KEY", "/k/@fqrn@.pub:/k/@org@.pub"),
            ("CVMFS_KEYS_DIR", "/k"),
            ("CVMFS_REPOSITORIES", "a, b.c.org"),
            ("CVMFS_DEFAULT_DOMAIN", "example.org"),
            ("CVMFS_REPOSITORY_TAG", "v1"),
            ("CVMFS_SERVER_URL", "http://a/cvmfs/@fqrn@; http://b/@fqrn@"),
            ("CVMFS_TIMEOUT", "soon"),
            ("CVMFS_SUID", "maybe"),
            ("CVMFS_CLAIM_OWNERSHIP", "yes"),
            ("CVMFS_UID_MAP", "/etc/cvmfs/users"),
            ("CVMFS_IGNORE_SIGNATURE", "no"),
            ("CVMFS_NFILES", ""),
        ] {
            variables.preset(name, value);
        }
        let name = "s.example.org".parse().expect("a name");
        let mut client = Client::default();
        apply(&variables, Some(&name), &mut client).expect("because it is allowed");
        let Settings {
            proxy,
            cache_quota,
            refresh,
            keys,
            repositories,
            revision,
            servers,
            timeout,
            suid,
            ..
        } = client.settings;
        let value = |text: Option<Sourced<String>>| text.map(|text| text.value);
        assert_eq!(value(proxy).as_deref(), Some(" a:1 |b:1;DIRECT"));
        assert_eq!(cache_quota.map(|quota| quota.value.0.get()), Some(4000 << 20));
        assert_eq!(refresh.map(|refresh| refresh.value), Some(180));
        assert_eq!(keys.map(|keys| keys.value), Some(vec!["/k/s.example.org.pub".into(), "/k/s.pub".into()]));
        assert_eq!(
            repositories.map(|names| names.value),
            Some(vec!["a.example.org".into(), "b.c.org".into()])
        );
        assert_eq!(value(revision).as_deref(), Some("v1"));
        assert_eq!(servers.map(|servers| servers.value.len()), Some(2));
        assert_eq!((timeout, suid), (None, None));
        assert_eq!(client.notes.len(), 3, "{:?}", client.notes);
        assert_eq!(client.ignored.len(), 1);
        variables.preset("CVMFS_IGNORE_SIGNATURE", "yes");
        assert!(apply(&variables, None, &mut Client::default()).is_err());
    }
}
