//! `varve-guest appliance`: the page on which people see and change this machine.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use varve_guest::appliance::{self, ADDRESS, ApplianceConfig};
use varve_guest::console::chain;
use varve_guest::releases::Published;

pub(crate) const USAGE: &str = "       varve-guest appliance              the address of this machine's page, with its token\n\
     \x20      varve-guest appliance serve [--listen ADDRESS:PORT]\n";

/// Readable by root alone.
const TOKEN: &str = "/run/varve/appliance.token";

/// Serves the page, or shows where it is.
pub(crate) fn run(words: &[String], now: fn() -> SystemTime) -> Result<String, String> {
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            let token = fs::read_to_string(TOKEN).map_err(|error| {
                format!("cannot read {TOKEN}: {error}; start the page with 'systemctl start varve-appliance', and ask as root")
            })?;
            Ok(format!("http://{ADDRESS}/#token={token}\n"))
        }
        ["serve"] => serve(ADDRESS, now),
        ["serve", "--listen", address] => serve(address, now),
        _ => Err(format!("'{}' is not known\n{USAGE}", words.join(" "))),
    }
}

fn serve(address: &str, now: fn() -> SystemTime) -> Result<String, String> {
    let address: SocketAddr =
        address.parse().map_err(|_| format!("'{address}' is no address and port such as {ADDRESS}"))?;
    let published = Published::of_this_machine(now).map_err(|error| chain(&error))?;
    let config = ApplianceConfig {
        root: PathBuf::from("/"),
        versions: published.versions().map(|versions| versions.directory().to_owned()),
        token: PathBuf::from(TOKEN),
        systemctl: Path::new("/usr/bin/systemctl").to_owned(),
        now,
        releases: Arc::new(published),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    runtime
        .block_on(appliance::serve(address, config))
        .map_err(|error| format!("cannot listen at {address}: {error}"))?;
    Ok(String::new())
}
