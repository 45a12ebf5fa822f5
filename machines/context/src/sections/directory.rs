//! `[directory]`: users who are known elsewhere, by LDAP or NIS.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later};
use crate::plan::{Content, Planner};
use crate::text::{HostName, Line, Name, Owner, Word};

/// Directory services.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Directory {
    /// The LDAP server: `ldaps://ldap.example.org`.
    pub ldap: Option<Word>,
    /// Where in its tree the users are.
    pub ldap_base: Option<Line>,
    /// The NIS domain.
    pub nis_domain: Option<HostName>,
    /// The NIS server; asked for by broadcast without.
    pub nis_server: Option<HostName>,
    /// Lines of nsswitch.conf(5), by database.
    pub lookups: BTreeMap<Name, Line>,
}

impl Section for Directory {
    fn merge(&mut self, other: Self) {
        later(&mut self.ldap, other.ldap);
        later(&mut self.ldap_base, other.ldap_base);
        later(&mut self.nis_domain, other.nis_domain);
        later(&mut self.nis_server, other.nis_server);
        self.lookups.extend(other.lookups);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        if let Some(server) = &self.ldap {
            let base =
                self.ldap_base.as_ref().map_or(String::new(), |base| format!("ldap_search_base = {base}\n"));
            let text = format!(
                "# Written by Varve.\n[sssd]\nservices = nss, pam\ndomains = default\n\n[domain/default]\nid_provider = ldap\nauth_provider = ldap\nldap_uri = {server}\n{base}cache_credentials = true\n"
            );
            planner.file_with("/etc/sssd/sssd.conf", Content::Text(text), 0o600, Owner::root());
            planner.enable_if_there("sssd.service");
        }
        if let Some(domain) = &self.nis_domain {
            planner.file("/etc/defaultdomain", format!("{domain}\n"));
            let line = match &self.nis_server {
                Some(server) => format!("domain {domain} server {server}\n"),
                None => format!("domain {domain} broadcast\n"),
            };
            planner.file("/etc/yp.conf", line);
            planner.enable_if_there("ypbind.service");
        }
        for (database, services) in &self.lookups {
            if let Ok(line) = Line::parse(format!("{database}: {services}")) {
                planner.lines("/etc/nsswitch.conf", Some(&format!("{database}:")), vec![line]);
            }
        }
    }
}
