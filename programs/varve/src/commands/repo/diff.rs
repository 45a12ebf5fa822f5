//! `varve repo diff`: what differs between two revisions of a repository of this machine.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde::Serialize;
use varve_content::ContentHash;
use varve_publish::{Aspect, Change, Difference, LocalRepository, diff, info, list_tags};
use varve_repository::{
    CatalogLoader, CatalogReference, Entry, Node, Reference, RepositoryName, RepositoryPath, Snapshot,
};
use varve_store::{Cache, CacheConfig, Deadline, ObjectStore};

use super::local;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// How long loading all catalogs may take.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Show which paths differ between two revisions
#[derive(Args, Debug)]
pub(crate) struct Diff {
    /// The repository
    name: RepositoryName,
    /// The older revision: a tag, a date or the hash of a root catalog
    #[arg(default_value = "trunk-previous")]
    old: Reference,
    /// The newer revision; the latest by default
    #[arg(default_value = "")]
    new: Reference,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// A difference as JSON.
#[derive(Serialize)]
struct Shown {
    path: String,
    change: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aspects: Vec<Aspect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_after: Option<u64>,
}

impl Diff {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let repository = local::repository(invocation, &self.name)?;
        let settings = repository.read_settings().map_err(Failure::usage_error)?;
        let store: Arc<dyn ObjectStore> = Arc::from(repository.open_store(&settings)?);
        let cache = Cache::open(&CacheConfig::new(invocation.places()?.cache(), SystemTime::now))?;
        let loader = Arc::new(CatalogLoader::new(store, Arc::new(cache)));
        let snapshot = |reference| -> Result<Snapshot, Failure> {
            let hash = root_catalog(&repository, reference, invocation.now())?;
            let root = CatalogReference { path: RepositoryPath::ROOT, hash, size: None };
            Ok(Snapshot::new(Arc::clone(&loader), root))
        };
        let (old, new) = (snapshot(&self.old)?, snapshot(&self.new)?);
        diff::<Failure>(&old, &new, Deadline::after(PATIENCE), &mut |difference| {
            if self.json {
                let text = serde_json::to_string(&shown(&difference));
                invocation.output.line(text.map_err(|error| Failure::new(ExitCode::Failure, error))?)
            } else {
                invocation.output.line(words(&difference))
            }
        })
    }
}

fn root_catalog(
    repository: &LocalRepository,
    reference: &Reference,
    now: SystemTime,
) -> Result<ContentHash, Failure> {
    let tags = || list_tags(repository, now);
    let found = match reference {
        Reference::Latest => Some(info(repository, now)?.root_catalog),
        Reference::Hash(hash) => Some(*hash),
        Reference::Tag(name) => {
            tags()?.into_iter().find(|tag| tag.name.as_str() == name).map(|tag| tag.root_catalog)
        }
        Reference::Date { seconds, text } => {
            let tags = tags()?;
            let named = tags.iter().find(|tag| tag.name.as_str() == text);
            // The newest come first.
            let latest = || tags.iter().find(|tag| tag.branch.is_empty() && tag.published <= *seconds);
            named.or_else(latest).map(|tag| tag.root_catalog)
        }
    };
    found.ok_or_else(|| {
        let (name, error) = (&repository.name, format!("{} has no revision '{reference}'", repository.name));
        Failure::new(ExitCode::NotFound, error).hint(format!("`varve repo tag {name}` lists the tags"))
    })
}

/// One line: a letter, the path with a slash behind directories, and what differs.
fn words(difference: &Difference) -> String {
    // The root is a slash by itself.
    let path = difference.path.to_string();
    let path = path.trim_end_matches('/');
    match &difference.change {
        Change::Added(entry) => format!("A {path}{}", slash(entry)),
        Change::Removed(entry) => format!("R {path}{}", slash(entry)),
        Change::Modified { after, aspects, .. } => {
            let aspects: Vec<&str> = aspects.iter().map(|aspect| aspect.name()).collect();
            format!("M {path}{} ({})", slash(after), aspects.join(", "))
        }
    }
}

fn slash(entry: &Entry) -> &'static str {
    if matches!(entry.node, Node::Directory { .. }) { "/" } else { "" }
}

fn shown(difference: &Difference) -> Shown {
    let path = difference.path.to_string();
    let (change, kind, aspects, before, after) = match &difference.change {
        Change::Added(entry) => ("added", kind(entry), Vec::new(), None, size(entry)),
        Change::Removed(entry) => ("removed", kind(entry), Vec::new(), size(entry), None),
        Change::Modified { before, after, aspects } => {
            ("modified", kind(after), aspects.clone(), size(before), size(after))
        }
    };
    Shown { path, change, kind, aspects, size_before: before, size_after: after }
}

fn kind(entry: &Entry) -> &'static str {
    match entry.node {
        Node::Directory { .. } => "directory",
        Node::File(_) => "file",
        Node::Symlink { .. } => "symlink",
        Node::Fifo => "fifo",
        Node::Socket => "socket",
        Node::CharacterDevice { .. } => "character-device",
        Node::BlockDevice { .. } => "block-device",
    }
}

fn size(entry: &Entry) -> Option<u64> {
    match &entry.node {
        Node::File(content) => Some(content.size),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use varve_repository::{EntryName, HardLink, Metadata, Mtime, NestedRole, Xattrs};

    use super::*;

    fn directory(name: Option<&str>) -> Box<Entry> {
        Box::new(Entry {
            name: name.map(|name| EntryName::new(name).expect("because it is a name")),
            metadata: Metadata { permissions: 0o755, uid: 0, gid: 0, mtime: Mtime::default() },
            node: Node::Directory { size: 4096 },
            hard_link: HardLink::SINGLE,
            xattrs: Xattrs::default(),
            nested: NestedRole::Plain,
            hidden: false,
        })
    }

    #[test]
    fn differences_are_told_in_two_forms() {
        let aspects = vec![Aspect::Permissions, Aspect::LinkCount];
        let root = Difference {
            path: RepositoryPath::ROOT,
            change: Change::Modified { before: directory(None), after: directory(None), aspects },
        };
        let path = RepositoryPath::new(b"/a").expect("because it is a path");
        let added = Difference { path, change: Change::Added(directory(Some("a"))) };
        assert_eq!((&*words(&root), &*words(&added)), ("M / (permissions, link count)", "A /a/"));
        let json = |difference| serde_json::to_string(&shown(difference)).expect("because it is text");
        let expected =
            r#"{"path":"/","change":"modified","kind":"directory","aspects":["permissions","link-count"]}"#;
        assert_eq!(json(&root), expected);
        assert_eq!(json(&added), r#"{"path":"/a","change":"added","kind":"directory"}"#);
    }
}
