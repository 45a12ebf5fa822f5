//! How sections add their steps to a plan.

use super::{Action, Content, Placement, Plan, PlannedFile, Stage, Step, UnitState, script};
use crate::place::{Notice, Place, Severity};
use crate::secret::Secret;
use crate::text::{Line, Mode, Name, Owner, TargetPath, UnitName};

/// A plan in the making. Each section is given one with its own name.
#[derive(Debug)]
pub(crate) struct Planner<'a> {
    plan: &'a mut Plan,
    section: &'static str,
    scripts: &'a mut script::Sequence,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(plan: &'a mut Plan, scripts: &'a mut script::Sequence, section: &'static str) -> Self {
        Self { plan, section, scripts }
    }

    /// Adds a step.
    pub(crate) fn act(&mut self, action: Action) {
        self.plan.steps.push(Step { section: self.section, action });
    }

    /// Says that something could not be planned.
    pub(crate) fn refuse(&mut self, message: impl Into<String>, hint: Option<&str>) {
        self.notice(Severity::Error, &message.into(), hint);
    }

    /// Says that something is planned otherwise than one might think.
    pub(crate) fn warn(&mut self, message: impl Into<String>, hint: Option<&str>) {
        self.notice(Severity::Warning, &message.into(), hint);
    }

    fn notice(&mut self, severity: Severity, message: &str, hint: Option<&str>) {
        let message = format!("{}: {message}", self.section);
        self.plan.notices.push(Notice {
            severity,
            place: Place::default(),
            message,
            hint: hint.map(str::to_owned),
        });
    }

    /// A file that anyone may read.
    pub(crate) fn file(&mut self, path: &str, content: impl Into<String>) {
        self.file_with(path, Content::Text(content.into()), 0o644, Owner::root());
    }

    /// A secret as a file of its own, for root only.
    pub(crate) fn secret_file(&mut self, path: &str, secret: &Secret) {
        self.file_with(path, Content::Secret(secret.clone()), 0o600, Owner::root());
    }

    /// A file in full.
    pub(crate) fn file_with(&mut self, path: &str, content: Content, mode: u32, owner: Owner) {
        let path = TargetPath::of(path);
        let placement = Placement::Replace;
        self.act(Action::File(PlannedFile { path, content, mode: Mode(mode), owner, placement }));
    }

    /// Lines that a file is to have; those that begin with `replace` give way.
    pub(crate) fn lines(&mut self, path: &str, replace: Option<&str>, lines: Vec<Line>) {
        let replace = replace.and_then(|start| Line::parse(start).ok());
        self.act(Action::Lines { path: TargetPath::of(path), replace, lines });
    }

    /// A directory of root's.
    pub(crate) fn directory(&mut self, path: &str, mode: u32) {
        self.act(Action::Directory { path: TargetPath::of(path), mode: Mode(mode), owner: Owner::root() });
    }

    fn unit(&mut self, unit: &str, state: UnitState, optional: bool) {
        if let Ok(name) = UnitName::parse(unit) {
            self.act(Action::Unit { name: name.with_suffix(), state, optional });
        }
    }

    /// A unit file, and its start at boot.
    pub(crate) fn own_unit(&mut self, name: &UnitName, content: impl Into<String>) {
        self.file(&format!("/etc/systemd/system/{name}"), content);
        self.unit(name, UnitState::Enabled, false);
    }

    /// A program that runs once, when the machine boots for the first time with this plan.
    pub(crate) fn script(&mut self, stage: Stage, name: &Name, content: Content, every_boot: bool) {
        let steps = self.scripts.add(stage, name, content, every_boot);
        for action in steps {
            self.act(action);
        }
    }

    /// A shell script of our own, run once. Every foreign word in `body` must be quoted already.
    pub(crate) fn shell(&mut self, stage: Stage, name: &str, body: &str) {
        let content = Content::Text(format!("#!/bin/sh\nset -eu\n{body}"));
        self.script(stage, &super::file_name(name), content, false);
    }
}
