//! `[vpn]`: a network that is reached by OpenVPN.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Section;
use crate::plan::Planner;
use crate::secret::Secret;
use crate::text::{HostName, Word};

/// The tunnel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Vpn {
    /// The server; there is no tunnel without.
    pub server: Option<HostName>,
    /// Its port; 1194 without.
    pub port: Option<u16>,
    /// `udp` or `tcp`.
    pub protocol: Option<Word>,
    /// The certificate of its authority, as PEM.
    pub authority: Option<String>,
    /// The machine's certificate, as PEM.
    pub certificate: Option<String>,
    /// The key of that, as PEM.
    pub key: Option<Secret>,
}

impl Section for Vpn {
    fn merge(&mut self, later: Self) {
        if later.server.is_some() {
            *self = later;
        }
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        let Some(server) = &self.server else { return };
        let protocol = self.protocol.as_deref().unwrap_or("udp");
        let mut text = format!(
            "# Written by Varve.\nclient\ndev tun\nproto {protocol}\nremote {server} {}\nresolv-retry infinite\nnobind\npersist-key\npersist-tun\nremote-cert-tls server\n",
            self.port.unwrap_or(1194)
        );
        let directory = "/etc/openvpn/client";
        for (name, keyword, pem) in
            [("varve-ca.crt", "ca", &self.authority), ("varve.crt", "cert", &self.certificate)]
        {
            if let Some(pem) = pem {
                planner.file(&format!("{directory}/{name}"), pem.as_str());
                text += &format!("{keyword} {name}\n");
            }
        }
        if let Some(key) = &self.key {
            planner.secret_file(&format!("{directory}/varve.key"), key);
            text += "key varve.key\n";
        }
        planner.file(&format!("{directory}/varve.conf"), text);
        planner.enable_if_there("openvpn-client@varve.service");
    }

    fn secrets(&mut self, show: &mut dyn FnMut(&mut Secret)) {
        self.key.iter_mut().for_each(show);
    }
}
