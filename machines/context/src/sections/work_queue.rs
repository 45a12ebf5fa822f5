//! `[work-queue]`: a worker of the Cooperative Computing Tools.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later};
use crate::plan::{Planner, unit_name};
use crate::quote;
use crate::text::{AccountName, Word};

/// The worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct WorkQueue {
    /// The catalog that knows the project: `catalog.example.org:9097`.
    pub catalog: Option<Word>,
    /// The project that it works for; there is no worker without.
    pub project: Option<Word>,
    /// Who runs it; nobody without.
    pub user: Option<AccountName>,
}

impl Section for WorkQueue {
    fn merge(&mut self, other: Self) {
        later(&mut self.catalog, other.catalog);
        later(&mut self.project, other.project);
        later(&mut self.user, other.user);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        let Some(project) = &self.project else {
            if *self != Self::default() {
                planner.refuse("the project is not named", None);
            }
            return;
        };
        let mut command = "/usr/bin/work_queue_worker".to_owned();
        if let Some(catalog) = &self.catalog {
            command += &format!(" -C {}", quote::systemd_argument(catalog));
        }
        command += &format!(" -M {}", quote::systemd_argument(project));
        let user = self.user.as_deref().unwrap_or("nobody");
        let text = format!(
            "# Written by Varve.\n[Unit]\nDescription=Worker for {}\nWants=network-online.target\nAfter=network-online.target\n\n\
             [Service]\nUser={user}\nExecStart={command}\nRestart=always\nRestartSec=30\n\n[Install]\nWantedBy=multi-user.target\n",
            project.replace('%', "%%")
        );
        planner.own_unit(&unit_name("varve-work-queue.service".to_owned()), text);
    }
}
