//! `[network]`: interfaces, name servers, the kernel's settings. The guest brings the network up by the same section; in the
//! machine systemd-networkd keeps it up.

mod networkd;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later, longer};
use crate::plan::Planner;
use crate::text::{HostName, Line, Name, Word};

/// The network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Network {
    /// Interfaces; those that are not named get an address by DHCP.
    pub interfaces: Vec<Interface>,
    /// Name servers of all interfaces.
    pub name_servers: Vec<Word>,
    /// Domains in which names without a dot are looked up.
    pub search: Vec<HostName>,
    /// Options of resolv.conf(5).
    pub resolver_options: Vec<Word>,
    /// Whether `/etc/resolv.conf` is written, rather than left to the system's resolver.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub write_resolver: bool,
    /// The proxy for programs that ask the environment.
    pub proxy: Option<Word>,
    /// The kernel's settings: `net.core.rmem_max`.
    pub kernel: BTreeMap<Word, Line>,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Interface {
    /// Its name; with `mac`, the name that it gets.
    pub name: Name,
    /// The hardware address that it is known by.
    pub mac: Option<Word>,
    /// The names that are meant, as in `en*`, in place of the one name.
    pub pattern: Option<Word>,
    /// The driver that it is known by.
    pub driver: Option<Word>,
    /// What it is made of; a piece of hardware without.
    #[serde(default)]
    pub kind: InterfaceKind,
    /// Whether it asks for an IPv4 address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dhcp4: bool,
    /// Whether it asks for an IPv6 address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dhcp6: bool,
    /// Whether it listens to what routers say.
    pub accept_routers: Option<bool>,
    /// Its addresses: `192.0.2.7/24`.
    #[serde(default)]
    pub addresses: Vec<Word>,
    /// Its routes.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Name servers that are reached by it.
    #[serde(default)]
    pub name_servers: Vec<Word>,
    /// Domains in which names without a dot are looked up.
    #[serde(default)]
    pub search: Vec<HostName>,
    /// The largest packet.
    pub mtu: Option<u32>,
    /// The hardware address that it is given.
    pub new_mac: Option<Word>,
    /// Whether nobody waits for it at boot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// The interfaces that a bond or bridge is made of.
    #[serde(default)]
    pub members: Vec<Name>,
    /// Settings of a bond or bridge, named as in systemd.netdev(5).
    #[serde(default)]
    pub parameters: BTreeMap<Name, Word>,
    /// The interface that a VLAN is on.
    pub link: Option<Name>,
    /// The number of a VLAN.
    pub vlan: Option<u16>,
}

/// What an interface is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InterfaceKind {
    /// A piece of hardware.
    #[default]
    Physical,
    /// Several interfaces as one.
    Bond,
    /// A switch.
    Bridge,
    /// A part of another one.
    Vlan,
    /// The machine itself.
    Loopback,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Route {
    /// Where to: a network, or `default`.
    pub to: Word,
    /// By which gateway.
    pub via: Option<Word>,
    /// The lower one counts.
    pub metric: Option<u32>,
    /// Whether the gateway is reached without a route to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_link: bool,
}

impl Interface {
    /// An interface of which only the name is known.
    pub fn named(name: Name) -> Self {
        Self {
            name,
            mac: None,
            pattern: None,
            driver: None,
            kind: InterfaceKind::Physical,
            dhcp4: false,
            dhcp6: false,
            accept_routers: None,
            addresses: Vec::new(),
            routes: Vec::new(),
            name_servers: Vec::new(),
            search: Vec::new(),
            mtu: None,
            new_mac: None,
            optional: false,
            members: Vec::new(),
            parameters: BTreeMap::new(),
            link: None,
            vlan: None,
        }
    }
}

impl Section for Network {
    fn merge(&mut self, other: Self) {
        self.interfaces
            .retain(|interface| !other.interfaces.iter().any(|newer| newer.name == interface.name));
        self.interfaces.extend(other.interfaces);
        longer(&mut self.name_servers, other.name_servers);
        longer(&mut self.search, other.search);
        longer(&mut self.resolver_options, other.resolver_options);
        self.write_resolver |= other.write_resolver;
        later(&mut self.proxy, other.proxy);
        self.kernel.extend(other.kernel);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        networkd::plan(self, planner);
        self.plan_resolver(planner);
        if let Some(proxy) = &self.proxy {
            let mut text = String::from("# Written by Varve.\n");
            for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
                text += &format!("export {name}={}\n", crate::quote::shell(proxy));
            }
            planner.file("/etc/profile.d/varve-proxy.sh", text);
        }
        if !self.kernel.is_empty() {
            let lines: String = self.kernel.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
            planner.file("/etc/sysctl.d/90-varve.conf", format!("# Written by Varve.\n{lines}"));
        }
    }
}

impl Network {
    fn plan_resolver(&self, planner: &mut Planner<'_>) {
        let servers: Vec<&str> = self.name_servers.iter().map(Word::as_str).collect();
        let search: Vec<&str> = self.search.iter().map(HostName::as_str).collect();
        if self.write_resolver {
            let mut text = String::from("# Written by Varve.\n");
            text.extend(servers.iter().map(|server| format!("nameserver {server}\n")));
            if !search.is_empty() {
                text += &format!("search {}\n", search.join(" "));
            }
            if !self.resolver_options.is_empty() {
                let options: Vec<&str> = self.resolver_options.iter().map(Word::as_str).collect();
                text += &format!("options {}\n", options.join(" "));
            }
            planner.file("/etc/resolv.conf", text);
        } else if !servers.is_empty() || !search.is_empty() {
            let mut text = String::from("# Written by Varve.\n[Resolve]\n");
            if !servers.is_empty() {
                text += &format!("DNS={}\n", servers.join(" "));
            }
            if !search.is_empty() {
                text += &format!("Domains={}\n", search.join(" "));
            }
            planner.file("/etc/systemd/resolved.conf.d/50-varve.conf", text);
        }
    }
}
