//! What user data make of the machine: read before there is a root directory, applied to it before its init starts.

use std::net::IpAddr;
use std::path::Path;

use varve_context::sections::boot::Boot;
use varve_context::sections::network::{Interface, InterfaceKind};
use varve_context::text::{HostName, Line, Word};
use varve_context::{Document, Identity, Outcome, Reference, Secret, Severity};

use crate::config::BootSection;
use crate::console::{Console, chain};
use crate::datasource::{Found, MOST_USER_DATA};
use crate::fetch::{FetchError, Fetcher, Taken};
use crate::network::address::Fixed;
use crate::network::lease::{Lease, Route};

/// The most user data that others refer to, and the longest secret in bytes.
const MOST_INCLUDED: usize = 64;
const LONGEST_SECRET: u64 = 1 << 20;

/// User data, read.
#[derive(Default)]
pub(crate) struct Context {
    document: Document,
    /// What is still to be fetched and read.
    references: Vec<Reference>,
    /// How much was fetched.
    included: usize,
    identities: Vec<Identity>,
    /// What was fetched, and must not be at the next start.
    fetched: Vec<String>,
}

impl Context {
    /// Reads what a source has: what the cloud knows first, and over it what the user says. What is wrong with it is said, and
    /// the rest counts.
    pub(crate) fn read(found: &Found, console: &Console) -> Self {
        let mut document = Document::default();
        document.machine.hostname =
            found.facts.hostname.as_deref().and_then(|name| HostName::parse(name).ok());
        let keys = found.facts.public_keys.iter();
        document.ssh.root_keys = keys.filter_map(|key| Line::parse(key.as_str()).ok()).collect();
        if let Some(text) = &found.network_config {
            let read = varve_context::read_network(text.as_bytes());
            read.notices
                .iter()
                .for_each(|notice| console.warn(format_args!("network-config: {}", notice.message)));
            document.merge(read.document);
        }
        let mut context = Self { document, ..Self::default() };
        if let Some(text) = &found.identity {
            match Identity::parse_file(text) {
                Ok(identities) => context.identities = identities,
                Err(error) => {
                    console.error(format_args!("the key of sealed secrets: {}", chain(&error)), None);
                }
            }
        }
        if let Some(bytes) = &found.user_data {
            context.add(bytes, "user data", console);
        }
        context
    }

    /// Reads more, over what there is.
    fn add(&mut self, bytes: &[u8], source: &str, console: &Console) {
        let read = varve_context::read(bytes);
        for notice in &read.notices {
            let text = format!("{source}: {}", notice.message);
            match notice.severity {
                Severity::Error => console.error(text, notice.hint.as_deref()),
                _ => console.warn(text),
            }
        }
        self.document.merge(read.document);
        self.references.extend(read.references);
    }

    /// Fetches what it refers to by `http://`: it may say which operating system is booted.
    pub(crate) fn include_plain(&mut self, console: &Console) {
        let here = |address: &str| address.starts_with("http://");
        self.include(here, Fetcher::plain, None, console);
    }

    /// Fetches everything else: what it refers to by `https://`, with the certificates of the system in `root`, and secrets.
    /// Then opens those that are sealed.
    pub(crate) fn complete(&mut self, root: &Path, taken: &Taken, console: &Console) {
        self.include(|_| true, || Fetcher::encrypted(root), Some(taken), console);
        for left in std::mem::take(&mut self.references) {
            console.warn(format_args!("user data: {left:?} is not fetched"));
        }
        self.fetch_secrets(root, taken, console);
        if let Err(error) = self.document.unseal(&self.identities) {
            console.error(
                format_args!("user data: {}", chain(&error)),
                Some("the machine has no key that opens it: give it one with varve vm run --identity"),
            );
        }
    }

    fn include(
        &mut self,
        here: impl Fn(&str) -> bool,
        fetcher: impl Fn() -> Result<Fetcher, FetchError>,
        taken: Option<&Taken>,
        console: &Console,
    ) {
        let is_wanted = |reference: &Reference| match reference {
            Reference::Include { address, once } => here(address) && (!once || taken.is_some()),
            Reference::Online { .. } | Reference::Hepix { .. } => false,
        };
        while let Some(at) = self.references.iter().position(is_wanted) {
            let Reference::Include { address, once } = self.references.remove(at) else { continue };
            if once && taken.is_some_and(|taken| taken.has(&address)) {
                continue;
            }
            self.included += 1;
            if self.included > MOST_INCLUDED {
                return console.error("user data refer to too many others", None);
            }
            let fetched = match address.starts_with("http://") {
                true => Fetcher::plain(),
                false => fetcher(),
            };
            match fetched.and_then(|fetcher| fetcher.get(&address, MOST_USER_DATA)) {
                Ok(bytes) => {
                    self.add(&bytes, &address, console);
                    self.fetched.extend(once.then_some(address));
                }
                Err(error) => console.error(format_args!("user data: {}", chain(&error)), None),
            }
        }
    }

