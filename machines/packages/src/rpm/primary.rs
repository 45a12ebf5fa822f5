//! `primary.xml`: what a repository says of its packages, and `filelists.xml` for the files that it leaves out.

use std::collections::{HashMap, HashSet};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::relation::{Dependency, Sense};
use super::repomd::{RpmError, attribute};

/// What a list says of one package.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) architecture: String,
    /// `epoch:version-release`, without an epoch of 0.
    pub(crate) version: String,
    pub(crate) algorithm: String,
    pub(crate) checksum: String,
    pub(crate) path: String,
    pub(crate) size: String,
    pub(crate) installed_size: u64,
    pub(crate) provides: Vec<Dependency>,
    pub(crate) requires: Vec<Dependency>,
    pub(crate) recommends: Vec<Dependency>,
    pub(crate) conflicts: Vec<Dependency>,
    pub(crate) obsoletes: Vec<Dependency>,
    pub(crate) files: Vec<String>,
    /// Set by whoever puts lists together.
    pub(crate) index: usize,
}

const FILE: &str = "primary.xml";
const FILELISTS: &str = "filelists.xml";

/// Reads a list, leaving out what is for other architectures.
pub(crate) fn records(text: &str, architecture: &str) -> Result<Vec<Record>, RpmError> {
    let mut reader = Reader::from_str(text);
    let mut records = Vec::new();
    let mut record: Option<Record> = None;
    let mut section = Vec::new();
    let mut words = String::new();
    loop {
        match reader.read_event().map_err(|source| RpmError::Xml { file: FILE, source })? {
            Event::Start(element) => {
                words.clear();
                begin(&element, &mut record, &mut section);
            }
            Event::Empty(element) => begin_and_end(&element, &mut record, &section),
            Event::Text(part) => words.push_str(&part.xml10_content().unwrap_or_default()),
            Event::GeneralRef(reference) => push_reference(&reference, &mut words),
            Event::End(element) => {
                let name = element.local_name();
                if name.as_ref() == b"package" {
                    let Some(done) = record.take() else { continue };
                    if let Some(kept) = finish(done, architecture)? {
                        records.push(kept);
                    }
                } else if let Some(record) = &mut record {
                    let field = match name.as_ref() {
                        b"name" => Some(&mut record.name),
                        b"arch" => Some(&mut record.architecture),
                        b"checksum" => Some(&mut record.checksum),
                        b"file" => {
                            record.files.push(words.trim().to_owned());
                            None
                        }
                        _ => None,
                    };
                    if let Some(field) = field {
                        words.trim().clone_into(field);
                    }
                    if section.as_slice() == name.as_ref() {
                        section.clear();
                    }
                }
            }
            Event::Eof => return Ok(records),
            _ => {}
        }
    }
}

fn begin(element: &BytesStart<'_>, record: &mut Option<Record>, section: &mut Vec<u8>) {
    match element.local_name().as_ref() {
        b"package" => *record = Some(Record::default()),
        name @ (b"provides" | b"requires" | b"recommends" | b"conflicts" | b"obsoletes" | b"suggests"
        | b"supplements" | b"enhances") => *section = name.to_vec(),
        _ => begin_and_end(element, record, section),
    }
}

/// Elements that say all by their attributes.
fn begin_and_end(element: &BytesStart<'_>, record: &mut Option<Record>, section: &[u8]) {
    let Some(record) = record else { return };
    let value = |name| attribute(element, name).unwrap_or_default();
    match element.local_name().as_ref() {
        b"version" => record.version = evr(&value("epoch"), &value("ver"), &value("rel")),
        b"checksum" => record.algorithm = value("type"),
        b"location" => record.path = value("href"),
        b"size" => {
            record.size = value("package");
            record.installed_size = value("installed").parse().unwrap_or(0);
        }
        b"entry" => {
            let list = match section {
                b"provides" => &mut record.provides,
                b"requires" => &mut record.requires,
                b"recommends" => &mut record.recommends,
                b"conflicts" => &mut record.conflicts,
                b"obsoletes" => &mut record.obsoletes,
                _ => return,
            };
            let sense = Sense::parse(&value("flags"));
            let version = sense.map(|sense| (sense, evr(&value("epoch"), &value("ver"), &value("rel"))));
            list.push(Dependency { name: value("name"), version });
        }
        _ => {}
    }
}

/// As people write it: without an epoch of 0, and without a release if there is none.
fn evr(epoch: &str, version: &str, release: &str) -> String {
    let mut text = String::with_capacity(epoch.len() + version.len() + release.len() + 2);
    if !matches!(epoch, "" | "0") {
        text.push_str(epoch);
        text.push(':');
    }
    text.push_str(version);
    if !release.is_empty() {
        text.push('-');
        text.push_str(release);
    }
    text
}

