//! `[htcondor]`: the machine's part in an HTCondor pool.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later, longer};
use crate::plan::{Planner, STATE, Stage};
use crate::secret::Secret;
use crate::text::{HostName, Line, VariableName, Word};

/// The machine's part in a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct HtCondor {
    /// What it does; a worker of `head`, or the head where there is none.
    pub roles: Vec<Role>,
    /// The pool's head.
    pub head: Option<Word>,
    /// The pool's name.
    pub pool: Option<Line>,
    /// The password by which the pool's machines know each other.
    pub secret: Option<Secret>,
    /// The name that this machine has in the pool.
    pub hostname: Option<HostName>,
    /// Who is told of troubles.
    pub administrator: Option<Line>,
    /// Machines with this domain have the same users; `*` for all.
    pub uid_domain: Option<Word>,
    /// Machines with this domain have the same files.
    pub file_system_domain: Option<Word>,
    /// Who may join and submit.
    pub allow_write: Option<Line>,
    /// The lowest port that is used.
    pub low_port: Option<u16>,
    /// The highest port that is used.
    pub high_port: Option<u16>,
    /// Whether machines without a name in the DNS are called by their address.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub use_addresses: bool,
    /// Further settings.
    pub settings: BTreeMap<VariableName, Line>,
}

/// What a machine does in a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Collects and negotiates.
    Head,
    /// Takes jobs from users.
    Submit,
    /// Runs jobs.
    Worker,
}

impl Section for HtCondor {
    fn merge(&mut self, other: Self) {
        longer(&mut self.roles, other.roles);
        later(&mut self.head, other.head);
        later(&mut self.pool, other.pool);
        later(&mut self.secret, other.secret);
        later(&mut self.hostname, other.hostname);
        later(&mut self.administrator, other.administrator);
        later(&mut self.uid_domain, other.uid_domain);
        later(&mut self.file_system_domain, other.file_system_domain);
        later(&mut self.allow_write, other.allow_write);
        later(&mut self.low_port, other.low_port);
        later(&mut self.high_port, other.high_port);
        self.use_addresses |= other.use_addresses;
        self.settings.extend(other.settings);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        if *self == Self::default() {
            return;
        }
        planner.file("/etc/condor/config.d/50-varve.conf", self.settings());
        if let Some(secret) = &self.secret {
            let kept = format!("{STATE}/htcondor-secret");
            planner.secret_file(&kept, secret);
            // The pool's own program keeps it as it wants it; nothing else runs yet that could see its arguments.
            let body = format!(
                "command -v condor_store_cred >/dev/null || exit 0\nmkdir -p -m 0700 /etc/condor/passwords.d\n\
                 condor_store_cred -f /etc/condor/passwords.d/POOL -p \"$(cat {kept})\"\n"
            );
            planner.shell(Stage::BeforeNetwork, "htcondor", &body);
        }
        planner.enable_if_there("condor.service");
    }

    fn secrets(&mut self, show: &mut dyn FnMut(&mut Secret)) {
        self.secret.iter_mut().for_each(show);
    }
}

impl HtCondor {
    fn roles(&self) -> Vec<Role> {
        match (self.roles.as_slice(), &self.head) {
            ([], Some(_)) => vec![Role::Worker],
            ([], None) => vec![Role::Head, Role::Submit],
            (roles, _) => roles.to_vec(),
        }
    }

    fn settings(&self) -> String {
        let head = self.head.as_deref().unwrap_or("$(FULL_HOSTNAME)");
        let mut text = format!("# Written by Varve.\nCONDOR_HOST = {head}\n");
        for role in self.roles() {
            text += match role {
                Role::Head => "use ROLE : CentralManager\n",
                Role::Submit => "use ROLE : Submit\n",
                Role::Worker => "use ROLE : Execute\n",
            };
        }
        if self.secret.is_some() {
            text += "SEC_PASSWORD_FILE = /etc/condor/passwords.d/POOL\nSEC_DEFAULT_AUTHENTICATION = REQUIRED\n\
                     SEC_DEFAULT_AUTHENTICATION_METHODS = FS, PASSWORD, IDTOKENS\nSEC_DEFAULT_INTEGRITY = REQUIRED\n";
        }
        let lines = [
            ("COLLECTOR_NAME", self.pool.as_deref()),
            ("NETWORK_HOSTNAME", self.hostname.as_deref()),
            ("CONDOR_ADMIN", self.administrator.as_deref()),
            ("FILESYSTEM_DOMAIN", self.file_system_domain.as_deref()),
            ("ALLOW_WRITE", self.allow_write.as_deref()),
        ];
        for (name, value) in lines {
            if let Some(value) = value {
                text += &format!("{name} = {value}\n");
            }
        }
        match self.uid_domain.as_deref() {
            Some("*") => text += "UID_DOMAIN = *\nTRUST_UID_DOMAIN = True\nSOFT_UID_DOMAIN = True\n",
            Some(domain) => text += &format!("UID_DOMAIN = {domain}\n"),
            None => {}
        }
        for (name, port) in [("LOWPORT", self.low_port), ("HIGHPORT", self.high_port)] {
            if let Some(port) = port {
                text += &format!("{name} = {port}\n");
            }
        }
        if self.use_addresses {
            text += "NO_DNS = True\nDEFAULT_DOMAIN_NAME = pool.internal\n";
        }
        for (name, value) in &self.settings {
            // A backslash at the end would take the next line along.
            text += &format!("{name} = {}\n", value.trim_end_matches('\\'));
        }
        text
    }
}