    fn fetch_secrets(&mut self, root: &Path, taken: &Taken, console: &Console) {
        let mut fetched = Vec::new();
        self.document.secrets(&mut |secret| {
            let Secret::Fetch(address) = secret else { return };
            if taken.has(address) {
                *secret = Secret::Taken;
                return;
            }
            let bytes = Fetcher::encrypted(root).and_then(|fetcher| fetcher.get(address, LONGEST_SECRET));
            match bytes.map(String::from_utf8) {
                Ok(Ok(text)) => {
                    fetched.push(address.clone());
                    *secret = match text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") {
                        true => Secret::Sealed(text),
                        false => Secret::Plain(text.trim_end_matches('\n').to_owned()),
                    };
                }
                Ok(Err(_)) => console.error(format_args!("the secret at {address} is no text"), None),
                Err(error) => console.error(format_args!("a secret: {}", chain(&error)), None),
            }
        });
        self.fetched.extend(fetched);
    }

    /// Remembers what was fetched and is not to be fetched again, once it has been put to its use.
    pub(crate) fn remember(&self, taken: &Taken, console: &Console) {
        if let Err(error) = taken.add(&self.fetched) {
            console.warn(format_args!("what was fetched once is fetched again at the next start: {error}"));
        }
    }

    /// What it says about the operating system.
    pub(crate) fn boot_section(&self) -> BootSection {
        let Boot { repository, servers, tag, hash, date, proxy, .. } = &self.document.boot;
        BootSection {
            repository: repository.as_ref().map(ToString::to_string),
            servers: servers.iter().map(|server| crate::config::server_address(server)).collect(),
            keys: Vec::new(),
            proxy: proxy.as_ref().map(ToString::to_string),
            tag: tag.as_ref().map(ToString::to_string),
            hash: hash.as_ref().map(ToString::to_string),
            date: date.as_ref().map(ToString::to_string),
            hub: None,
            hub_certificate: None,
            init: None,
        }
    }

    /// Whether the whole scratch disk is to be used.
    pub(crate) fn wants_whole_disk(&self) -> bool {
        self.document.boot.whole_disk == Some(true)
    }

    /// Applies it to a root directory, and returns the machine's name: its own, or the one that the network offers.
    pub(crate) fn apply(
        &self,
        root: &Path,
        days: u32,
        offered: Option<String>,
        console: &Console,
    ) -> Option<String> {
        let mut document = self.document.clone();
        if document.machine.hostname.is_none() {
            document.machine.hostname = offered.and_then(|name| HostName::parse(name).ok());
        }
        let plan = document.plan();
        for notice in &plan.notices {
            console.warn(format_args!("user data: {}", notice.message));
        }
        match plan.apply(root, days) {
            Ok(report) => {
                for (step, why) in report.failures(&plan) {
                    console.error(format_args!("user data, {}: {why}", step.section), None);
                }
                let skipped = report.count(|outcome| matches!(outcome, Outcome::Skipped { .. }));
                let unchanged = report.count(|outcome| matches!(outcome, Outcome::Unchanged));
                console.say(format_args!(
                    "user data: {} changed, {unchanged} as they were, {skipped} skipped of {}",
                    report.changed(),
                    plan.steps.len()
                ));
            }
            Err(error) => console.error(chain(&error), None),
        }
        document.machine.hostname.map(|name| name.to_string())
    }
}

/// The addresses that a source gives to cards by hand, one for each: the operating system adds the others.
pub(crate) fn addresses(found: &Found) -> Vec<Fixed> {
    let given = found.network_config.as_ref().map(|text| varve_context::read_network(text.as_bytes()));
    let said = found.user_data.as_ref().map(|bytes| varve_context::read(bytes));
    // What the user says goes before what the cloud knows.
    let documents = said.into_iter().chain(given).map(|context| context.document);
    documents
        .flat_map(|document| document.network.interfaces.iter().filter_map(fixed).collect::<Vec<_>>())
        .collect()
}

