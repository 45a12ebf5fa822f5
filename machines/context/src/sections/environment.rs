//! `[environment]`: variables for everyone who logs in and for every service.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Section;
use crate::plan::Planner;
use crate::quote;
use crate::text::{Line, VariableName};

/// Variables and their values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Environment(pub BTreeMap<VariableName, Line>);

impl Section for Environment {
    fn merge(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        if self.0.is_empty() {
            return;
        }
        let mut profile = String::from("# Written by Varve.\n");
        let mut manager = String::from("# Written by Varve.\n[Manager]\n");
        let mut pam = Vec::new();
        for (name, value) in &self.0 {
            profile += &format!("export {name}={}\n", quote::shell(value));
            manager += &format!("DefaultEnvironment={}\n", quote::systemd(&format!("{name}={value}")));
            if quote::is_plain_for_pam(value) {
                pam.extend(Line::parse(format!("{name}=\"{value}\"")));
            }
        }
        planner.file("/etc/profile.d/varve.sh", profile);
        planner.file("/etc/systemd/system.conf.d/50-varve.conf", manager);
        for line in pam {
            let start = line.split_once('=').map(|(name, _)| format!("{name}=")).unwrap_or_default();
            planner.lines("/etc/environment", Some(&start), vec![line]);
        }
    }
}
