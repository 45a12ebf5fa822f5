//! dnf's configuration: `.repo` files, and the keys that they name.

use std::path::Path;

use super::{MachineSources, SourcesError, files, id_of, keyring, location, read_text};
use crate::index::IndexSource;
use crate::location::MirrorUrl;
use crate::name::Architecture;
use crate::openpgp::Keyring;

/// The indexes that dnf uses on the machine whose root directory is given.
///
/// # Errors
/// If a file of the configuration can't be read or makes no sense.
pub fn dnf_sources(root: &Path, architecture: &Architecture) -> Result<MachineSources, SourcesError> {
    let directory = root.join("etc/yum.repos.d");
    let mut sources = MachineSources::default();
    for path in files(&directory, &["repo"])? {
        add_file(&path, root, architecture, &mut sources)?;
    }
    if sources.indexes.is_empty() {
        return Err(SourcesError::Empty { path: directory });
    }
    Ok(sources)
}

/// The indexes of one `.repo` file.
///
/// # Errors
/// If it can't be read or makes no sense.
pub fn dnf_sources_of(path: &Path, architecture: &Architecture) -> Result<MachineSources, SourcesError> {
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
    let release = release(root);
    for (id, settings) in sections(&text) {
        let value = |name: &str| {
            settings.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
        };
        let is_on = |name: &str, default: bool| {
            value(name).map_or(default, |word| matches!(word, "1" | "yes" | "true" | "on"))
        };
        if id == "main" || !is_on("enabled", true) {
            continue;
        }
        let filled = |text: &str| {
            let text =
                text.replace("$basearch", architecture.as_str()).replace("$arch", architecture.as_str());
            release.as_ref().map_or_else(|| text.clone(), |release| text.replace("$releasever", release))
        };
        let Some(url) =
            value("baseurl").and_then(|urls| urls.split([' ', ',', '\n']).find(|url| !url.is_empty()))
        else {
            sources.skipped.push(format!("{}: repository '{id}' has no baseurl", path.display()));
            continue;
        };
        let url = filled(url);
        if url.contains('$') {
            sources.skipped.push(format!("{}: nothing says what the '$' in {url} means", path.display()));
            continue;
        }
        let mirror = MirrorUrl::new(url).map_err(|error| location(path, &error))?;
        let signed = is_on("repo_gpgcheck", false);
        let mut keys = Keyring::default();
        for key in value("gpgkey").unwrap_or_default().split([' ', ',', '\n']).filter(|key| !key.is_empty()) {
            let key = filled(key);
            match key.strip_prefix("file://").unwrap_or(&key).strip_prefix('/') {
                Some(inside) => keys.extend(keyring(&root.join(inside))?),
                None if signed => sources
                    .skipped
                    .push(format!("{}: key {key} is not a file of this machine", path.display())),
                None => {}
            }
        }
        sources.add(IndexSource {
            id: id_of(&id),
            mirror,
            suite: String::new(),
            components: Vec::new(),
            keyring: keys,
            unsigned: !signed,
            check_age: true,
            security: None,
        });
    }
    Ok(())
}

/// Names and settings of the sections; values that go on in the next line begin there with a blank.
fn sections(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut sections: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            sections.push((name.to_owned(), Vec::new()));
            continue;
        }
        let Some((_, settings)) = sections.last_mut() else { continue };
        if line.starts_with([' ', '\t'])
            && let Some((_, value)) = settings.last_mut()
        {
            value.push('\n');
            value.push_str(trimmed);
        } else if let Some((name, value)) = trimmed.split_once('=') {
            settings.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    sections
}

/// `$releasever` of the machine.
fn release(root: &Path) -> Option<String> {
    let text = read_text(&root.join("etc/os-release")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_ID="))?;
    let version = line.trim_matches(['"', '\'']);
    // Enterprise distributions count the first number only.
    let major = version.split('.').next().unwrap_or(version);
    (!major.is_empty()).then(|| major.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_read() {
        let root = tempfile::tempdir().expect("because the disk has room");
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().expect("because it has one"))
                .expect("because the disk has room");
            std::fs::write(path, text).expect("because the disk has room");
        };
        write("etc/os-release", "ID=x\nVERSION_ID=\"9.4\"\n");
        write(
            "etc/yum.repos.d/a.repo",
            "# x\n[base]\nname=Base\nbaseurl=http://h/$releasever/$basearch/os/\n  http://other/\ngpgcheck=1\n\
             [off]\nenabled=0\nbaseurl=http://h/\n[list]\nmetalink=https://h/x\n[odd]\nbaseurl=http://h/$stream/\n",
        );
        let architecture = Architecture::new("x86_64").expect("because it is one");
        let sources = dnf_sources(root.path(), &architecture).expect("because it is configured");
        let [base] = &sources.indexes[..] else { panic!("because one can be used: {sources:?}") };
        assert_eq!(
            (base.id.as_str(), base.mirror.as_str(), base.unsigned),
            ("base", "http://h/9/x86_64/os", true)
        );
        assert_eq!(sources.skipped.len(), 2, "{:?}", sources.skipped);
    }
}
