//! Scripts become units that run once each: in the order of the plan within a stage, each after the one before, whether
//! that failed or not.
//!
//! ```text
//! /var/lib/varve/context/scripts/NAME     the script
//! /var/lib/varve/context/done/NAME        it has run and succeeded
//! /var/log/varve/NAME.log                 what it said
//! /etc/systemd/system/varve-script-NAME.service
//! ```

use std::collections::BTreeSet;

use super::{Action, Content, Placement, PlannedFile, Stage, UnitState, unit_name};
use crate::text::{Mode, Name, Owner, TargetPath, UnitName};

/// Where what the context needs in the machine is kept.
pub(crate) const STATE: &str = "/var/lib/varve/context";
const LOGS: &str = "/var/log/varve";

/// The scripts of a plan so far.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    names: BTreeSet<Name>,
    last: [Option<UnitName>; 3],
    directories: bool,
}

impl Sequence {
    pub(super) fn add(
        &mut self,
        stage: Stage,
        name: &Name,
        content: Content,
        every_boot: bool,
    ) -> Vec<Action> {
        let name = self.free(name);
        let unit = unit_of(&name);
        let last = self.last[stage as usize].replace(unit.clone());
        let file = |path: &str, content, mode| {
            let path = TargetPath::of(path);
            Action::File(PlannedFile {
                path,
                content,
                mode: Mode(mode),
                owner: Owner::root(),
                placement: Placement::Replace,
            })
        };
        let mut actions = Vec::new();
        if !self.directories {
            self.directories = true;
            for (path, mode) in [
                (STATE.to_owned(), 0o755),
                (format!("{STATE}/scripts"), 0o700),
                (format!("{STATE}/done"), 0o755),
                (LOGS.to_owned(), 0o755),
            ] {
                actions.push(Action::Directory {
                    path: TargetPath::of(path),
                    mode: Mode(mode),
                    owner: Owner::root(),
                });
            }
        }
        actions.push(file(&format!("{STATE}/scripts/{name}"), content, 0o700));
        let text = unit_text(stage, &name, last.as_ref(), every_boot);
        actions.push(file(&format!("/etc/systemd/system/{unit}"), Content::Text(text), 0o644));
        actions.push(Action::Unit { name: unit, state: UnitState::Enabled, optional: false });
        actions
    }

    /// A name that no script of the plan has.
    fn free(&mut self, name: &Name) -> Name {
        let stem: String = name.chars().map(|c| if "+:~@".contains(c) { '_' } else { c }).take(100).collect();
        let candidates =
            (1..).map(|number| if number == 1 { stem.clone() } else { format!("{stem}-{number}") });
        let free = candidates
            .filter_map(|name| Name::parse(name).ok())
            .find(|name| !self.names.contains(name))
            .unwrap_or_else(|| name.clone());
        self.names.insert(free.clone());
        free
    }
}

/// The unit that runs a script.
fn unit_of(name: &Name) -> UnitName {
    unit_name(format!("varve-script-{name}.service"))
}

fn unit_text(stage: Stage, name: &Name, after: Option<&UnitName>, every_boot: bool) -> String {
    let mut text = format!("[Unit]\nDescription=Varve script {name}\n");
    text += match stage {
        Stage::BeforeNetwork => "Wants=network-pre.target\nBefore=network-pre.target\n",
        Stage::Network => "Wants=network-online.target\nAfter=network-online.target\n",
        Stage::Final => "Wants=network-online.target\nAfter=network-online.target multi-user.target\n",
    };
    if let Some(after) = after {
        text += &format!("After={after}\n");
    }
    if !every_boot {
        text += &format!("ConditionPathExists=!{STATE}/done/{name}\n");
    }
    text += &format!("\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={STATE}/scripts/{name}\n");
    if !every_boot {
        text += &format!("ExecStartPost=/bin/touch {STATE}/done/{name}\n");
    }
    text += &format!("StandardOutput=append:{LOGS}/{name}.log\nStandardError=append:{LOGS}/{name}.log\n");
    text += "\n[Install]\nWantedBy=multi-user.target\n";
    text
}
