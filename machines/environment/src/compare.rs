//! Which parts of two environments differ. What differs inside of a repository is not known here.

use varve_repository::RepositoryName;

use crate::environment::{Architecture, Entry, Environment, Image, Source};

/// A part in which two environments differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The processors.
    Architecture {
        /// Of the older one.
        old: Architecture,
        /// Of the newer one.
        new: Architecture,
    },
    /// The operating system.
    System(SourceChange),
    /// The software of a repository.
    Software(SourceChange),
    /// The boot image.
    Image {
        /// Of the older one.
        old: Option<Image>,
        /// Of the newer one.
        new: Option<Image>,
    },
    /// The user data.
    Context {
        /// Of the older one.
        old: Option<String>,
        /// Of the newer one.
        new: Option<String>,
    },
    /// A variable.
    Variable {
        /// Its name.
        name: String,
        /// Its value in the older one.
        old: Option<String>,
        /// Its value in the newer one.
        new: Option<String>,
    },
    /// What is run.
    Entry {
        /// In the older one.
        old: Option<Entry>,
        /// In the newer one.
        new: Option<Entry>,
    },
}

/// What became of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceChange {
    /// Only the newer environment has it.
    Added(Source),
    /// Only the older environment has it.
    Removed(Source),
    /// Another system, from another repository.
    Replaced {
        /// In the older one.
        old: Source,
        /// In the newer one.
        new: Source,
    },
    /// Another revision of it.
    Revision {
        /// In the older one.
        old: Source,
        /// In the newer one.
        new: Source,
    },
    /// The same files, but chosen by another tag, counted as another revision, or signed with another key.
    Name {
        /// In the older one.
        old: Source,
        /// In the newer one.
        new: Source,
    },
}

/// Everything in which two environments differ, in the order of the document. Nothing exactly if their ids are equal.
#[must_use]
pub fn compare(old: &Environment, new: &Environment) -> Vec<Difference> {
    let mut differences = Vec::new();
    if old.architecture != new.architecture {
        differences.push(Difference::Architecture { old: old.architecture, new: new.architecture });
    }
    let system = source_change(old.system.as_ref(), new.system.as_ref());
    differences.extend(system.map(Difference::System));
    for repository in in_either(old, new) {
        let of = |environment: &Environment| {
            environment.software.iter().find(|source| source.repository == repository).cloned()
        };
        let change = source_change(of(old).as_ref(), of(new).as_ref());
        differences.extend(change.map(Difference::Software));
    }
    if old.image != new.image {
        differences.push(Difference::Image { old: old.image, new: new.image });
    }
    if old.context != new.context {
        differences.push(Difference::Context { old: old.context.clone(), new: new.context.clone() });
    }
    let mut names: Vec<&String> = old.variables.keys().chain(new.variables.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (before, after) = (old.variables.get(name), new.variables.get(name));
        if before != after {
            let (old, new) = (before.cloned(), after.cloned());
            differences.push(Difference::Variable { name: name.clone(), old, new });
        }
    }
    if old.entry != new.entry {
        differences.push(Difference::Entry { old: old.entry.clone(), new: new.entry.clone() });
    }
    differences
}

fn source_change(old: Option<&Source>, new: Option<&Source>) -> Option<SourceChange> {
    match (old.cloned(), new.cloned()) {
        (None, None) => None,
        (None, Some(new)) => Some(SourceChange::Added(new)),
        (Some(old), None) => Some(SourceChange::Removed(old)),
        (Some(old), Some(new)) if old == new => None,
        (Some(old), Some(new)) if old.repository != new.repository => {
            Some(SourceChange::Replaced { old, new })
        }
        (Some(old), Some(new)) if old.root != new.root => Some(SourceChange::Revision { old, new }),
        (Some(old), Some(new)) => Some(SourceChange::Name { old, new }),
    }
}

fn in_either(old: &Environment, new: &Environment) -> Vec<RepositoryName> {
    let mut names: Vec<_> =
        old.software.iter().chain(&new.software).map(|source| source.repository.clone()).collect();
    names.sort();
    names.dedup();
    names
}
