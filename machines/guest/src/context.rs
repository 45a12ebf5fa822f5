//! What user data make of the machine: read before there is a root directory, applied to it before its init starts.

use std::path::Path;

use varve_context::sections::boot::Boot;
use varve_context::text::{HostName, Line};
use varve_context::{Document, Outcome, Severity};

use crate::config::BootSection;
use crate::console::{Console, chain};
use crate::datasource::Found;

/// User data, read.
#[derive(Debug, Default)]
pub(crate) struct Context {
    document: Document,
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
        if let Some(bytes) = &found.user_data {
            let read = varve_context::read(bytes);
            for notice in &read.notices {
                let text = format!("user data: {}", notice.message);
                match notice.severity {
                    Severity::Error => console.error(text, notice.hint.as_deref()),
                    _ => console.warn(text),
                }
            }
            document.merge(read.document);
        }
        Self { document }
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
            network_config: None,
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
}
