//! User data: what somebody wants this machine to be, and what its cloud knows of it. One file per place that has it.
//!
//! A source is asked in two parts: a reader of bytes or of a directory, which tests feed, and the way to them. What comes is
//! bounded, and is not looked into here.

mod command_line;
mod config_drive;
mod disks;
mod fw_cfg;
mod guestinfo;
mod metadata_server;
mod no_cloud;
mod open_nebula;
mod ovf_environment;
pub mod pairing;
mod smbios;

use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::Path;

use crate::command_line::CommandLine;
use crate::console::Console;

pub use self::fw_cfg::DIRECTORY as FW_CFG;

/// No user data is larger: clouds allow 16 to 64 KiB.
pub const MOST_USER_DATA: u64 = 4 << 20;
/// No other file of a source is larger.
pub const MOST_METADATA: u64 = 1 << 20;
/// No machine has more.
const MOST_KEYS: usize = 200;

/// What a source has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The user data, as they came; `None` if there are only facts.
    pub user_data: Option<Vec<u8>>,
    /// What the cloud knows of the machine.
    pub facts: Facts,
    /// How the network is to be set up, in cloud-init's words.
    pub network_config: Option<String>,
    /// The keys that open what is sealed in the user data, as `varve context keygen` writes them.
    pub identity: Option<String>,
}

/// What a cloud knows of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Which machine it is: another one is a new machine.
    pub instance_id: Option<String>,
    /// Its name.
    pub hostname: Option<String>,
    /// Keys that let in by ssh.
    pub public_keys: Vec<String>,
}

impl Facts {
    /// Without what can't be meant: empty words, lines that aren't one.
    #[must_use]
    pub fn checked(mut self) -> Self {
        let word = |text: String| {
            let text = text.trim().to_owned();
            (!text.is_empty() && text.len() <= 253 && !text.chars().any(|c| c.is_control() || c == ' '))
                .then_some(text)
        };
        self.instance_id = self.instance_id.and_then(word);
        self.hostname = self.hostname.and_then(word);
        let keys = std::mem::take(&mut self.public_keys);
        let keys = keys.into_iter().map(|key| key.trim().to_owned());
        self.public_keys = keys
            .filter(|key| !key.is_empty() && key.len() <= 16 << 10 && !key.chars().any(char::is_control))
            .take(MOST_KEYS)
            .collect();
        self
    }
}

/// User data and where they came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserData {
    /// The source's name, as it is shown.
    pub source: String,
    /// What it has.
    pub found: Found,
}

/// Asks the sources of the machine itself, which need no network: the kernel's command line, the hypervisor's firmware, disks.
pub fn local(line: &CommandLine, console: &Console) -> Option<UserData> {
    let named = |source: &str, found: Found| UserData { source: source.to_owned(), found };
    match command_line::read(line) {
        Ok(Some(found)) => return Some(named("kernel command line", found)),
        Ok(None) => {}
        Err(reason) => console.error(
            format_args!("varve.userdata= on the kernel's command line: {reason}"),
            Some("it takes user data in base64"),
        ),
    }
    if let Some(found) = fw_cfg::read(Path::new(FW_CFG)) {
        return Some(named("QEMU fw_cfg", found));
    }
    if let Some(found) = guestinfo::read() {
        return Some(named("VMware guestinfo", found));
    }
    if let Some(found) = disks::read(console) {
        return Some(found);
    }
    smbios::read(Path::new(smbios::DIRECTORY)).map(|found| named("SMBIOS", found))
}

/// Asks the metadata servers of every cloud. `dhcp_servers` gave the machine its addresses.
pub fn remote(dhcp_servers: &[IpAddr], console: &Console) -> Option<UserData> {
    metadata_server::read(dhcp_servers, |what| console.warn(what))
}

/// The facts in OpenStack's `meta_data.json`, which its disks and its servers have.
fn open_stack_facts(text: &str) -> Option<Facts> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let words = value.as_object()?;
    let word = |name: &str| words.get(name)?.as_str().map(str::to_owned);
    let keys = words.get("public_keys").and_then(|keys| keys.as_object());
    Some(Facts {
        instance_id: word("uuid"),
        hostname: word("hostname"),
        public_keys: keys
            .into_iter()
            .flatten()
            .filter_map(|(_, key)| key.as_str())
            .map(str::to_owned)
            .collect(),
    })
}

/// A file of a source; `None` if it isn't there, or is larger than it can be.
fn file(path: &Path, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = |bytes: &mut Vec<u8>| -> io::Result<()> {
        File::open(path)?.take(most + 1).read_to_end(bytes)?;
        Ok(())
    };
    (read(&mut bytes).is_ok() && bytes.len() as u64 <= most).then_some(bytes)
}

/// A file of a source that is text.
fn text_file(path: &Path) -> Option<String> {
    String::from_utf8(file(path, MOST_METADATA)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_single_words() {
        let facts = Facts {
            instance_id: Some(" i-1\n".into()),
            hostname: Some("a b".into()),
            public_keys: vec!["ssh-rsa AAA me\n".into(), String::new(), "a\nb".into()],
        };
        let checked = facts.checked();
        assert_eq!(checked.instance_id.as_deref(), Some("i-1"));
        assert_eq!(checked.hostname, None);
        assert_eq!(checked.public_keys, ["ssh-rsa AAA me"]);
    }
}
