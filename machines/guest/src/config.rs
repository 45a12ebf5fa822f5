//! Which operating system is booted from where: what the image, the user data and the kernel's command line say, the later of
//! them stronger than the former.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use varve_repository::{Reference, RepositoryName};
use varve_store::{HttpConfig, ProxyGroups};

use crate::command_line::CommandLine;
use crate::datasource::pairing::HubAddress;
use crate::error::GuestError;

/// The file with the image's own settings.
pub const BOOT_FILE: &str = "/etc/varve/boot.toml";
/// What is started of the operating system, unless something else is said.
const INIT: &str = "/sbin/init";

/// What one place says, every setting optional. The form of `/etc/varve/boot.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BootSection {
    /// The name of the operating system's repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Where it is served, best first; `@fqrn@` stands for its name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// Its public master keys, in PEM.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Proxies: groups separated by `;`, each of several separated by `|`, `DIRECT` for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Which tag is booted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Which root hash is booted; goes before a tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// What was the newest at which time is booted; a tag goes before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The hub that gives the machine user data when nobody else does: it shows a PIN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    /// The SHA-256 of the hub's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub_certificate: Option<String>,
    /// The program that becomes the machine's first process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
}

impl BootSection {
    /// Reads the image's file.
    ///
    /// # Errors
    /// [`GuestError::Setting`].
    pub fn parse(text: &str) -> Result<Self, GuestError> {
        toml::from_str(text).map_err(|error| GuestError::Setting {
            place: BOOT_FILE.to_owned(),
            reason: error.message().to_owned(),
        })
    }

    /// What the kernel's command line says, in our words and in those of µCernVM.
    pub fn of_command_line(line: &CommandLine) -> Self {
        let text = |names: &[&str]| line.value(names).map(str::to_owned);
        let servers = line.value(&["varve.server", "cvmfs_server"]).map(|list| {
            list.split([',', ';']).map(str::trim).filter(|url| !url.is_empty()).map(server_address).collect()
        });
        Self {
            hub: text(&["varve.hub"]),
            hub_certificate: text(&["varve.hub-certificate"]),
            repository: text(&["varve.repository", "cvmfs_repos", "cvmfs_branch"]),
            servers: servers.unwrap_or_default(),
            keys: Vec::new(),
            proxy: text(&["varve.proxy", "cvmfs_proxy", "cvmfs_http_proxy"]),
            tag: text(&["varve.tag", "cvmfs_repository_tag", "cvmfs_tag"]),
            hash: text(&["varve.hash"]),
            date: text(&["varve.date"]),
            init: line.value(&["init"]).map(PathBuf::from),
        }
    }

    /// Lets what another place says go before. Tag, hash and date are one setting.
    pub fn overlay(&mut self, stronger: Self) {
        if stronger.tag.is_some() || stronger.hash.is_some() || stronger.date.is_some() {
            (self.tag, self.hash, self.date) = (stronger.tag, stronger.hash, stronger.date);
        }
        self.repository = stronger.repository.or(self.repository.take());
        self.proxy = stronger.proxy.or(self.proxy.take());
        self.init = stronger.init.or(self.init.take());
        if stronger.hub.is_some() {
            (self.hub, self.hub_certificate) = (stronger.hub, stronger.hub_certificate);
        }
        if !stronger.servers.is_empty() {
            self.servers = stronger.servers;
        }
        if !stronger.keys.is_empty() {
            self.keys = stronger.keys;
        }
    }

    /// The hub, if there is one.
    pub fn hub(&self) -> Option<HubAddress> {
        let address = self.hub.as_ref()?.trim_end_matches('/').to_owned();
        Some(HubAddress { address, certificate: self.hub_certificate.clone() })
    }

