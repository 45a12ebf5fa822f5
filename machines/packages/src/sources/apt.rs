//! apt's configuration: `sources.list`, `.list` and `.sources` files, and the keys that they are signed by.

use std::path::Path;

use super::{MachineSources, SourcesError, files, id_of, keyring, keyring_of_text, location, read_text};
use crate::debian::stanzas::{fields, stanzas};
use crate::digest::Fingerprint;
use crate::index::IndexSource;
use crate::location::MirrorUrl;
use crate::name::Architecture;
use crate::openpgp::Keyring;

/// One entry of apt's configuration, in either form.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    architectures: Vec<String>,
    /// Paths, fingerprints, or a key itself.
    signed_by: String,
    trusted: bool,
    check_age: Option<bool>,
}

/// The indexes that apt uses on the machine whose root directory is given.
///
/// # Errors
/// If a file of the configuration can't be read or makes no sense.
pub fn apt_sources(root: &Path, architecture: &Architecture) -> Result<MachineSources, SourcesError> {
    let apt = root.join("etc/apt");
    let mut paths = files(&apt.join("sources.list.d"), &["list", "sources"])?;
    let list = apt.join("sources.list");
    if list.is_file() {
        paths.insert(0, list);
    }
    let mut sources = MachineSources::default();
    for path in &paths {
        add_file(path, root, architecture, &mut sources)?;
    }
    if sources.indexes.is_empty() {
        return Err(SourcesError::Empty { path: apt });
    }
    Ok(sources)
}

/// The indexes of one `.list` or `.sources` file.
///
/// # Errors
/// If it can't be read or makes no sense.
pub fn apt_sources_of(path: &Path, architecture: &Architecture) -> Result<MachineSources, SourcesError> {
    let mut sources = MachineSources::default();
    add_file(path, Path::new("/"), architecture, &mut sources)?;
    if sources.indexes.is_empty() {
        return Err(SourcesError::Empty { path: path.to_owned() });
    }
    Ok(sources)
}

fn add_file(
    path: &Path,
    root: &Path,
    architecture: &Architecture,
    sources: &mut MachineSources,
) -> Result<(), SourcesError> {
    let text = read_text(path)?;
    let entries = match path.extension().and_then(|ending| ending.to_str()) {
        Some("sources") => stanzas(&text).filter_map(stanza).collect(),
        _ => {
            let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
            let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("deb-src"));
            let entry = |entry: &str| {
                line(entry).ok_or_else(|| SourcesError::Syntax {
                    path: path.to_owned(),
                    reason: format!("'{entry}' is not an entry for apt"),
                })
            };
            lines.map(entry).collect::<Result<Vec<Entry>, _>>()?
        }
    };
    let check_age = !is_age_ignored(root)?;
    for entry in entries {
        let runs = entry.architectures.is_empty()
            || entry.architectures.iter().any(|one| one == architecture.as_str());
        if !runs {
            continue;
        }
        let keyring = keys(&entry.signed_by, path, root)?;
        for uri in &entry.uris {
            // apt copies from it, which is what is done here anyway.
            let uri = uri.strip_prefix("copy:").map_or_else(|| uri.clone(), |path| format!("file:{path}"));
            let uri = uri.replace("$(ARCH)", architecture.as_str());
            let mirror = match MirrorUrl::new(uri.as_str()) {
                Ok(mirror) => mirror,
                Err(_) if !uri.starts_with("http") && !uri.starts_with("file") => {
                    sources
                        .skipped
                        .push(format!("{}: {uri} is of a kind that only apt knows", path.display()));
                    continue;
                }
                Err(error) => return Err(location(path, &error)),
            };
            for suite in &entry.suites {
                sources.add(IndexSource {
                    id: id_of(suite),
                    mirror: mirror.clone(),
                    suite: suite.clone(),
                    components: entry.components.clone(),
                    keyring: keyring.clone(),
                    unsigned: entry.trusted,
                    check_age: entry.check_age.unwrap_or(check_age),
                    security: None,
                });
            }
        }
    }
    Ok(())
}

/// A stanza of a `.sources` file; `None` if it is switched off or about sources.
fn stanza(text: &str) -> Option<Entry> {
    let mut entry = Entry::default();
    let (mut binary, mut enabled) = (false, true);
    let words = |value: &str| value.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for (name, value) in fields(text) {
        match name.to_ascii_lowercase().as_str() {
            "types" => binary = value.split_ascii_whitespace().any(|word| word == "deb"),
            "uris" => entry.uris = words(value),
            "suites" => entry.suites = words(value),
            "components" => entry.components = words(value),
            "architectures" => entry.architectures = words(value),
            "enabled" => enabled = is_true(value),
            "trusted" => entry.trusted = is_true(value),
            "check-valid-until" => entry.check_age = Some(is_true(value)),
            "signed-by" => value.clone_into(&mut entry.signed_by),
            _ => {}
        }
    }
    (binary && enabled).then_some(entry)
}