fn fixed(interface: &Interface) -> Option<Fixed> {
    if interface.kind != InterfaceKind::Physical {
        return None;
    }
    let (address, prefix) = interface.addresses.iter().find_map(|text| {
        let (address, prefix) = text.as_str().split_once('/')?;
        Some((address.parse::<IpAddr>().ok()?, prefix.parse::<u8>().ok()?))
    })?;
    let same_family = |other: &IpAddr| other.is_ipv4() == address.is_ipv4();
    let parsed = |word: &Word| word.as_str().parse::<IpAddr>().ok();
    let is_default = |to: &str| matches!(to, "default" | "0.0.0.0/0" | "::/0");
    let gateway = interface.routes.iter().filter(|route| is_default(route.to.as_str()));
    let gateway = gateway.filter_map(|route| route.via.as_ref().and_then(parsed)).find(same_family);
    let named = interface.pattern.is_none() && interface.driver.is_none();
    let card =
        interface.mac.as_ref().map(ToString::to_string).or_else(|| named.then(|| interface.name.to_string()));
    let mut lease = Lease::by_hand(address, prefix);
    lease.routes.extend(gateway.map(Route::default_over));
    lease.name_servers = interface.name_servers.iter().filter_map(parsed).collect();
    lease.domains = interface.search.iter().map(ToString::to_string).collect();
    lease.mtu = interface.mtu;
    Some(Fixed { card, lease: Some(lease) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasource::Facts;

    fn quiet() -> Console {
        Console::of(Vec::new())
    }

    #[test]
    fn what_the_user_says_goes_before_what_the_cloud_knows() {
        let found = Found {
            user_data: Some(b"#cloud-config\nhostname: mine\n".to_vec()),
            facts: Facts {
                hostname: Some("cloud-1".into()),
                public_keys: vec!["ssh-rsa A".into()],
                ..Facts::default()
            },
            ..Found::default()
        };
        let context = Context::read(&found, &quiet());
        let scratch = varve_testkit::Scratch::new();
        std::fs::create_dir(scratch.join("etc")).unwrap();
        assert_eq!(
            context.apply(&scratch.join(""), 20_000, Some("dhcp".into()), &quiet()).as_deref(),
            Some("mine")
        );
        assert_eq!(std::fs::read_to_string(scratch.join("etc/hostname")).unwrap(), "mine\n");
        assert_eq!(context.document.ssh.root_keys.len(), 1);
    }

    #[test]
    fn without_a_name_the_network_s_counts() {
        let scratch = varve_testkit::Scratch::new();
        let name = Context::default().apply(&scratch.join(""), 20_000, Some("dhcp-1".into()), &quiet());
        assert_eq!(name.as_deref(), Some("dhcp-1"));
    }

    #[test]
    fn what_user_data_refer_to_is_fetched_and_counts() {
        let scratch = varve_testkit::Scratch::new();
        let server = varve_testkit::FaultyServer::new(&scratch.directory("served"));
        std::fs::write(scratch.join("served/more"), "#cloud-config\nhostname: fetched\n").unwrap();
        let include = format!("#include\n{0}/more\n#include-once\n{0}/none\n", server.url());
        let found = Found { user_data: Some(include.into_bytes()), ..Found::default() };
        let mut context = Context::read(&found, &quiet());
        context.include_plain(&quiet());
        assert_eq!(
            context.document.machine.hostname.as_ref().map(ToString::to_string).as_deref(),
            Some("fetched")
        );
        assert_eq!(server.count("/none"), 0, "what may be fetched once waits until that can be remembered");
        let taken = Taken::in_directory(&scratch.join(""), None);
        context.complete(&scratch.join(""), &taken, &quiet());
        assert_eq!(server.count("/none"), 1);
        assert!(context.fetched.is_empty(), "it isn't there, so it was not taken");
    }

    #[test]
    fn sealed_secrets_are_opened_with_the_machine_s_key() {
        let identity = Identity::generate();
        let Secret::Sealed(sealed) = Secret::from("munge".to_owned()).seal(&[identity.recipient()]).unwrap()
        else {
            panic!("it was to be sealed")
        };
        let text = format!(
            "[[files]]\npath = '/etc/secret'\nsecret = {{ sealed = \"\"\"{sealed}\"\"\" }}\n[[files]]\npath = \
             '/etc/other'\nsecret = {{ fetch = 'https://secrets.example.org/x' }}\n"
        );
        let found = Found {
            user_data: Some(text.into_bytes()),
            identity: Some(identity.to_file()),
            ..Found::default()
        };
        let scratch = varve_testkit::Scratch::new();
        let root = scratch.directory("root/etc").parent().unwrap().to_owned();
        let taken = Taken::in_directory(&scratch.join(""), None);
        taken.add(&["https://secrets.example.org/x".to_owned()]).unwrap();
        let mut context = Context::read(&found, &quiet());
        context.complete(&root, &taken, &quiet());
        context.apply(&root, 20_000, None, &quiet());
        assert_eq!(std::fs::read_to_string(root.join("etc/secret")).unwrap(), "munge");
        assert!(!root.join("etc/other").exists());
    }

    #[test]
    fn addresses_are_given_by_hand() {
        let config = "version: 2\nethernets:\n  eth0:\n    match: {macaddress: '52:54:00:12:34:56'}\n    addresses: \
                      [192.0.2.7/24, '2001:db8::7/64']\n    routes: [{to: default, via: 192.0.2.1}]\n    nameservers: \
                      {addresses: [192.0.2.53]}\n  eth1: {dhcp4: true}\n";
        let found = Found { network_config: Some(config.to_owned()), ..Found::default() };
        let fixed = addresses(&found);
        assert_eq!(fixed.len(), 1);
        assert_eq!(fixed[0].card.as_deref(), Some("52:54:00:12:34:56"));
        let lease = fixed[0].lease.as_ref().unwrap();
        assert_eq!((lease.address.to_string().as_str(), lease.prefix), ("192.0.2.7", 24));
        assert_eq!(lease.routes, [Route::default_over("192.0.2.1".parse().unwrap())]);
        assert_eq!(lease.name_servers, ["192.0.2.53".parse::<IpAddr>().unwrap()]);
        assert_eq!(Context::read(&found, &quiet()).document.network.interfaces.len(), 2);
    }
}
