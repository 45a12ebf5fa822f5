//! Hands the network over to the operating system: settings for systemd-networkd, by which it goes on with what the cards
//! have, and never takes it away: the system's own files come over this network.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::{Configured, Network};
use crate::error::GuestError;

/// Writes a file for each card into `run`, the directory that will be `/run`. The operating system's own files go before
/// them if their names come earlier.
///
/// # Errors
/// [`GuestError::Io`].
pub fn write_networkd(network: &Network, run: &Path) -> Result<(), GuestError> {
    let directory = run.join("systemd/network");
    fs::create_dir_all(&directory).map_err(GuestError::io("create", &directory))?;
    for configured in &network.configured {
        let path = directory.join(format!("50-varve-{}.network", configured.interface.name));
        fs::write(&path, text(configured)).map_err(GuestError::io("write", &path))?;
    }
    Ok(())
}

fn text(configured: &Configured) -> String {
    let Configured { interface, lease } = configured;
    let mut text =
        format!("[Match]\nMACAddress={}\nType=ether\n\n[Network]\nKeepConfiguration=yes\n", interface.mac);
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(text, "{name}={value}");
    };
    if lease.dhcp.is_some() {
        line("DHCP", &"ipv4");
    } else if !lease.announced {
        line("Address", &format_args!("{}/{}", lease.address, lease.prefix));
        for server in &lease.name_servers {
            line("DNS", server);
        }
        for server in &lease.time_servers {
            line("NTP", server);
        }
    }
    line("IPv6AcceptRA", &"yes");
    if lease.dhcp.is_some() {
        text.push_str("\n[DHCPv4]\nUseMTU=yes\nUseDomains=yes\n");
    } else {
        for route in &lease.routes {
            let _ = writeln!(text, "\n[Route]\nDestination={}/{}", route.destination, route.prefix);
            if let Some(gateway) = route.gateway {
                let _ = writeln!(text, "Gateway={gateway}");
            }
        }
    }
    if let Some(mtu) = lease.mtu {
        let _ = writeln!(text, "\n[Link]\nMTUBytes={mtu}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::lease::{Granted, Lease, Route};
    use super::*;

    #[test]
    fn the_operating_system_keeps_what_the_card_has() {
        let gateway = Ipv4Addr::new(10, 0, 0, 1);
        let lease = Lease {
            address: Ipv4Addr::new(10, 0, 0, 5).into(),
            prefix: 24,
            routes: vec![Route::default_over(gateway.into())],
            name_servers: vec![gateway.into()],
            domains: vec![],
            hostname: None,
            mtu: Some(1400),
            time_servers: vec![],
            dhcp: None,
            announced: false,
        };
        let interface = serde_json::from_value(serde_json::json!({
            "name": "eth0", "index": 2, "mac": "52:54:00:12:34:56", "kind": 1, "physical": true
        }));
        let mut configured = Configured { interface: interface.unwrap(), lease };
        let fixed = text(&configured);
        for line in [
            "MACAddress=52:54:00:12:34:56",
            "KeepConfiguration=yes",
            "Address=10.0.0.5/24",
            "Gateway=10.0.0.1",
            "MTUBytes=1400",
        ] {
            assert!(fixed.lines().any(|found| found == line), "{line}: {fixed}");
        }
        configured.lease.dhcp = Some(Granted { server: gateway, seconds: 60 });
        let dynamic = text(&configured);
        assert!(dynamic.contains("\nDHCP=ipv4\n") && !dynamic.contains("Address=10"), "{dynamic}");
    }
}
