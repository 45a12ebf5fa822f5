//! `/etc/resolv.conf`: who knows the addresses of names.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

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

/// Writes the file of an operating system that has none, or an empty one. A link, as to systemd-resolved, stays.
pub fn write_if_missing(network: &Network, root: &Path) {
    let path = root.join("etc/resolv.conf");
    let missing = match fs::symlink_metadata(&path) {
        Ok(there) => there.is_file() && there.len() == 0,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if missing {
        let _ = fs::write(&path, text(network));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_file_is_written() {
        let scratch = varve_testkit::Scratch::new();
        let directory = scratch.directory("etc");
        let network = Network::default();
        fs::write(directory.join("resolv.conf"), "mine").unwrap();
        write_if_missing(&network, &scratch.join(""));
        assert_eq!(fs::read_to_string(directory.join("resolv.conf")).unwrap(), "mine");
        fs::remove_file(directory.join("resolv.conf")).unwrap();
        std::os::unix::fs::symlink("/nowhere/else", directory.join("resolv.conf")).unwrap();
        write_if_missing(&network, &scratch.join(""));
        assert!(fs::symlink_metadata(directory.join("resolv.conf")).unwrap().is_symlink());
        fs::remove_file(directory.join("resolv.conf")).unwrap();
        write_if_missing(&network, &scratch.join(""));
        assert!(directory.join("resolv.conf").is_file());
    }
}
