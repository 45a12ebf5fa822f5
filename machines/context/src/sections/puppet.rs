//! `[puppet]`: a machine that is looked after by Puppet.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later};
use crate::plan::Planner;
use crate::text::{HostName, Line, Name, VariableName};

/// The agent of Puppet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Puppet {
    /// The server.
    pub server: Option<HostName>,
    /// Its port.
    pub port: Option<u16>,
    /// The name of this machine's certificate.
    pub certname: Option<Name>,
    /// The environment.
    pub environment: Option<Name>,
    /// The certificate of the server's authority, as PEM.
    pub authority: Option<String>,
    /// Further settings of `[main]`.
    pub main: BTreeMap<VariableName, Line>,
    /// Further settings of `[agent]`.
    pub agent: BTreeMap<VariableName, Line>,
    /// Settings of a server on this machine.
    pub master: BTreeMap<VariableName, Line>,
    /// Attributes for the request for the certificate.
    pub request_attributes: BTreeMap<Name, Line>,
}

impl Section for Puppet {
    fn merge(&mut self, other: Self) {
        later(&mut self.server, other.server);
        later(&mut self.port, other.port);
        later(&mut self.certname, other.certname);
        later(&mut self.environment, other.environment);
        later(&mut self.authority, other.authority);
        self.main.extend(other.main);
        self.agent.extend(other.agent);
        self.master.extend(other.master);
        self.request_attributes.extend(other.request_attributes);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        if *self == Self::default() {
            return;
        }
        let text = self.settings();
        for directory in ["/etc/puppet", "/etc/puppetlabs/puppet"] {
            planner.file(&format!("{directory}/puppet.conf"), text.as_str());
            if let Some(authority) = &self.authority {
                planner.file(&format!("{directory}/ssl/certs/ca.pem"), authority.as_str());
            }
            if !self.request_attributes.is_empty() {
                let mut yaml = String::from("custom_attributes:\n");
                for (name, value) in &self.request_attributes {
                    // Single quotes hold everything but themselves.
                    yaml += &format!("  '{name}': '{}'\n", value.replace('\'', "''"));
                }
                planner.file(&format!("{directory}/csr_attributes.yaml"), yaml);
            }
        }
        planner.enable_if_there("puppet.service");
    }
}

impl Puppet {
    fn settings(&self) -> String {
        let mut text = String::from("# Written by Varve.\n[main]\n");
        let port = self.port.map(|port| port.to_string());
        let own = [
            ("server", self.server.as_deref()),
            ("serverport", port.as_deref()),
            ("certname", self.certname.as_deref()),
            ("environment", self.environment.as_deref()),
        ];
        for (name, value) in own {
            if let Some(value) = value {
                text += &format!("{name} = {value}\n");
            }
        }
        text.extend(self.main.iter().map(|(name, value)| format!("{name} = {value}\n")));
        for (section, settings) in [("agent", &self.agent), ("master", &self.master)] {
            if !settings.is_empty() {
                text += &format!("\n[{section}]\n");
                text.extend(settings.iter().map(|(name, value)| format!("{name} = {value}\n")));
            }
        }
        text
    }
}
