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
    packages_follow: bool,
}

impl<'a> Planner<'a> {
    /// For a section; whether packages are installed at the first boot, which may bring what isn't there yet.
    pub(crate) fn new(
        plan: &'a mut Plan,
        scripts: &'a mut script::Sequence,
        section: &'static str,
        packages_follow: bool,
    ) -> Self {
        Self { plan, section, scripts, packages_follow }
    }

    /// Whether packages are installed at the first boot.
    pub(crate) fn packages_follow(&self) -> bool {
        self.packages_follow
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

    /// A file that anyone may read, unless there is one.
    pub(crate) fn file_if_missing(&mut self, path: &str, content: &str) {
        let (path, content, placement) =
            (TargetPath::of(path), Content::Text(content.to_owned()), Placement::Keep);
        self.act(Action::File(PlannedFile {
            path,
            content,
            mode: Mode(0o644),
            owner: Owner::root(),
            placement,
        }));
    }

    /// A file that only root may read, since a secret is in it; `text` is given the secret.
    pub(crate) fn private_file(&mut self, path: &str, secret: &Secret, text: impl FnOnce(&str) -> String) {
        match secret.plain() {
            Some(plain) => self.secret_file(path, &Secret::Plain(text(plain))),
            // Told by who applies the plan.
            None => self.secret_file(path, secret),
        }
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

    /// A unit that starts at boot if the machine has it, or as soon as a package brings it.
    pub(crate) fn enable_if_there(&mut self, unit: &str) {
        self.unit(unit, UnitState::Enabled, true);
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

    /// As [`Self::shell`], at every boot.
    pub(crate) fn shell_at_every_boot(&mut self, stage: Stage, name: &str, body: &str) {
        let content = Content::Text(format!("#!/bin/sh\nset -eu\n{body}"));
        self.script(stage, &super::file_name(name), content, true);
    }
}
