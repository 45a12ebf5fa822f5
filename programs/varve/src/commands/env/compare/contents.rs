//! What differs between the trees of two revisions: packages, where the trees list them, and files.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use varve_environment::{Environment, Source};
use varve_packages::{Lock, PackageDifference, PackageList};
use varve_publish::{Change, Difference, diff};
use varve_repository::{CatalogLoader, Entry, Node, RepositoryPath, Snapshot};
use varve_store::{Cache, CacheConfig};

use super::super::opened::{Opener, deadline, root_reference, told};
use crate::failure::Failure;

/// Larger lists of packages are not read.
const LARGEST_LIST: u64 = 256 << 20;

/// The trees of two environments.
pub(super) struct Trees<'a> {
    opener: &'a Opener<'a>,
    old: &'a Environment,
    new: &'a Environment,
    cache: Arc<Cache>,
    with_files: bool,
}

/// What differs in a tree.
#[derive(Debug, Serialize)]
pub(super) struct Contents {
    /// `None` where one of the trees lists no packages.
    #[serde(skip_serializing_if = "Option::is_none")]
    packages: Option<Vec<PackageDifference>>,
    files_added: u64,
    files_removed: u64,
    files_changed: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileDifference>,
}

#[derive(Debug, Serialize)]
struct FileDifference {
    path: String,
    change: &'static str,
}

impl<'a> Trees<'a> {
    pub(super) fn new(
        opener: &'a Opener<'a>,
        old: &'a Environment,
        new: &'a Environment,
        with_files: bool,
    ) -> Result<Self, Failure> {
        let cache = CacheConfig::new(opener.places.cache().join("objects"), SystemTime::now);
        Ok(Self { opener, old, new, cache: Arc::new(Cache::open(&cache)?), with_files })
    }

    /// Compares the trees of two revisions.
    pub(super) fn compare(&self, old: &Source, new: &Source) -> Result<Contents, Failure> {
        let before = self.snapshot(self.old, old)?;
        let after = self.snapshot(self.new, new)?;
        let packages = match (packages(&before)?, packages(&after)?) {
            (Some(before), Some(after)) => Some(before.differences(&after)),
            _ => None,
        };
        let contents = RefCell::new(Contents {
            packages,
            files_added: 0,
            files_removed: 0,
            files_changed: 0,
            files: Vec::new(),
        });
        diff::<Failure>(&before, &after, deadline(), &mut |difference| {
            contents.borrow_mut().count(&difference, self.with_files);
            Ok(())
        })?;
        Ok(contents.into_inner())
    }

    fn snapshot(&self, environment: &Environment, source: &Source) -> Result<Snapshot, Failure> {
        let opened = self.opener.open_source(environment, source)?;
        let loader = CatalogLoader::new(opened.source, Arc::clone(&self.cache));
        Ok(Snapshot::new(Arc::new(loader), root_reference(source, None)))
    }
}

impl Contents {
    fn count(&mut self, difference: &Difference, with_files: bool) {
        let (counter, change, entry) = match &difference.change {
            Change::Added(entry) => (&mut self.files_added, "added", entry),
            Change::Removed(entry) => (&mut self.files_removed, "removed", entry),
            Change::Modified { after, .. } => (&mut self.files_changed, "changed", after),
        };
        *counter += 1;
        if with_files {
            let path = difference.path.to_string();
            let slash = if is_directory(entry) && path != "/" { "/" } else { "" };
            self.files.push(FileDifference { path: format!("{path}{slash}"), change });
        }
    }

    /// Lines below the line of the part.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if let Some(packages) = &self.packages {
            let count =
                |is: fn(&PackageDifference) -> bool| packages.iter().filter(|package| is(package)).count();
            let added = count(|package| package.before.is_none());
            let removed = count(|package| package.after.is_none());
            let changed = packages.len() - added - removed;
            text.push_str(&format!("\n  packages: {added} added, {removed} removed, {changed} changed"));
            for package in packages {
                text.push_str(&package_text(package));
            }
        }
        let (added, removed, changed) = (self.files_added, self.files_removed, self.files_changed);
        text.push_str(&format!("\n  files: {added} added, {removed} removed, {changed} changed"));
        for file in &self.files {
            let letter = match file.change {
                "added" => 'A',
                "removed" => 'R',
                _ => 'M',
            };
            text.push_str(&format!("\n    {letter} {}", file.path));
        }
        text
    }
}

fn package_text(package: &PackageDifference) -> String {
    let PackageDifference { name, architecture, before, after } = package;
    match (before, after) {
        (None, after) => format!("\n    + {name} {} ({architecture})", after.as_deref().unwrap_or_default()),
        (Some(before), None) => format!("\n    - {name} {before} ({architecture})"),
        (Some(before), Some(after)) => format!("\n    {name} {before} → {after} ({architecture})"),
    }
}

/// The packages that a tree lists: by the lock that it was built from, else by dpkg.
fn packages(tree: &Snapshot) -> Result<Option<PackageList>, Failure> {
    if let Some(lock) = text(tree, PackageList::LOCK_PATH)?
        && let Ok(lock) = Lock::parse(&lock)
    {
        return Ok(Some(PackageList::of_lock(&lock)));
    }
    Ok(text(tree, PackageList::DPKG_PATH)?.map(|status| PackageList::of_dpkg(&status)))
}

/// A file of a tree; `None` if there is none.
fn text(tree: &Snapshot, path: &str) -> Result<Option<String>, Failure> {
    let path = RepositoryPath::new(path.as_bytes()).map_err(Failure::usage_error)?;
    let Some(file) = tree.resolve(&path, deadline()).map_err(told)? else { return Ok(None) };
    let Node::File(content) = file.entry().to_entry().node else { return Ok(None) };
    if content.size > LARGEST_LIST || content.external {
        return Ok(None);
    }
    let mut bytes = vec![0; content.size as usize];
    let length = tree.read(&file, 0, &mut bytes, deadline()).map_err(told)?;
    bytes.truncate(length);
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn is_directory(entry: &Entry) -> bool {
    matches!(entry.node, Node::Directory { .. })
}
