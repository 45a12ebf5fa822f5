//! `[dynamic-dns]`: a name that follows the machine's address, kept by ddclient.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Section;
use crate::plan::Planner;
use crate::secret::Secret;
use crate::text::{HostName, Word};

/// The name and who keeps it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct DynamicDns {
    /// The name; none is kept without.
    pub hostname: Option<HostName>,
    /// The protocol, by ddclient's name of it; `noip` without.
    pub protocol: Option<Word>,
    /// Who logs in there.
    pub user: Option<Word>,
    /// By which password.
    pub password: Option<Secret>,
}

impl Section for DynamicDns {
    fn merge(&mut self, later: Self) {
        if later.hostname.is_some() {
            *self = later;
        }
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        let (Some(hostname), Some(user), Some(password)) = (&self.hostname, &self.user, &self.password)
        else {
            if *self != Self::default() {
                planner.refuse("hostname, user and password are all needed", None);
            }
            return;
        };
        if password
            .plain()
            .is_some_and(|password| password.contains(['\'', '\\']) || password.contains(char::is_control))
        {
            return planner
                .refuse("ddclient can't read a password with a quote, a backslash or a line break", None);
        }
        let protocol = self.protocol.as_deref().unwrap_or("noip");
        planner.private_file("/etc/ddclient.conf", password, |password| {
            format!("# Written by Varve.\nuse=web\nssl=yes\nprotocol={protocol}\nlogin={user}\npassword='{password}'\n{hostname}\n")
        });
        planner.enable_if_there("ddclient.service");
    }

    fn secrets(&mut self, show: &mut dyn FnMut(&mut Secret)) {
        self.password.iter_mut().for_each(show);
    }
}
