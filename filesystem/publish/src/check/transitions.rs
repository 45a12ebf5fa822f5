//! Walks all catalogs that revisions consist of, every catalog once, and checks how they fit together.

use std::collections::HashMap;

use varve_content::{ContentHash, ObjectKind, ObjectName};
use varve_repository::{CatalogReference, Entry, NestedRole, RepositoryPath, TreeCounters};
use varve_store::ObjectStore;

use super::catalog::{self, Examined, Meeting, Use};
use super::finding::{Finding, FindingKind};
use super::{CheckProgress, parallel};

/// All catalogs that were reached, by place and hash.
#[derive(Default)]
pub(super) struct Catalogs {
    known: HashMap<(RepositoryPath, ContentHash), Option<Examined>>,
}

impl Catalogs {
    /// Examines these catalogs and all below them.
    pub(super) fn walk(
        &mut self,
        store: &dyn ObjectStore,
        threads: usize,
        roots: Vec<CatalogReference>,
        progress: &dyn CheckProgress,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut open = self.unknown(roots);
        while !open.is_empty() {
            let results = parallel::map(threads, &open, |reference| {
                progress.catalog(&reference.path);
                catalog::examine(store, reference)
            });
            let mut below = Vec::new();
            for (reference, (examined, found)) in open.into_iter().zip(results) {
                findings.extend(found);
                let nested = examined.iter().flat_map(|examined| &examined.nested);
                below.extend(nested.map(|meeting| meeting.reference.clone()));
                self.known.insert((reference.path, reference.hash), examined);
            }
            open = self.unknown(below);
        }
        findings
    }

    /// Compares every catalog with those that refer to it.
    pub(super) fn compare(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for ((path, hash), examined) in &self.known {
            let Some(examined) = examined else { continue };
            let name = ObjectName::new(*hash, ObjectKind::Catalog);
            if let Some(problem) = root_problem(path, examined.root.as_ref()) {
                findings.push(Finding::new(FindingKind::CatalogTree, problem).at(path).of(&name));
            }
            let mut below = TreeCounters::default();
            let mut complete = true;
            for meeting in &examined.nested {
                let Some(child) = self.get(&meeting.reference) else {
                    complete = false;
                    continue;
                };
                below.add(&child.recorded.total());
                findings.extend(meeting_problems(meeting, child));
            }
            if complete {
                let problems = catalog::count_problems(examined.version, &examined.recorded.subtree, &below);
                findings.extend(problems.into_iter().map(|problem| {
                    let problem = format!("of the catalogs below, {problem}");
                    Finding::new(FindingKind::Counters, problem).at(path).of(&name)
                }));
            }
        }
        findings
    }

    /// A catalog that was reached and could be loaded.
    pub(super) fn get(&self, reference: &CatalogReference) -> Option<&Examined> {
        self.known.get(&(reference.path.clone(), reference.hash))?.as_ref()
    }

    /// The objects of all catalogs themselves.
    pub(super) fn names(&self) -> impl Iterator<Item = ObjectName> {
        self.known.keys().map(|(_, hash)| ObjectName::new(*hash, ObjectKind::Catalog))
    }

    /// How many catalogs there are, and how many entries they list.
    pub(super) fn count(&self) -> (u64, u64) {
        let entries = self.known.values().flatten().map(|examined| examined.entries).sum();
        (self.known.len() as u64, entries)
    }

    /// What all catalogs say of the objects of files.
    pub(super) fn into_uses(self) -> impl Iterator<Item = (ObjectName, Use)> {
        self.known.into_values().flatten().flat_map(|examined| examined.uses)
    }

    fn unknown(&self, references: Vec<CatalogReference>) -> Vec<CatalogReference> {
        let mut fresh: Vec<CatalogReference> = references
            .into_iter()
            .filter(|reference| !self.known.contains_key(&(reference.path.clone(), reference.hash)))
            .collect();
        fresh.sort_by(|left, right| (&left.path, left.hash).cmp(&(&right.path, right.hash)));
        fresh.dedup_by(|left, right| left.path == right.path && left.hash == right.hash);
        fresh
    }
}

fn root_problem(path: &RepositoryPath, root: Option<&Entry>) -> Option<&'static str> {
    match (root?.nested, path.is_root()) {
        (NestedRole::Root, true) => Some("the root of the repository is flagged as that of a nested catalog"),
        (NestedRole::Root, false) | (NestedRole::Plain, true) => None,
        _ => Some("the root of a nested catalog is not flagged so"),
    }
}

fn meeting_problems(meeting: &Meeting, child: &Examined) -> Vec<Finding> {
    let reference = &meeting.reference;
    let name = ObjectName::new(reference.hash, ObjectKind::Catalog);
    let mut problems = Vec::new();
    if reference.size.is_some_and(|size| size != child.size) {
        let problem = format!("the parent catalog records {:?} bytes, it has {}", reference.size, child.size);
        problems.push(Finding::new(FindingKind::CatalogReference, problem));
    }
    if let (Some(outer), Some(inner)) = (&meeting.entry, &child.root) {
        let differing: Vec<&str> = [
            ("name", outer.name != inner.name),
            ("permissions", outer.metadata.permissions != inner.metadata.permissions),
            ("owner", (outer.metadata.uid, outer.metadata.gid) != (inner.metadata.uid, inner.metadata.gid)),
            ("time", outer.metadata.mtime != inner.metadata.mtime),
            ("kind or size", outer.node != inner.node),
            ("link count", outer.hard_link != inner.hard_link),
            ("extended attributes", outer.xattrs != inner.xattrs),
        ]
        .into_iter()
        .filter_map(|(what, differs)| differs.then_some(what))
        .collect();
        if !differing.is_empty() {
            let problem = format!("the nested catalog and its parent differ in {}", differing.join(", "));
            problems.push(Finding::new(FindingKind::Transition, problem));
        }
    }
    problems.into_iter().map(|problem| problem.at(&reference.path).of(&name)).collect()
}
