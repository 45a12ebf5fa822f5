//! From a mirror to a verified repository: the signed table of files first, then the lists that it gives the digests of.

use super::RpmTexts;
use super::repomd::{RepoFile, Repomd};
use crate::archive::{Archive, SilentFetch, Wanted};
use crate::expand::{Packing, expand};
use crate::index::{Index, IndexAccess, IndexFault, IndexSource, IndexText, LARGEST};
use crate::location::PackagePath;
use crate::lock::LockedIndex;
use crate::openpgp::SignatureError;

/// Larger tables of files are not read.
const TABLE: u64 = 16 << 20;

/// The lists that are read: packages, all their files, groups.
const KINDS: [&str; 3] = ["primary", "filelists", "group"];

/// Fetches an index and verifies it.
pub(crate) fn fetch(source: &IndexSource, access: IndexAccess<'_>) -> Result<Index, IndexFault> {
    if source.keyring.is_empty() && !source.unsigned {
        return Err(IndexFault::NoKeys);
    }
    let get = |name: &str| {
        access.transfers.fetch(&source.mirror, &PackagePath::new(name)?, TABLE).map_err(IndexFault::from)
    };
    let bytes = get("repodata/repomd.xml")?;
    let fingerprints = if source.unsigned {
        Vec::new()
    } else {
        let signature = match get("repodata/repomd.xml.asc") {
            Err(IndexFault::Transfer(error)) if error.is_absence() => {
                return Err(SignatureError::Syntax { reason: "there is none".to_owned() }.into());
            }
            other => other?,
        };
        source.keyring.verify_detached(&signature, &bytes, access.now)?
    };
    let repomd = Repomd::parse(&String::from_utf8_lossy(&bytes))?;
    let wanted: Vec<Wanted> = files(&repomd)
        .map(|file| Wanted {
            mirror: source.mirror.clone(),
            path: file.path.clone(),
            size: file.size,
            sha256: file.sha256,
        })
        .collect();
    access.archive.fetch(&wanted, access.transfers, &SilentFetch)?;
    // Last: whoever finds it in the archive finds all that it names.
    let sha256 = access.archive.keep(&bytes)?;
    let locked = LockedIndex {
        id: source.id.clone(),
        suite: source.suite.clone(),
        components: source.components.clone(),
        date: jiff::Timestamp::from_second(repomd.date).unwrap_or_default().to_string(),
        sha256,
        fingerprints,
        mirror: source.mirror.clone(),
    };
    let mut index = read(locked, &repomd, access.archive)?;
    index.security = source.security.unwrap_or(index.security);
    Ok(index)
}

/// Reads an index that was fetched before.
pub(crate) fn recall(locked: &LockedIndex, archive: &Archive) -> Result<Index, IndexFault> {
    // Verified when it came in; its digest is what the lock says.
    let bytes = archive.read(&locked.sha256, TABLE)?;
    let repomd = Repomd::parse(&String::from_utf8_lossy(&bytes))?;
    read(locked.clone(), &repomd, archive)
}

fn files(repomd: &Repomd) -> impl Iterator<Item = &RepoFile> {
    KINDS.iter().filter_map(|kind| repomd.file(kind))
}

fn read(locked: LockedIndex, repomd: &Repomd, archive: &Archive) -> Result<Index, IndexFault> {
    let text = |kind: &str| -> Result<Option<String>, IndexFault> {
        let Some(file) = repomd.file(kind) else { return Ok(None) };
        let bytes = archive.read(&file.sha256, file.size)?;
        let packing = Packing::of(&file.path);
        let size = file.open_size.filter(|&size| packing != Packing::None && size <= LARGEST);
        Ok(Some(expand(&file.path, packing, bytes, size, LARGEST)?))
    };
    let texts = RpmTexts {
        primary: text("primary")?.unwrap_or_default(),
        filelists: text("filelists")?,
        groups: text("group")?,
    };
    let security = locked.id.as_str().contains("security");
    Ok(Index { locked, security, automatic: true, text: IndexText::Rpm(Box::new(texts)) })
}
