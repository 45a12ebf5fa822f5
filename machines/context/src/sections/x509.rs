//! `[x509]`: whom the machine trusts, and by which certificates it and its users are known.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later, longer};
use crate::plan::{Content, Planner, STATE, Stage};
use crate::quote;
use crate::secret::Secret;
use crate::text::{AccountName, Owner};

/// Certificates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct X509 {
    /// Certificates of authorities that are trusted, as PEM.
    pub authorities: Vec<String>,
    /// Whether those that the operating system trusts are trusted no more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub only_these: bool,
    /// The machine's own, in `/etc/grid-security`.
    pub host: Option<Identity>,
    /// Proxy certificates of users, which are put to `/tmp/x509up_uUID` at every boot.
    pub proxies: Vec<UserProxy>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// The certificate, as PEM.
    pub certificate: String,
    /// Its key, as PEM.
    pub key: Secret,
}

/// A user's proxy certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserProxy {
    /// The user.
    pub user: AccountName,
    /// The proxy certificate with its key, as PEM.
    pub proxy: Secret,
}

impl Section for X509 {
    fn merge(&mut self, other: Self) {
        longer(&mut self.authorities, other.authorities);
        self.only_these |= other.only_these;
        later(&mut self.host, other.host);
        self.proxies.retain(|proxy| !other.proxies.iter().any(|newer| newer.user == proxy.user));
        self.proxies.extend(other.proxies);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        self.plan_authorities(planner);
        if let Some(host) = &self.host {
            planner.file("/etc/grid-security/hostcert.pem", host.certificate.as_str());
            let key = Content::Secret(host.key.clone());
            planner.file_with("/etc/grid-security/hostkey.pem", key, 0o400, Owner::root());
        }
        for UserProxy { user, proxy } in &self.proxies {
            let kept = format!("{STATE}/x509/{user}.pem");
            planner.directory(&format!("{STATE}/x509"), 0o700);
            planner.secret_file(&kept, proxy);
            let (kept, user) = (quote::shell(&kept), quote::shell(user));
            let body = format!(
                "install -m 0600 -o {user} -g \"$(id -g {user})\" {kept} \"/tmp/x509up_u$(id -u {user})\"\n"
            );
            planner.shell_at_every_boot(
                Stage::BeforeNetwork,
                &format!("x509-{}", self.number_of(user.as_str())),
                &body,
            );
        }
    }

    fn secrets(&mut self, show: &mut dyn FnMut(&mut Secret)) {
        self.host.iter_mut().for_each(|host| show(&mut host.key));
        self.proxies.iter_mut().for_each(|proxy| show(&mut proxy.proxy));
    }
}

impl X509 {
    fn number_of(&self, user: &str) -> usize {
        self.proxies.iter().position(|proxy| &*proxy.user == user).map_or(0, |at| at + 1)
    }

    fn plan_authorities(&self, planner: &mut Planner<'_>) {
        for (number, certificate) in self.authorities.iter().enumerate() {
            let name = format!("varve-{}", number + 1);
            planner.file(&format!("/usr/local/share/ca-certificates/{name}.crt"), certificate.as_str());
            planner.file(&format!("/etc/pki/ca-trust/source/anchors/{name}.pem"), certificate.as_str());
        }
        if self.authorities.is_empty() && !self.only_these {
            return;
        }
        let mut body = String::new();
        if self.only_these {
            body += "[ ! -e /etc/ca-certificates.conf ] || sed -i 's/^[^#!]/!&/' /etc/ca-certificates.conf\n";
        }
        body += "if command -v update-ca-certificates >/dev/null; then\n    update-ca-certificates\n\
                 elif command -v update-ca-trust >/dev/null; then\n    update-ca-trust\nfi\n";
        planner.shell(Stage::BeforeNetwork, "certificates", &body);
    }
}
