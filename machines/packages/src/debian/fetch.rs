//! From a mirror to a verified index: the signed release file first, then the lists of packages that it gives the digests of.

use super::release::{IndexFile, Release};
use crate::archive::{Archive, SilentFetch, Wanted};
use crate::expand::{Packing, expand};
use crate::index::{Index, IndexAccess, IndexFault, IndexSource, IndexText, LARGEST};
use crate::location::PackagePath;
use crate::lock::LockedIndex;
use crate::name::Architecture;
use crate::openpgp::{SignatureError, SignedText};

/// Larger release files are not read.
const RELEASE: u64 = 32 << 20;

/// The packings of a list, the preferred first: gzip is expanded five times as fast as xz, for a third more bytes.
const ENDINGS: [&str; 5] = [".gz", ".zst", ".xz", ".bz2", ""];

/// Fetches an index and verifies it.
pub(crate) fn fetch(
    source: &IndexSource,
    architecture: &Architecture,
    access: IndexAccess<'_>,
) -> Result<Index, IndexFault> {
    let directory = directory(&source.suite);
    let (bytes, signed) = signed_release(source, &directory, access)?;
    let release = Release::parse(&signed.text)?;
    if source.check_age {
        release.check_age(access.now)?;
    }
    let lists = lists(&source.components, architecture, &release)?;
    let mut wanted = Vec::new();
    for (path, file) in &lists {
        let digest = path.as_str().rsplit_once('/').map_or("", |(before, _)| before);
        let path = match release.by_hash {
            true if digest.is_empty() => format!("{directory}by-hash/SHA256/{}", file.sha256),
            true => format!("{directory}{digest}/by-hash/SHA256/{}", file.sha256),
            false => format!("{directory}{path}"),
        };
        let path = PackagePath::new(path)?;
        wanted.push(Wanted { mirror: source.mirror.clone(), path, size: file.size, sha256: file.sha256 });
    }
    for (wanted, (path, _)) in wanted.into_iter().zip(&lists) {
        match access.archive.fetch(std::slice::from_ref(&wanted), access.transfers, &SilentFetch) {
            // A mirror of which only the names were copied.
            Err(error) if error.is_absence() && release.by_hash => {
                let plain = Wanted { path: PackagePath::new(format!("{directory}{path}"))?, ..wanted };
                access.archive.fetch(&[plain], access.transfers, &SilentFetch)?;
            }
            other => {
                other?;
            }
        }
    }
    // Last: whoever finds it in the archive finds all that it names.
    let sha256 = access.archive.keep(&bytes)?;
    let locked = LockedIndex {
        id: source.id.clone(),
        suite: source.suite.clone(),
        components: source.components.clone(),
        date: release.date.to_string(),
        sha256,
        fingerprints: signed.signers,
        mirror: source.mirror.clone(),
    };
    let mut index = read(locked, &lists, &release, access.archive)?;
    index.security = source.security.unwrap_or(index.security);
    Ok(index)
}

/// Reads an index that was fetched before.
pub(crate) fn recall(
    locked: &LockedIndex,
    architecture: &Architecture,
    archive: &Archive,
) -> Result<Index, IndexFault> {
    // Verified when it came in; its digest is what the lock says.
    let bytes = archive.read(&locked.sha256, RELEASE)?;
    let text = String::from_utf8_lossy(&bytes);
    let release = Release::parse(signed_part(&text))?;
    let lists = lists(&locked.components, architecture, &release)?;
    read(locked.clone(), &lists, &release, archive)
}

