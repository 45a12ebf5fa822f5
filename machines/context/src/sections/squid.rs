//! `[squid]`: an HTTP proxy on this machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later, longer};
use crate::plan::Planner;
use crate::text::{PlainPath, Word};

/// The proxy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Squid {
    /// Whether there is one; yes where anything else is said.
    pub enable: Option<bool>,
    /// The port; 3128 without.
    pub port: Option<u16>,
    /// Networks that may use it; private ones without.
    pub allow: Vec<Word>,
    /// The only servers that may be asked, if any.
    pub servers: Vec<Word>,
    /// Proxies that it asks itself: `proxy.example.org:3128`.
    pub parents: Vec<Word>,
    /// Where it keeps things; `/var/spool/squid` without.
    pub cache: Option<PlainPath>,
    /// How much it keeps on disk, in MiB.
    pub cache_size: Option<u32>,
    /// How much it keeps in memory, in MiB.
    pub memory: Option<u32>,
}

impl Section for Squid {
    fn merge(&mut self, other: Self) {
        later(&mut self.enable, other.enable);
        later(&mut self.port, other.port);
        longer(&mut self.allow, other.allow);
        longer(&mut self.servers, other.servers);
        longer(&mut self.parents, other.parents);
        later(&mut self.cache, other.cache);
        later(&mut self.cache_size, other.cache_size);
        later(&mut self.memory, other.memory);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        if *self == Self::default() || self.enable == Some(false) {
            return;
        }
        planner.file("/etc/squid/squid.conf", self.settings());
        planner.enable_if_there("squid.service");
    }
}

impl Squid {
    fn settings(&self) -> String {
        let mut text = format!("# Written by Varve.\nhttp_port {}\n", self.port.unwrap_or(3128));
        let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"];
        let networks: Vec<&str> = if self.allow.is_empty() {
            private.to_vec()
        } else {
            self.allow.iter().map(Word::as_str).collect()
        };
        for network in networks {
            text += &format!("acl clients src {network}\n");
        }
        for server in &self.servers {
            text += &format!("acl servers dstdomain {server}\n");
        }
        if !self.servers.is_empty() {
            text += "http_access deny !servers\n";
        }
        text += "http_access allow localhost\nhttp_access allow clients\nhttp_access deny all\n";
        for parent in &self.parents {
            let (host, port) = parent.rsplit_once(':').unwrap_or((parent, "3128"));
            text += &format!("cache_peer {host} parent {port} 0 no-query default\n");
        }
        if !self.parents.is_empty() {
            text += "never_direct allow all\n";
        }
        let cache = self.cache.as_deref().unwrap_or("/var/spool/squid");
        text += &format!(
            "cache_mem {} MB\nmaximum_object_size_in_memory 128 KB\nmaximum_object_size 1024 MB\ncache_dir ufs {} {} 16 256\n",
            self.memory.unwrap_or(128),
            cache,
            self.cache_size.unwrap_or(5000),
        );
        text + "collapsed_forwarding on\n"
    }
}
