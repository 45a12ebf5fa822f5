//! `[monitoring]`: who may watch the machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later};
use crate::plan::Planner;
use crate::text::{Line, Word};

/// Monitoring.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Monitoring {
    /// The port of Prometheus' node exporter; none runs without.
    pub node_exporter: Option<u16>,
    /// Ganglia.
    pub ganglia: Option<Ganglia>,
}

/// What Ganglia's gmond is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Ganglia {
    /// The cluster's name.
    pub name: Option<Line>,
    /// Whose it is.
    pub owner: Option<Line>,
    /// Where it is: `N46 E6`.
    pub latlong: Option<Line>,
    /// Its page.
    pub url: Option<Line>,
    /// Where in it this machine stands.
    pub location: Option<Line>,
    /// Whom the values are sent to.
    pub host: Option<Word>,
    /// Whether they are sent from the address of the machine's name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bind_hostname: bool,
    /// The port; 8649 without.
    pub port: Option<u16>,
    /// How many routers a packet may pass.
    pub ttl: Option<u8>,
}

impl Section for Monitoring {
    fn merge(&mut self, other: Self) {
        later(&mut self.node_exporter, other.node_exporter);
        later(&mut self.ganglia, other.ganglia);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        if let Some(port) = self.node_exporter {
            let text = format!("# Written by Varve.\nARGS=\"--web.listen-address=:{port}\"\n");
            planner.file("/etc/default/prometheus-node-exporter", text);
            planner.enable_if_there("prometheus-node-exporter.service");
        }
        if let Some(ganglia) = &self.ganglia {
            let text = ganglia.settings();
            planner.file("/etc/ganglia/gmond.conf", text);
            planner.enable_if_there("gmond.service");
            planner.enable_if_there("ganglia-monitor.service");
        }
    }
}

impl Ganglia {
    fn settings(&self) -> String {
        let port = self.port.unwrap_or(8649);
        let text = |value: &Option<Line>| quoted(value.as_deref().unwrap_or("unspecified"));
        let send = match &self.host {
            Some(host) => format!("  host = {}\n", quoted(host)),
            None => "  mcast_join = 239.2.11.71\n".to_owned(),
        };
        let receive = if self.host.is_some() { "" } else { "  mcast_join = 239.2.11.71\n" };
        let bind = if self.bind_hostname { "yes" } else { "no" };
        let mut conf = format!(
            "/* Written by Varve. */\nglobals {{\n  daemonize = yes\n  setuid = yes\n  user = ganglia\n  host_dmax = 86400\n  send_metadata_interval = 30\n}}\n\
             cluster {{\n  name = {}\n  owner = {}\n  latlong = {}\n  url = {}\n}}\nhost {{\n  location = {}\n}}\n\
             udp_send_channel {{\n{send}  port = {port}\n  ttl = {}\n  bind_hostname = {bind}\n}}\n\
             udp_recv_channel {{\n{receive}  port = {port}\n}}\ntcp_accept_channel {{\n  port = {port}\n}}\nmodules {{\n  module {{\n    name = \"core_metrics\"\n  }}\n",
            text(&self.name),
            text(&self.owner),
            text(&self.latlong),
            text(&self.url),
            text(&self.location),
            self.ttl.unwrap_or(1),
        );
        for module in ["cpu", "disk", "load", "mem", "net", "proc", "sys"] {
            conf += &format!(
                "  module {{\n    name = \"{module}_module\"\n    path = \"mod{module}.so\"\n  }}\n"
            );
        }
        conf += "}\n";
        for metric in [
            "load_one",
            "cpu_user",
            "cpu_system",
            "cpu_idle",
            "mem_free",
            "disk_free",
            "bytes_in",
            "bytes_out",
        ] {
            conf += &format!(
                "collection_group {{\n  collect_every = 20\n  time_threshold = 90\n  metric {{\n    name = \"{metric}\"\n  }}\n}}\n"
            );
        }
        conf
    }
}

/// A string of gmond.conf, which knows no escapes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace(['"', '\\'], "'"))
}
