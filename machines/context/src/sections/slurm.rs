//! `[slurm]`: the machine's part in a Slurm cluster.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later, longer};
use crate::plan::{Content, Planner};
use crate::secret::Secret;
use crate::text::{HostName, Line, Name, Owner, VariableName};

/// The machine's part in a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Slurm {
    /// Whether this is the head; a worker otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub head: bool,
    /// The head's name.
    pub controller: Option<HostName>,
    /// The cluster's name.
    pub cluster: Option<Name>,
    /// The key that all machines of the cluster share, at least 32 characters.
    pub munge_key: Option<Secret>,
    /// Descriptions of nodes, as slurm.conf(5) has them behind `NodeName=`.
    pub nodes: Vec<Line>,
    /// Descriptions of partitions, as slurm.conf(5) has them behind `PartitionName=`.
    pub partitions: Vec<Line>,
    /// Further settings.
    pub settings: BTreeMap<VariableName, Line>,
}

impl Section for Slurm {
    fn merge(&mut self, other: Self) {
        self.head |= other.head;
        later(&mut self.controller, other.controller);
        later(&mut self.cluster, other.cluster);
        later(&mut self.munge_key, other.munge_key);
        longer(&mut self.nodes, other.nodes);
        longer(&mut self.partitions, other.partitions);
        self.settings.extend(other.settings);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        if *self == Self::default() {
            return;
        }
        let Some(controller) = &self.controller else {
            return planner.refuse("the head has no name", Some("give it as controller"));
        };
        if let Some(key) = &self.munge_key {
            if key.plain().is_some_and(|key| key.len() < 32) {
                planner.refuse("the munge key is shorter than 32 characters", None);
            }
            // Owned by root, and copied by the unit to its own user, whom only the package makes.
            let unit = "[Service]\nExecStartPre=+/usr/bin/install -m 0400 -o munge -g munge /etc/varve/munge.key /etc/munge/munge.key\n";
            planner.secret_file("/etc/varve/munge.key", key);
            planner.file("/etc/systemd/system/munge.service.d/50-varve.conf", unit);
            planner.enable_if_there("munge.service");
        }
        if self.head {
            planner.file("/etc/slurm/slurm.conf", self.settings(controller));
            planner.enable_if_there("slurmctld.service");
        } else {
            // A worker asks the head for the settings.
            let text = format!("# Written by Varve.\nSLURMD_OPTIONS=\"--conf-server {controller}\"\n");
            for path in ["/etc/default/slurmd", "/etc/sysconfig/slurmd"] {
                planner.file_with(path, Content::Text(text.clone()), 0o644, Owner::root());
            }
            planner.enable_if_there("slurmd.service");
        }
    }

    fn secrets(&mut self, show: &mut dyn FnMut(&mut Secret)) {
        self.munge_key.iter_mut().for_each(show);
    }
}

impl Slurm {
    fn settings(&self, controller: &HostName) -> String {
        let cluster = self.cluster.as_deref().unwrap_or("varve");
        let mut text = format!(
            "# Written by Varve.\nClusterName={cluster}\nSlurmctldHost={controller}\nSlurmctldParameters=enable_configless\nAuthType=auth/munge\n"
        );
        let lists = [("NodeName", &self.nodes), ("PartitionName", &self.partitions)];
        for (name, value) in &self.settings {
            text += &format!("{name}={}\n", value.trim_end_matches('\\'));
        }
        for (name, lines) in lists {
            for line in lines {
                text += &format!("{name}={}\n", line.trim_end_matches('\\'));
            }
        }
        text
    }
}