/// The release file's bytes as they are kept, and its verified text.
fn signed_release(
    source: &IndexSource,
    directory: &str,
    access: IndexAccess<'_>,
) -> Result<(Vec<u8>, SignedText), IndexFault> {
    if source.keyring.is_empty() && !source.unsigned {
        return Err(IndexFault::NoKeys);
    }
    let get = |name: &str| {
        let path = PackagePath::new(format!("{directory}{name}"))?;
        Ok::<_, IndexFault>(access.transfers.fetch(&source.mirror, &path, RELEASE)?)
    };
    let absent = |fault: &IndexFault| matches!(fault, IndexFault::Transfer(error) if error.is_absence());
    match get("InRelease") {
        Ok(bytes) if source.unsigned => {
            let text = String::from_utf8_lossy(&bytes);
            let text = signed_part(&text).to_owned();
            Ok((bytes, SignedText { text, signers: Vec::new() }))
        }
        Ok(bytes) => {
            let signed = source.keyring.verify_clear_signed(&bytes, access.now)?;
            Ok((bytes, signed))
        }
        Err(fault) if absent(&fault) => {
            let bytes = get("Release")?;
            let signers = if source.unsigned {
                Vec::new()
            } else {
                let signature = match get("Release.gpg") {
                    Err(fault) if absent(&fault) => {
                        return Err(SignatureError::Syntax { reason: "there is none".to_owned() }.into());
                    }
                    other => other?,
                };
                source.keyring.verify_detached(&signature, &bytes, access.now)?
            };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Ok((bytes, SignedText { text, signers }))
        }
        Err(fault) => Err(fault),
    }
}

/// What stands between the head and the signature of a clear-signed text that was verified before; all of any other text.
fn signed_part(text: &str) -> &str {
    let Some(rest) = text.strip_prefix("-----BEGIN PGP SIGNED MESSAGE-----\n") else { return text };
    let begin = rest.find("\n\n").map_or(0, |at| at + 2);
    let end = rest.find("\n-----BEGIN PGP SIGNATURE-----").map_or(rest.len(), |at| at + 1);
    rest.get(begin..end).unwrap_or("")
}

/// `dists/stable/`; a suite that ends with a slash is the directory itself.
fn directory(suite: &str) -> String {
    match suite {
        "/" | "./" => String::new(),
        suite if suite.ends_with('/') => suite.to_owned(),
        suite => format!("dists/{suite}/"),
    }
}

/// The list of each component, in the packing that is preferred.
fn lists(
    components: &[String],
    architecture: &Architecture,
    release: &Release,
) -> Result<Vec<(PackagePath, IndexFile)>, IndexFault> {
    let find = |list: &str| {
        ENDINGS.iter().find_map(|ending| {
            let path = PackagePath::new(format!("{list}{ending}")).ok()?;
            let file = release.file(&path)?;
            Some((path, file))
        })
    };
    let mut found = Vec::new();
    // All in one directory.
    let flat = [String::new()];
    let components = if components.is_empty() { &flat } else { components };
    for component in components {
        let list = match component.as_str() {
            "" => "Packages".to_owned(),
            component => format!("{component}/binary-{architecture}/Packages"),
        };
        let component = component.clone();
        let missing =
            || IndexFault::NoComponent { component: component.clone(), architecture: architecture.clone() };
        found.push(find(&list).ok_or_else(missing)?);
        if release.separate_all && !component.is_empty() {
            found.extend(find(&format!("{component}/binary-all/Packages")));
        }
    }
    Ok(found)
}

fn read(
    locked: LockedIndex,
    lists: &[(PackagePath, IndexFile)],
    release: &Release,
    archive: &Archive,
) -> Result<Index, IndexFault> {
    let mut texts = Vec::with_capacity(lists.len());
    for (path, file) in lists {
        let bytes = archive.read(&file.sha256, file.size)?;
        let plain = path.as_str().rsplit_once('.').map_or(path.as_str(), |(plain, _)| plain);
        let size =
            PackagePath::new(plain).ok().and_then(|plain| release.file(&plain)).map(|plain| plain.size);
        let packing = Packing::of(path);
        let size = if packing == Packing::None { None } else { size.filter(|&size| size <= LARGEST) };
        texts.push(expand(path, packing, bytes, size, LARGEST)?);
    }
    let security =
        release.label.to_ascii_lowercase().contains("security") || locked.suite.contains("security");
    Ok(Index { locked, security, automatic: !release.not_automatic, text: IndexText::Debian(texts) })
}
