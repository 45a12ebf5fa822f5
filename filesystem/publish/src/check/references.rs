//! Checks what names revisions: the tags in the history, the log of references, and the description.

use varve_content::{ContentHash, ObjectKind, ObjectName};
use varve_repository::{
    CatalogReference, History, ManifestFields, MetaInfo, Reflog, RepositoryName, RepositoryPath,
    SignedManifest,
};
use varve_store::{ObjectStore, RepositoryFile};

use super::catalog::load;
use super::finding::{Finding, FindingKind, chain};
use super::signatures;
use super::transitions::Catalogs;

/// What refers to catalogs and other objects, besides the manifest.
#[derive(Default)]
pub(super) struct References {
    pub(super) tags: Vec<TagReference>,
    /// Root catalogs in the log of references.
    pub(super) logged: Vec<ContentHash>,
    /// Objects that are no catalogs and not of files.
    pub(super) objects: Vec<ObjectName>,
}

/// A tag and its root catalog.
pub(super) struct TagReference {
    name: String,
    revision: u64,
    pub(super) root: CatalogReference,
}

/// Reads and checks them.
pub(super) fn check(
    store: &dyn ObjectStore,
    name: &RepositoryName,
    manifest: &ManifestFields,
    findings: &mut Vec<Finding>,
) -> References {
    let mut references = References::default();
    let certificate = manifest.certificate.map(|hash| ObjectName::new(hash, ObjectKind::Certificate));
    references.objects.extend(certificate);
    let history = manifest.history.map(|hash| ObjectName::new(hash, ObjectKind::History));
    let mut logged_roots = vec![manifest.root_catalog];
    if let Some(object) = history {
        references.objects.push(object);
        match load(store, &object).and_then(|plain| History::read(&plain).map_err(|error| chain(&error))) {
            Ok(history) => {
                read_tags(&history, name, &object, &mut references, findings);
                logged_roots.extend(history.tags().iter().map(|tag| tag.root_catalog));
            }
            Err(problem) => findings.push(Finding::new(FindingKind::History, problem).of(&object)),
        }
    }
    let meta_info = manifest.meta_info.map(|hash| ObjectName::new(hash, ObjectKind::MetaInfo));
    if let Some(object) = meta_info {
        references.objects.push(object);
        let parsed =
            load(store, &object).and_then(|text| MetaInfo::parse(&text).map_err(|error| chain(&error)));
        if let Err(problem) = parsed {
            findings.push(Finding::new(FindingKind::MetaInfo, problem).of(&object));
        }
    }
    if let Some(reflog) = read_reflog(store, name, manifest, findings) {
        let objects = [certificate, history, meta_info].into_iter().flatten();
        let catalogs = logged_roots.into_iter().map(|hash| ObjectName::new(hash, ObjectKind::Catalog));
        for object in objects.chain(catalogs).filter(|object| !reflog.contains(object)) {
            let problem = format!("the log of references lacks {object}, which is in use");
            findings.push(Finding::new(FindingKind::Reflog, problem).of_file(RepositoryFile::Reflog));
        }
        for object in reflog.objects() {
            match object.name.kind {
                ObjectKind::Catalog => references.logged.push(object.name.hash),
                _ => references.objects.push(object.name),
            }
        }
    }
    references
}

/// Compares what tags and the manifest say with the catalogs that they name.
pub(super) fn compare(
    references: &References,
    manifest: &ManifestFields,
    head: &CatalogReference,
    catalogs: &Catalogs,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |kind, problem: String| findings.push(Finding::new(kind, problem));
    if let Some(catalog) = catalogs.get(head)
        && catalog.revision != manifest.revision
    {
        let (named, found) = (manifest.revision, catalog.revision);
        find(
            FindingKind::Manifest,
            format!("names revision {named}, its root catalog is of revision {found}"),
        );
    }
    for tag in &references.tags {
        let name = &tag.name;
        if tag.revision > manifest.revision {
            find(FindingKind::Tag, format!("tag '{name}' names revision {}, which is to come", tag.revision));
        }
        match catalogs.get(&tag.root) {
            None => find(FindingKind::Tag, format!("tag '{name}' names a root catalog that can't be loaded")),
            Some(catalog) => {
                if tag.root.size.is_some_and(|size| size != catalog.size) {
                    let found = catalog.size;
                    find(
                        FindingKind::Tag,
                        format!("tag '{name}' records another size than its catalog's {found}"),
                    );
                }
                if tag.revision != catalog.revision {
                    let (named, found) = (tag.revision, catalog.revision);
                    find(
                        FindingKind::Tag,
                        format!("tag '{name}' names revision {named}, its catalog is of {found}"),
                    );
                }
            }
        }
    }
    findings
}

fn read_tags(
    history: &History,
    name: &RepositoryName,
    object: &ObjectName,
    references: &mut References,
    findings: &mut Vec<Finding>,
) {
    if history.repository() != name {
        let problem = format!("the history is that of {}", history.repository());
        findings.push(Finding::new(FindingKind::History, problem).of(object));
    }
    for tag in history.tags() {
        if !history.branches().iter().any(|branch| branch.name == tag.branch) {
            let problem =
                format!("tag '{}' is on the branch '{}', which does not exist", tag.name, tag.branch);
            findings.push(Finding::new(FindingKind::Tag, problem).of(object));
        }
        references.tags.push(TagReference {
            name: tag.name.to_string(),
            revision: tag.revision,
            root: CatalogReference {
                path: RepositoryPath::ROOT,
                hash: tag.root_catalog,
                size: Some(tag.root_catalog_size).filter(|&size| size != 0),
            },
        });
    }
}

/// Whether the log is the one that a publish had written before it was killed, just before it switched the manifest.
fn is_of_an_interrupted_publish(store: &dyn ObjectStore, reflog: &[u8]) -> bool {
    let Ok(Some(next)) = signatures::file(store, RepositoryFile::NextManifest) else { return false };
    let named = SignedManifest::parse(&next).ok().and_then(|next| next.claims().reflog);
    named.is_some_and(|hash| Reflog::hash(reflog, hash.algorithm()) == hash)
}

fn read_reflog(
    store: &dyn ObjectStore,
    name: &RepositoryName,
    manifest: &ManifestFields,
    findings: &mut Vec<Finding>,
) -> Option<Reflog> {
    let mut find = |problem: String| {
        findings.push(Finding::new(FindingKind::Reflog, problem).of_file(RepositoryFile::Reflog));
    };
    let bytes = match signatures::file(store, RepositoryFile::Reflog) {
        Ok(Some(bytes)) => bytes,
        // Repositories of before the log, and copies, have none.
        Ok(None) if manifest.reflog.is_none() => return None,
        Ok(None) => {
            find("is missing".to_owned());
            return None;
        }
        Err(problem) => {
            find(problem);
            return None;
        }
    };
    // Each copy keeps a log of its own.
    let is_original = !matches!(signatures::file(store, RepositoryFile::MasterReplica), Ok(None));
    if let Some(hash) = manifest.reflog
        && is_original
        && Reflog::hash(&bytes, hash.algorithm()) != hash
        && !is_of_an_interrupted_publish(store, &bytes)
    {
        find("is not the one that the manifest names".to_owned());
    }
    match Reflog::read(&bytes) {
        Ok(reflog) => {
            if reflog.repository() != name {
                find(format!("is that of {}", reflog.repository()));
            }
            Some(reflog)
        }
        Err(error) => {
            find(chain(&error));
            None
        }
    }
}