    /// The settings, checked.
    ///
    /// # Errors
    /// [`GuestError::Missing`], [`GuestError::Setting`], [`GuestError::Servers`].
    pub fn resolve(&self) -> Result<BootConfig, GuestError> {
        let malformed = |place: &str, reason: String| GuestError::Setting { place: place.to_owned(), reason };
        let name = self.repository.as_deref().ok_or(GuestError::Missing { what: "repository" })?;
        let name: RepositoryName =
            name.parse().map_err(|error| malformed("repository", crate::console::chain(&error)))?;
        if self.servers.is_empty() {
            return Err(GuestError::Missing { what: "server" });
        }
        if self.keys.is_empty() {
            return Err(GuestError::Missing { what: "public key" });
        }
        let servers = self.servers.iter().map(|server| server.replace("@fqrn@", name.as_str()));
        let servers = servers.collect::<Vec<_>>().join(";");
        let proxy = self.proxy.clone().unwrap_or_default();
        HttpConfig::new(&servers, &proxy)?;
        proxy.parse::<ProxyGroups>()?;
        let reference = match (&self.hash, &self.tag, &self.date) {
            (Some(hash), _, _) => Reference::Hash(
                hash.parse().map_err(|_| malformed("hash", format!("'{hash}' is no root hash")))?,
            ),
            (None, Some(tag), _) => Reference::Tag(tag.clone()),
            (None, None, Some(date)) => match date.parse().unwrap_or_default() {
                date @ Reference::Date { .. } => date,
                _ => return Err(malformed("date", format!("'{date}' is no date such as 2026-11-21"))),
            },
            (None, None, None) => Reference::Latest,
        };
        Ok(BootConfig {
            repository: RepositoryConfig {
                name: name.to_string(),
                servers,
                proxy,
                keys: self.keys.join("\n"),
            },
            reference,
            init: self.init.clone().unwrap_or_else(|| INIT.into()),
        })
    }
}

/// A server named by its host alone serves under `/cvmfs/`.
pub(crate) fn server_address(text: &str) -> String {
    let address = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let (_, behind) = address.split_once("://").unwrap_or_default();
    match behind.trim_end_matches('/').contains('/') {
        true => address,
        false => format!("{}/cvmfs/@fqrn@", address.trim_end_matches('/')),
    }
}

/// What is booted, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootConfig {
    /// The operating system's repository.
    pub repository: RepositoryConfig,
    /// Which revision.
    pub reference: Reference,
    /// The program that becomes the machine's first process, a path in the tree.
    pub init: PathBuf,
}

/// How a repository is reached and whom it is believed, in the form that is handed from process to process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryConfig {
    /// Its full name.
    pub name: String,
    /// Servers between `;`.
    pub servers: String,
    /// Groups of proxies.
    pub proxy: String,
    /// Public keys in PEM.
    pub keys: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> BootSection {
        BootSection::parse(
            "repository = 'os.example.org'\nservers = ['http://s/cvmfs/@fqrn@']\nkeys = ['PEM']\ntag = 'v1'\n",
        )
        .unwrap()
    }

    #[test]
    fn the_command_line_goes_before_the_image() {
        let line = CommandLine::parse(
            "varve.server=a:8000,http://b/cvmfs/x varve.hash=38cb3870b263c3327ff694d0ab371c62d9c1d8da",
        );
        let mut section = image();
        section.overlay(BootSection::of_command_line(&line));
        let config = section.resolve().unwrap();
        assert_eq!(config.repository.servers, "http://a:8000/cvmfs/os.example.org;http://b/cvmfs/x");
        assert!(matches!(config.reference, Reference::Hash(_)));
        assert_eq!(section.tag, None);
        assert_eq!(config.init, PathBuf::from("/sbin/init"));
    }

    #[test]
    fn the_names_of_micro_cernvm_are_known() {
        let line =
            CommandLine::parse("cvmfs_server=h cvmfs_repos=a.b cvmfs_proxy=p:3128 cvmfs_repository_tag=t");
        let section = BootSection::of_command_line(&line);
        assert_eq!(section.repository.as_deref(), Some("a.b"));
        assert_eq!(section.servers, ["http://h/cvmfs/@fqrn@"]);
        assert_eq!((section.proxy.as_deref(), section.tag.as_deref()), (Some("p:3128"), Some("t")));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let said = |section: &BootSection| section.resolve().unwrap_err().to_string();
        assert!(said(&BootSection::default()).contains("repository"));
        assert!(said(&BootSection { servers: vec![], ..image() }).contains("server"));
        assert!(said(&BootSection { keys: vec![], ..image() }).contains("key"));
        assert!(said(&BootSection { hash: Some("x".into()), ..image() }).contains("'x' is no root hash"));
        let date = BootSection { tag: None, date: Some("yesterday".into()), ..image() };
        assert!(said(&date).contains("yesterday"));
        assert!(BootSection::parse("servers = 1").is_err());
        assert!(BootSection::parse("no-such-setting = 1").unwrap_err().to_string().contains("boot.toml"));
    }
}
