//! `repomd.xml`: which files a repository has, their sizes and digests. Its signature is checked before it comes here.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::digest::Sha256;
use crate::location::PackagePath;

/// A repository's table of files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repomd {
    /// When its newest file was made, in seconds since 1970.
    pub(crate) date: i64,
    files: Vec<(String, RepoFile)>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RepoFile {
    pub(crate) path: PackagePath,
    pub(crate) sha256: Sha256,
    pub(crate) size: u64,
    /// Decompressed.
    pub(crate) open_size: Option<u64>,
}

/// XML that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum RpmError {
    /// Not XML.
    #[error("{file} is not well-formed XML")]
    Xml {
        /// Which file.
        file: &'static str,
        /// Where and why.
        #[source]
        source: quick_xml::Error,
    },
    /// Something is missing or has a wrong value.
    #[error("{file} has no valid {what}: '{}'", text.escape_debug())]
    Value {
        /// Which file.
        file: &'static str,
        /// What.
        what: &'static str,
        /// What stands there.
        text: String,
    },
}

const FILE: &str = "repomd.xml";

impl Repomd {
    /// Reads the text.
    pub(crate) fn parse(text: &str) -> Result<Self, RpmError> {
        let mut repomd = Self::default();
        let mut reader = Reader::from_str(text);
        let mut kind = None;
        let mut draft = Draft::default();
        let mut words = String::new();
        loop {
            match reader.read_event().map_err(|source| RpmError::Xml { file: FILE, source })? {
                Event::Start(element) | Event::Empty(element) => {
                    words.clear();
                    match element.local_name().as_ref() {
                        b"data" => (kind, draft) = (attribute(&element, "type"), Draft::default()),
                        b"checksum" => draft.algorithm = attribute(&element, "type").unwrap_or_default(),
                        b"location" => draft.path = attribute(&element, "href").unwrap_or_default(),
                        _ => {}
                    }
                }
                Event::Text(part) => words.push_str(&part.xml10_content().unwrap_or_default()),
                Event::End(element) => match element.local_name().as_ref() {
                    b"checksum" => words.trim().clone_into(&mut draft.checksum),
                    b"size" => draft.size = words.trim().parse().ok(),
                    b"open-size" => draft.open_size = words.trim().parse().ok(),
                    b"timestamp" => {
                        // Some write fractions of seconds.
                        let seconds = words.trim().split('.').next().unwrap_or_default();
                        repomd.date = repomd.date.max(seconds.parse().unwrap_or(0));
                    }
                    b"data" => {
                        if let Some(kind) = kind.take() {
                            // Others may have sums or places that are not known here, and nobody asks for them.
                            if ["primary", "filelists", "group"].iter().any(|wanted| kind.starts_with(wanted))
                            {
                                repomd.files.push((kind, std::mem::take(&mut draft).finish()?));
                            }
                        }
                    }
                    _ => {}
                },
                Event::Eof => break,
                _ => {}
            }
        }
        if repomd.file("primary").is_none() {
            return Err(value("list of packages", ""));
        }
        Ok(repomd)
    }

    /// The file of a kind: `primary`, `filelists`, `group`.
    pub(crate) fn file(&self, kind: &str) -> Option<&RepoFile> {
        self.files.iter().find(|(other, _)| other == kind).map(|(_, file)| file)
    }
}

#[derive(Default)]
struct Draft {
    path: String,
    algorithm: String,
    checksum: String,
    size: Option<u64>,
    open_size: Option<u64>,
}

impl Draft {
    fn finish(self) -> Result<RepoFile, RpmError> {
        if self.algorithm != "sha256" {
            return Err(value("SHA-256 checksum", &self.algorithm));
        }
        Ok(RepoFile {
            sha256: self.checksum.parse().map_err(|_| value("SHA-256 checksum", &self.checksum))?,
            size: self.size.ok_or_else(|| value("size", ""))?,
            open_size: self.open_size,
            path: self.path.parse().map_err(|_| value("location", &self.path))?,
        })
    }
}

fn value(what: &'static str, text: &str) -> RpmError {
    RpmError::Value { file: FILE, what, text: text.chars().take(100).collect() }
}

/// The value of an attribute, whatever its prefix.
pub(super) fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut all = element.attributes();
    let mut found = all
        .with_checks(false)
        .flatten()
        .filter(|attribute| attribute.key.local_name().as_ref() == name.as_bytes());
    let value = found.next()?.value;
    let text = std::str::from_utf8(&value).ok()?;
    quick_xml::escape::unescape(text).ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"<?xml version="1.0"?><repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1</revision>
<data type="primary"><checksum type="sha256">e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855</checksum>
<open-checksum type="sha256">aa</open-checksum><location href="repodata/primary.xml.zst"/><timestamp>1700000000</timestamp>
<size>12</size><open-size>34</open-size></data><data type="other"><checksum type="md5">x</checksum></data></repomd>"#;

    #[test]
    fn files_are_found_by_their_kind() {
        let repomd = Repomd::parse(TEXT).expect("because it is one");
        let primary = repomd.file("primary").expect("because it is there");
        assert_eq!((primary.size, primary.open_size, repomd.date), (12, Some(34), 1_700_000_000));
        assert_eq!(primary.path.as_str(), "repodata/primary.xml.zst");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let told = |text: &str| Repomd::parse(text).expect_err("because it is none").to_string();
        assert_eq!(told("<repomd/>"), "repomd.xml has no valid list of packages: ''");
        assert_eq!(
            told(&TEXT.replace("\"sha256\"", "\"sha\"")),
            "repomd.xml has no valid SHA-256 checksum: 'sha'"
        );
        assert_eq!(
            told(&TEXT.replace("repodata/", "../")),
            "repomd.xml has no valid location: '../primary.xml.zst'"
        );
        assert_eq!(told("<a></b>"), "repomd.xml is not well-formed XML");
    }
}
