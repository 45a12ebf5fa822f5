//! `[ssh]`: logging in from outside.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later, longer};
use crate::plan::{Action, Content, Planner};
use crate::secret::Secret;
use crate::text::{AccountName, Line, Owner, VariableName};

/// The ssh server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Ssh {
    /// Public keys with which root may log in.
    pub root_keys: Vec<Line>,
    /// Whether anyone may log in with a password.
    pub password_login: Option<bool>,
    /// How root may log in.
    pub root_login: Option<RootLogin>,
    /// The port; 22 without.
    pub port: Option<u16>,
    /// The machine's own keys; made at the first boot without.
    pub host_keys: Vec<HostKey>,
    /// Further keywords of sshd_config(5).
    pub settings: BTreeMap<VariableName, Line>,
}

/// How root may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RootLogin {
    /// In every way that others may.
    Yes,
    /// Not at all.
    No,
    /// With a key.
    KeysOnly,
    /// With a key, for the command that stands with it.
    ForcedCommandsOnly,
}

/// A key of the machine itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostKey {
    /// Its kind.
    pub kind: HostKeyKind,
    /// The private half, as ssh-keygen writes it.
    pub private: Secret,
    /// The public half.
    pub public: Option<Line>,
    /// Its certificate.
    pub certificate: Option<Line>,
}

/// The kinds of host keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostKeyKind {
    /// RSA.
    Rsa,
    /// ECDSA.
    Ecdsa,
    /// Ed25519.
    Ed25519,
}

impl HostKeyKind {
    fn name(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ecdsa => "ecdsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

impl Section for Ssh {
    fn merge(&mut self, other: Self) {
        longer(&mut self.root_keys, other.root_keys);
        later(&mut self.password_login, other.password_login);
        later(&mut self.root_login, other.root_login);
        later(&mut self.port, other.port);
        self.host_keys.retain(|key| !other.host_keys.iter().any(|newer| newer.kind == key.kind));
        self.host_keys.extend(other.host_keys);
        self.settings.extend(other.settings);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        if !self.root_keys.is_empty()
            && let Ok(user) = AccountName::parse("root")
        {
            planner.act(Action::AuthorizedKeys { user, keys: self.root_keys.clone() });
        }
        for key in &self.host_keys {
            let path = format!("/etc/ssh/ssh_host_{}_key", key.kind.name());
            planner.secret_file(&path, &key.private);
            if let Some(public) = &key.public {
                planner.file(&format!("{path}.pub"), format!("{public}\n"));
            }
            if let Some(certificate) = &key.certificate {
                planner.file(&format!("{path}-cert.pub"), format!("{certificate}\n"));
            }
        }
        let settings = self.settings();
        if !settings.is_empty() {
            // The first word counts, and this directory is read before the rest.
            let text = format!("# Written by Varve.\n{settings}");
            planner.file_with(
                "/etc/ssh/sshd_config.d/01-varve.conf",
                Content::Text(text),
                0o600,
                Owner::root(),
            );
        }
    }

    fn secrets(&mut self, show: &mut dyn FnMut(&mut Secret)) {
        self.host_keys.iter_mut().for_each(|key| show(&mut key.private));
    }
}

impl Ssh {
    fn settings(&self) -> String {
        let mut text = String::new();
        if let Some(port) = self.port {
            text += &format!("Port {port}\n");
        }
        if let Some(allowed) = self.password_login {
            let word = if allowed { "yes" } else { "no" };
            text += &format!("PasswordAuthentication {word}\n");
            if !allowed {
                text += "KbdInteractiveAuthentication no\n";
            }
        }
        if let Some(login) = self.root_login {
            let word = match login {
                RootLogin::Yes => "yes",
                RootLogin::No => "no",
                RootLogin::KeysOnly => "prohibit-password",
                RootLogin::ForcedCommandsOnly => "forced-commands-only",
            };
            text += &format!("PermitRootLogin {word}\n");
        }
        for key in self.host_keys.iter().filter(|key| key.certificate.is_some()) {
            text += &format!("HostCertificate /etc/ssh/ssh_host_{}_key-cert.pub\n", key.kind.name());
        }
        for (name, value) in &self.settings {
            text += &format!("{name} {value}\n");
        }
        text
    }
}
