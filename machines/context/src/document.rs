//! The document: everything that a machine can be told, one typed section for each subject.
//!
//! This list is the one place that knows all sections: what is merged, planned and searched for secrets goes through
//! `sections!`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Planner};
use crate::secret::Secret;
use crate::sections;

/// What every section can do.
pub(crate) trait Section {
    /// Takes what `later` says on top of what is there: single values are replaced, lists get longer.
    fn merge(&mut self, later: Self);

    /// Adds what is to be done.
    fn plan(&self, planner: &mut Planner<'_>);

    /// Shows every secret in it, for sealing and unsealing.
    fn secrets(&mut self, _: &mut dyn FnMut(&mut Secret)) {}
}

/// Defines [`Document`]; the order of the sections is the order in which they are planned.
macro_rules! sections {
    ($($(#[$doc:meta])* $field:ident: $kind:ty,)*) => {
        /// What a machine is to become.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, rename_all = "kebab-case")]
        pub struct Document {
            $($(#[$doc])* #[serde(skip_serializing_if = "is_default")] pub $field: $kind,)*
        }

        impl Document {

            /// Takes what `later` says on top: single values are replaced, lists get longer.
            pub fn merge(&mut self, later: Self) {
                $(self.$field.merge(later.$field);)*
            }

            /// What is to be done to a root directory.
            pub fn plan(&self) -> Plan {
                let mut plan = Plan::default();
                let mut scripts = Default::default();
                let follow = !self.packages.install.is_empty();
                $(self.$field.plan(&mut Planner::new(&mut plan, &mut scripts, section(stringify!($field)), follow));)*
                plan
            }

            /// Shows every secret: those that are sealed or elsewhere are to be replaced before the document is planned.
            pub fn secrets(&mut self, show: &mut dyn FnMut(&mut Secret)) {
                $(self.$field.secrets(show);)*
            }
        }
    };
}

sections! {
    /// Which operating system is booted, and how: read by the guest before there is a root directory.
    boot: sections::boot::Boot,
    /// The machine's name, place and language.
    machine: sections::machine::Machine,
    /// Groups of users.
    groups: Vec<sections::users::Group>,
    /// Users.
    users: Vec<sections::users::User>,
    /// Users who are known elsewhere.
    directory: sections::directory::Directory,
    /// Logging in from outside.
    ssh: sections::ssh::Ssh,
    /// Certificates.
    x509: sections::x509::X509,
    /// Disks.
    storage: sections::storage::Storage,
    /// Interfaces, name servers, the kernel's settings.
    network: sections::network::Network,
    /// A network that is reached by OpenVPN.
    vpn: sections::vpn::Vpn,
    /// A name that follows the machine's address.
    dynamic_dns: sections::dynamic_dns::DynamicDns,
    /// Software repositories below `/cvmfs`, and how they are reached.
    repositories: sections::repositories::Repositories,
    /// Environment variables of everyone.
    environment: sections::environment::Environment,
    /// Files.
    files: Vec<sections::files::File>,
    /// Packages that are installed at the first boot.
    packages: sections::packages::Packages,
    /// An HTTP proxy.
    squid: sections::squid::Squid,
    /// The machine's part in an HTCondor pool.
    htcondor: sections::htcondor::HtCondor,
    /// The machine's part in a Slurm cluster.
    slurm: sections::slurm::Slurm,
    /// A worker of the Cooperative Computing Tools.
    work_queue: sections::work_queue::WorkQueue,
    /// A cluster that grows and shrinks with its queue.
    elastiq: sections::elastiq::Elastiq,
    /// A caching proxy for data.
    xrootd: sections::xrootd::XRootD,
    /// Who may watch the machine.
    monitoring: sections::monitoring::Monitoring,
    /// A machine that is looked after by Puppet.
    puppet: sections::puppet::Puppet,
    /// A machine with a screen.
    desktop: sections::desktop::Desktop,
    /// The agent in the machine.
    agent: sections::agent::Agent,
    /// Units of systemd.
    services: sections::services::Services,
    /// Programs that run at the first boot.
    scripts: Vec<sections::scripts::Script>,
}

/// A section's name as it stands in a document.
fn section(field: &'static str) -> &'static str {
    match field {
        "dynamic_dns" => "dynamic-dns",
        "work_queue" => "work-queue",
        other => other,
    }
}

impl Document {
    /// The document as TOML, without what says nothing. A secret in plain is left out, and a sign stands in its place.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let mut value = toml::Value::try_from(self)?;
        prune(&mut value);
        toml::to_string_pretty(&value)
    }
}

/// Takes away lists and tables with nothing in them, and what is not so.
fn prune(value: &mut toml::Value) {
    match value {
        toml::Value::Table(table) => {
            table.iter_mut().for_each(|(_, value)| prune(value));
            table.retain(|_, value| match value {
                toml::Value::Table(table) => !table.is_empty(),
                toml::Value::Array(array) => !array.is_empty(),
                toml::Value::Boolean(_) | toml::Value::Integer(_) | toml::Value::Float(_) => true,
                toml::Value::String(_) | toml::Value::Datetime(_) => true,
            });
        }
        toml::Value::Array(array) => array.iter_mut().for_each(prune),
        _ => {}
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Lists of things are sections as well.
impl<T: Item> Section for Vec<T> {
    fn merge(&mut self, later: Self) {
        for item in later {
            match self.iter_mut().find(|other| other.is(&item)) {
                Some(other) => other.replace(item),
                None => self.push(item),
            }
        }
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        self.iter().for_each(|item| item.plan(planner));
    }

    fn secrets(&mut self, show: &mut dyn FnMut(&mut Secret)) {
        self.iter_mut().for_each(|item| item.secrets(show));
    }
}

/// One of a list that is a section.
pub(crate) trait Item {
    /// Whether both are about the same thing, so that the later one counts.
    fn is(&self, _: &Self) -> bool {
        false
    }

    /// Takes what the later one says.
    fn replace(&mut self, later: Self)
    where
        Self: Sized,
    {
        *self = later;
    }

    /// Adds what is to be done.
    fn plan(&self, planner: &mut Planner<'_>);

    /// Shows every secret in it.
    fn secrets(&mut self, _: &mut dyn FnMut(&mut Secret)) {}
}

/// Replaces `earlier` by what is given.
pub(crate) fn later<T>(earlier: &mut Option<T>, later: Option<T>) {
    if later.is_some() {
        *earlier = later;
    }
}

/// Adds what is not there yet.
pub(crate) fn longer<T: PartialEq>(earlier: &mut Vec<T>, later: Vec<T>) {
    for item in later {
        if !earlier.contains(&item) {
            earlier.push(item);
        }
    }
}
