//! `[elastiq]`: a cluster that grows and shrinks with its queue.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later};
use crate::plan::{Content, Planner};
use crate::secret::Secret;
use crate::text::{Line, Name, Owner};

/// What elastiq is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Elastiq {
    /// The sections of `/etc/elastiq.conf` and their settings: `elastiq`, `quota`, `ec2`.
    pub settings: BTreeMap<Name, BTreeMap<Name, Line>>,
    /// Certificates of authorities by which the cloud is known, as PEM.
    pub authorities: Option<String>,
    /// The key by which machines are started.
    pub secret_key: Option<Secret>,
}

impl Section for Elastiq {
    fn merge(&mut self, other: Self) {
        for (section, settings) in other.settings {
            self.settings.entry(section).or_default().extend(settings);
        }
        later(&mut self.authorities, other.authorities);
        later(&mut self.secret_key, other.secret_key);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        if *self == Self::default() {
            return;
        }
        let text = |key: Option<&str>| {
            let mut text = String::from("# Written by Varve.\n");
            for (section, settings) in &self.settings {
                text += &format!("[{section}]\n");
                text.extend(settings.iter().map(|(name, value)| format!("{name} = {value}\n")));
                if section.as_str() == "ec2"
                    && let Some(key) = key
                {
                    text += &format!("aws_secret_access_key = {key}\n");
                }
            }
            text
        };
        match &self.secret_key {
            Some(key) if key.plain().is_some_and(|key| key.contains(char::is_control)) => {
                return planner.refuse("the key has a line break", None);
            }
            Some(key) => planner.private_file("/etc/elastiq.conf", key, |key| text(Some(key))),
            None => planner.file_with("/etc/elastiq.conf", Content::Text(text(None)), 0o600, Owner::root()),
        }
        if let Some(authorities) = &self.authorities {
            planner.file("/etc/varve/elastiq-authorities.pem", authorities.as_str());
            let boto =
                "# Written by Varve.\n[Boto]\nca_certificates_file = /etc/varve/elastiq-authorities.pem\n";
            planner.file("/etc/boto.cfg", boto);
        }
        planner.enable_if_there("elastiq.service");
    }

    fn secrets(&mut self, show: &mut dyn FnMut(&mut Secret)) {
        self.secret_key.iter_mut().for_each(show);
    }
}
