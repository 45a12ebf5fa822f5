//! `/etc/resolv.conf`: who knows the addresses of names.

use std::fmt::Write as _;

use super::Network;

/// More than three name servers nobody asks.
const MOST: usize = 3;

/// The file's text.
pub fn text(network: &Network) -> String {
    let mut text = String::new();
    for server in network.name_servers().iter().take(MOST) {
        let _ = writeln!(text, "nameserver {server}");
    }
    let mut domains: Vec<&str> = Vec::new();
    for domain in network.configured.iter().flat_map(|configured| &configured.lease.domains) {
        if !domains.contains(&domain.as_str()) && domains.len() < 6 {
            domains.push(domain);
        }
    }
    if !domains.is_empty() {
        let _ = writeln!(text, "search {}", domains.join(" "));
    }
    text
}