fn finish(record: Record, architecture: &str) -> Result<Option<Record>, RpmError> {
    let needed =
        [("name", &record.name), ("architecture", &record.architecture), ("version", &record.version)];
    if let Some((what, _)) = needed.iter().find(|(_, value)| value.is_empty()) {
        return Err(RpmError::Value { file: FILE, what, text: record.name.clone() });
    }
    let fits = record.architecture == "noarch" || record.architecture == architecture;
    Ok(fits.then_some(record))
}

fn push_reference(reference: &quick_xml::events::BytesRef<'_>, words: &mut String) {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        words.push(character);
    } else if let Ok(name) = reference.decode()
        && let Some(text) = quick_xml::escape::resolve_xml_entity(&name)
    {
        words.push_str(text);
    }
}

/// By file: name, architecture and version of each package that has it.
pub(crate) type Owners = HashMap<String, Vec<(String, String, String)>>;

/// Which packages have which of the wanted files.
pub(crate) fn owners(text: &str, wanted: &HashSet<String>) -> Result<Owners, RpmError> {
    let mut reader = Reader::from_str(text);
    let mut found = Owners::new();
    let (mut name, mut architecture, mut version) = (String::new(), String::new(), String::new());
    let mut words = String::new();
    loop {
        match reader.read_event().map_err(|source| RpmError::Xml { file: FILELISTS, source })? {
            Event::Start(element) | Event::Empty(element) => {
                words.clear();
                let value = |name| attribute(&element, name).unwrap_or_default();
                match element.local_name().as_ref() {
                    b"package" => (name, architecture) = (value("name"), value("arch")),
                    b"version" => version = evr(&value("epoch"), &value("ver"), &value("rel")),
                    _ => {}
                }
            }
            Event::Text(part) => words.push_str(&part.xml10_content().unwrap_or_default()),
            Event::GeneralRef(reference) => push_reference(&reference, &mut words),
            Event::End(element) => {
                if element.local_name().as_ref() == b"file"
                    && let Some(path) = wanted.get(words.trim())
                {
                    let owner = (name.clone(), architecture.clone(), version.clone());
                    found.entry(path.clone()).or_default().push(owner);
                }
            }
            Event::Eof => return Ok(found),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"<metadata xmlns="c" xmlns:rpm="r" packages="2"><package type="rpm"><name>a</name><arch>x86_64</arch>
<version epoch="0" ver="1" rel="2"/><checksum type="sha256" pkgid="YES">ab</checksum><summary>&lt;x&gt;</summary>
<size package="10" installed="20" archive="30"/><location href="p/a.rpm"/><format><rpm:provides>
<rpm:entry name="a" flags="EQ" epoch="0" ver="1" rel="2"/></rpm:provides><rpm:requires>
<rpm:entry name="libc.so.6(GLIBC_2.3)(64bit)"/><rpm:entry name="b" flags="GE" epoch="1" ver="3"/></rpm:requires>
<file>/usr/bin/a&amp;b</file><file type="dir">/etc/a</file></format></package>
<package type="rpm"><name>a</name><arch>src</arch><version epoch="0" ver="1" rel="2"/></package></metadata>"#;

    #[test]
    fn packages_are_read() {
        let records = records(TEXT, "x86_64").expect("because it is a list");
        let [record] = &records[..] else { panic!("because one is for this architecture") };
        assert_eq!(
            (&*record.name, &*record.version, &*record.path, &*record.size),
            ("a", "1-2", "p/a.rpm", "10")
        );
        assert_eq!(record.files, ["/usr/bin/a&b", "/etc/a"]);
        assert_eq!(record.requires[1].version.as_ref().map(|(_, version)| &**version), Some("1:3"));
        assert_eq!((record.provides.len(), &*record.checksum, record.installed_size), (1, "ab", 20));
    }

    #[test]
    fn owners_of_files_are_found() {
        let text = r#"<filelists><package pkgid="x" name="a" arch="noarch"><version epoch="1" ver="2" rel="3"/>
            <file>/usr/bin/x</file><file>/y</file></package></filelists>"#;
        let found = owners(text, &HashSet::from(["/y".to_owned()])).expect("because it is a list");
        assert_eq!(found["/y"], [("a".to_owned(), "noarch".to_owned(), "1:2-3".to_owned())]);
        assert_eq!(found.len(), 1);
    }
}