/// `deb [option=value …] uri suite component …`
fn line(text: &str) -> Option<Entry> {
    let mut entry = Entry::default();
    let mut rest = text.strip_prefix("deb")?.trim_start();
    if let Some(options) = rest.strip_prefix('[') {
        let (options, after) = options.split_once(']')?;
        rest = after;
        for option in options.split_ascii_whitespace() {
            let (name, value) = option.split_once('=')?;
            match name.to_ascii_lowercase().as_str() {
                "arch" => entry.architectures = value.split(',').map(str::to_owned).collect(),
                "signed-by" => entry.signed_by = value.replace(',', " "),
                "trusted" => entry.trusted = is_true(value),
                "check-valid-until" => entry.check_age = Some(is_true(value)),
                _ => {}
            }
        }
    }
    let mut words = rest.split_ascii_whitespace().map(str::to_owned);
    entry.uris = vec![words.next()?];
    entry.suites = vec![words.next()?];
    entry.components = words.collect();
    Some(entry)
}

fn is_true(value: &str) -> bool {
    ["yes", "true", "with", "on", "enable", "1"].contains(&value.to_ascii_lowercase().as_str())
}

/// The keys that an entry is signed by; all that apt trusts, if it doesn't say.
fn keys(signed_by: &str, path: &Path, root: &Path) -> Result<Keyring, SourcesError> {
    if signed_by.contains("-----BEGIN") {
        // An empty line is written as a dot.
        let plain = |line: &str| if line.trim() == "." { String::new() } else { line.trim().to_owned() };
        let text: Vec<String> = signed_by.lines().map(plain).collect();
        return keyring_of_text(&text.join("\n"), path);
    }
    let (mut found, mut fingerprints) = (Keyring::default(), Vec::new());
    for word in signed_by.split_ascii_whitespace() {
        if let Some(inside) = word.strip_prefix('/') {
            found.extend(keyring(&root.join(inside))?);
        } else if let Ok(fingerprint) = word.trim_end_matches('!').parse::<Fingerprint>() {
            fingerprints.push(fingerprint);
        } else {
            let reason = format!("'{word}' is neither the path nor the fingerprint of a key");
            return Err(SourcesError::Syntax { path: path.to_owned(), reason });
        }
    }
    if found.is_empty() {
        let apt = root.join("etc/apt");
        let mut paths = files(&apt.join("trusted.gpg.d"), &["gpg", "asc"])?;
        paths.extend(Some(apt.join("trusted.gpg")).filter(|path| path.is_file()));
        for path in paths {
            // apt goes on without one that it can't read as well.
            if let Ok(keys) = keyring(&path) {
                found.extend(keys);
            }
        }
        if !fingerprints.is_empty() {
            found.retain(&fingerprints);
        }
    }
    Ok(found)
}

/// Whether apt is told to take expired indexes too.
fn is_age_ignored(root: &Path) -> Result<bool, SourcesError> {
    let apt = root.join("etc/apt");
    let mut ignored = false;
    let directory = apt.join("apt.conf.d");
    let mut paths: Vec<_> = match std::fs::read_dir(&directory) {
        Ok(entries) => {
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect()
        }
        Err(_) => Vec::new(),
    };
    paths.sort();
    paths.push(apt.join("apt.conf"));
    for path in paths.iter().filter(|path| path.is_file()) {
        for line in read_text(path)?.lines().map(str::trim) {
            let value = line
                .strip_prefix("Acquire::Check-Valid-Until")
                .map(|value| value.trim().trim_end_matches(';'));
            if let Some(value) = value {
                ignored = !is_true(value.trim_matches('"'));
            }
        }
    }
    Ok(ignored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let one =
            line("deb [arch=amd64,arm64 signed-by=/k.gpg trusted=no] http://h/debian stable main contrib");
        let other = stanza(
            "Types: deb deb-src\nURIs: http://h/debian\nSuites: stable\nComponents: main\n contrib\n\
             Architectures: amd64 arm64\nSigned-By: /k.gpg\n",
        );
        assert!(one.is_some());
        assert_eq!(one, other);
    }

    #[test]
    fn what_is_off_or_about_sources_is_left_out() {
        assert_eq!(stanza("Types: deb-src\nURIs: http://h\nSuites: s"), None);
        assert_eq!(stanza("Types: deb\nEnabled: no\nURIs: http://h\nSuites: s"), None);
        assert_eq!(line("deb http://h"), None);
        assert_eq!(line("deb [arch=amd64 http://h stable main"), None);
    }
}
