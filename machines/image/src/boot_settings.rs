//! `/etc/varve/boot.toml`: what a machine boots when nobody tells it otherwise. Its reader is the guest.

use serde::{Deserialize, Serialize};
use varve_repository::{PublicKeys, PublicKeysError, RepositoryName};

/// The defaults that are baked into an image; the kernel's command line and user data override them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BootSettings {
    /// The repository that holds the operating system.
    pub repository: String,
    /// Where it is served, best first; `@fqrn@` stands for the repository's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// The version by its tag. At most one of `tag`, `hash` and `date` is set; none means the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The version by its root catalog's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The version by a time, such as `2026-11-01`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Proxies, in the syntax of `CVMFS_HTTP_PROXY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The public keys, in PEM, of which one must have signed the repository's whitelist.
    pub keys: Vec<String>,
}

impl BootSettings {
    /// Checks what can be checked without the network.
    ///
    /// # Errors
    /// [`BootSettingsError`] for a name, a URL or a key that can't be meant, or two versions at once.
    pub fn check(&self) -> Result<(), BootSettingsError> {
        self.repository
            .parse::<RepositoryName>()
            .map_err(|_| BootSettingsError::Repository { name: self.repository.clone() })?;
        for url in &self.servers {
            let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            let sound = |c: char| c.is_ascii_graphic();
            if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) || !url.chars().all(sound) {
                return Err(BootSettingsError::Server { url: url.clone() });
            }
        }
        if [&self.tag, &self.hash, &self.date].into_iter().flatten().count() > 1 {
            return Err(BootSettingsError::Versions);
        }
        PublicKeys::from_pem(self.keys.concat().as_bytes()).map_err(BootSettingsError::Keys)?;
        Ok(())
    }

    /// The file.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("because text and lists of it can be written")
    }
}

/// Why a machine could not boot with such settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootSettingsError {
    /// No repository can have this name.
    #[error("no repository can be named {name:?}")]
    Repository {
        /// What was given.
        name: String,
    },
    /// No server can have this address.
    #[error("{url:?} is no http:// or https:// URL")]
    Server {
        /// What was given.
        url: String,
    },
    /// More than one of tag, hash and date.
    #[error("only one of tag, hash and date can say which version is booted")]
    Versions,
    /// No key that could verify anything.
    #[error("the repository's public keys are of no use")]
    Keys(#[source] PublicKeysError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> BootSettings {
        let key = rsa::RsaPrivateKey::new(&mut rand::rngs::OsRng, 1024).expect("key");
        let keys =
            rsa::pkcs8::EncodePublicKey::to_public_key_pem(&key.to_public_key(), rsa::pkcs8::LineEnding::LF);
        BootSettings {
            repository: "os.example.org".to_owned(),
            servers: vec!["http://10.0.2.2:8000/cvmfs/@fqrn@".to_owned()],
            tag: Some("v1".to_owned()),
            hash: None,
            date: None,
            proxy: None,
            keys: vec![keys.expect("pem")],
        }
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let settings = settings();
        settings.check().expect("sound");
        let text = settings.to_toml();
        assert!(text.starts_with("repository = \"os.example.org\"\nservers = [\"http://10"), "{text}");
        assert_eq!(toml::from_str::<BootSettings>(&text).expect("read"), settings);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let wrong = |change: fn(&mut BootSettings)| {
            let mut settings = settings();
            change(&mut settings);
            settings.check().expect_err("wrong").to_string()
        };
        assert!(wrong(|settings| settings.repository = "../x".to_owned()).contains("../x"));
        assert!(wrong(|settings| settings.servers.push("ftp://a".to_owned())).contains("ftp://a"));
        assert!(wrong(|settings| settings.servers.push("http://a b".to_owned())).contains("a b"));
        assert!(wrong(|settings| settings.hash = Some("x".to_owned())).contains("only one"));
        assert!(wrong(|settings| settings.keys.clear()).contains("keys"));
    }
}
