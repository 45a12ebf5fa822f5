//! `varve env compare`: which parts of two environments differ, down to packages and files.

mod contents;

use clap::Args;
use serde::Serialize;
use varve_environment::{Difference, Entry, Image, Source, SourceChange, compare};

use self::contents::{Contents, Trees};
use super::opened::{Opener, SourceOptions};
use super::show::plain;
use crate::environments::Environments;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Show in which parts two environments differ, down to packages and files
#[derive(Args, Debug)]
#[command(after_help = "Says nothing on standard output if the environments are the same.")]
pub(crate) struct Compare {
    /// The older environment
    #[arg(value_name = "OLD")]
    old: String,
    /// The newer environment
    #[arg(value_name = "NEW")]
    new: String,
    /// Name every file that differs
    #[arg(long, conflicts_with = "parts")]
    files: bool,
    /// Say only which parts differ: no repository is opened
    #[arg(long)]
    parts: bool,
    #[command(flatten)]
    options: SourceOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A part that differs.
#[derive(Serialize)]
struct Part {
    part: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    contents: Option<Contents>,
}

impl Compare {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let opener = Opener::new(invocation, &self.options)?;
        let environments = Environments::of(&opener.places);
        let (old, new) = (environments.find(&self.old)?, environments.find(&self.new)?);
        let trees = Trees::new(&opener, &old, &new, self.files)?;
        let mut parts = Vec::new();
        for difference in compare(&old, &new) {
            let mut part = Part::of(&difference);
            if !self.parts
                && let Some((old, new)) = two_trees(&difference)
            {
                part.contents = Some(trees.compare(old, new)?);
            }
            if !self.json {
                invocation.output.line(part.text())?;
            }
            parts.push(part);
        }
        if parts.is_empty() {
            invocation.output.say("the environments are the same");
        }
        if self.json { invocation.output.json(&parts) } else { Ok(()) }
    }
}

/// The revisions whose files can be compared.
fn two_trees(difference: &Difference) -> Option<(&Source, &Source)> {
    let (Difference::System(change) | Difference::Software(change)) = difference else { return None };
    match change {
        SourceChange::Replaced { old, new } | SourceChange::Revision { old, new } => Some((old, new)),
        SourceChange::Added(_) | SourceChange::Removed(_) | SourceChange::Name { .. } => None,
    }
}

impl Part {
    fn of(difference: &Difference) -> Self {
        let part = |part, name: Option<String>, old: Option<String>, new: Option<String>| Self {
            part,
            name,
            old,
            new,
            contents: None,
        };
        match difference {
            Difference::Architecture { old, new } => {
                part("architecture", None, Some(old.to_string()), Some(new.to_string()))
            }
            Difference::System(change) => {
                let (name, old, new) = of_change(change);
                part("system", name, old, new)
            }
            Difference::Software(change) => {
                let (name, old, new) = of_change(change);
                part("software", name, old, new)
            }
            Difference::Image { old, new } => {
                let text = |image: &Image| image.sha256.to_string();
                part("image", None, old.as_ref().map(text), new.as_ref().map(text))
            }
            Difference::Context { old, new } => part("context", None, old.clone(), new.clone()),
            Difference::Variable { name, old, new } => {
                part("variable", Some(name.clone()), old.clone(), new.clone())
            }
            Difference::Entry { old, new } => {
                part("entry", None, old.as_ref().map(of_entry), new.as_ref().map(of_entry))
            }
        }
    }

    fn text(&self) -> String {
        let name = self.name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
        // Of a context, that it differs says enough.
        let value = |value: &Option<String>| match value {
            None => "none".to_owned(),
            Some(text) if self.part == "context" => format!("{} bytes", text.len()),
            Some(text) => plain(text),
        };
        let mut text = format!("{}{name}: {} → {}", self.part, value(&self.old), value(&self.new));
        if let Some(contents) = &self.contents {
            text.push_str(&contents.text());
        }
        text
    }
}

fn of_change(change: &SourceChange) -> (Option<String>, Option<String>, Option<String>) {
    let name = |source: &Source| Some(source.repository.to_string());
    match change {
        SourceChange::Added(new) => (name(new), None, Some(revision(new))),
        SourceChange::Removed(old) => (name(old), Some(revision(old)), None),
        SourceChange::Revision { old, new } => (name(new), Some(revision(old)), Some(revision(new))),
        SourceChange::Replaced { old, new } => {
            let whole = |source: &Source| format!("{} {}", source.repository, revision(source));
            (None, Some(whole(old)), Some(whole(new)))
        }
        SourceChange::Name { old, new } => {
            let signed = |source: &Source| match old.key == new.key {
                true => revision(source),
                false => format!("{}, key {}", revision(source), source.key),
            };
            (name(new), Some(signed(old)), Some(format!("{} with the same files", signed(new))))
        }
    }
}

fn revision(source: &Source) -> String {
    match &source.tag {
        Some(tag) => format!("revision {} ({tag})", source.revision),
        None => format!("revision {}", source.revision),
    }
}

fn of_entry(entry: &Entry) -> String {
    let command = entry.command.join(" ");
    match &entry.directory {
        Some(directory) => format!("{command} in {directory}"),
        None => command,
    }
}
