//! `[services]`: units of systemd, those that are there and those that are written here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, longer};
use crate::plan::{Action, Planner, Stage, UnitState};
use crate::quote;
use crate::text::{Name, UnitName};

/// What starts at boot and what doesn't.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Services {
    /// Units that start at boot.
    pub enable: Vec<UnitName>,
    /// Units that don't.
    pub disable: Vec<UnitName>,
    /// Units that can't be started at all.
    pub mask: Vec<UnitName>,
    /// Units that are written.
    pub units: Vec<Unit>,
}

/// A unit that is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Unit {
    /// Its name, with suffix.
    pub name: UnitName,
    /// What is in it; without, only what is dropped into it is written.
    pub content: Option<String>,
    /// What is dropped into it.
    #[serde(default)]
    pub drop_ins: Vec<DropIn>,
    /// Whether it starts at boot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub enable: bool,
}

/// A piece of a unit, in a file of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DropIn {
    /// The file's name, without `.conf`.
    pub name: Name,
    /// What is in it.
    pub content: String,
}

impl Section for Services {
    fn merge(&mut self, later: Self) {
        // The later word counts for a unit that stands in several lists.
        let all = [&later.enable, &later.disable, &later.mask];
        for list in [&mut self.enable, &mut self.disable, &mut self.mask] {
            list.retain(|unit| !all.iter().any(|list| list.contains(unit)));
        }
        longer(&mut self.enable, later.enable);
        longer(&mut self.disable, later.disable);
        longer(&mut self.mask, later.mask);
        self.units.retain(|unit| !later.units.iter().any(|other| other.name == unit.name));
        self.units.extend(later.units);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        for unit in &self.units {
            let name = unit.name.with_suffix();
            if let Some(content) = &unit.content {
                planner.file(&format!("/etc/systemd/system/{name}"), content.as_str());
            }
            for piece in &unit.drop_ins {
                let file = piece.name.trim_end_matches(".conf");
                planner.file(&format!("/etc/systemd/system/{name}.d/{file}.conf"), piece.content.as_str());
            }
            if unit.enable {
                planner.act(Action::Unit { name, state: UnitState::Enabled, optional: false });
            }
        }
        if planner.packages_follow() && !self.enable.is_empty() {
            let units = quote::shell_words(self.enable.iter().map(UnitName::as_str));
            planner.shell(Stage::Final, "services", &format!("systemctl enable --now -- {units}\n"));
        }
        let lists = [
            (&self.enable, UnitState::Enabled),
            (&self.disable, UnitState::Disabled),
            (&self.mask, UnitState::Masked),
        ];
        for (list, state) in lists {
            for name in list {
                let optional = state != UnitState::Enabled || planner.packages_follow();
                planner.act(Action::Unit { name: name.with_suffix(), state, optional });
            }
        }
    }
}
