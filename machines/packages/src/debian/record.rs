//! One list of packages, `Packages`, as slices of its text. Relations stay text until somebody asks for them: of the sixty
//! thousand packages of a distribution a system has a few hundred.

use std::thread;

/// What a list says of one package. Fields that are missing are empty.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Record<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) architecture: &'a str,
    pub(crate) pre_depends: &'a str,
    pub(crate) depends: &'a str,
    pub(crate) recommends: &'a str,
    pub(crate) provides: &'a str,
    pub(crate) conflicts: &'a str,
    pub(crate) breaks: &'a str,
    pub(crate) priority: &'a str,
    pub(crate) task: &'a str,
    pub(crate) filename: &'a str,
    pub(crate) size: &'a str,
    pub(crate) sha256: &'a str,
    pub(crate) installed_size: &'a str,
    pub(crate) essential: bool,
    /// Set by whoever puts lists together.
    pub(crate) index: u32,
}

/// A list with a package that has no name, version or architecture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry that begins with '{}' lacks {field}", beginning.escape_debug())]
pub struct RecordError {
    /// Its first line.
    beginning: String,
    /// What is missing.
    field: &'static str,
}

/// Texts below this are not worth a second thread.
const PART: usize = 4 << 20;

/// Reads a list, leaving out what is for other architectures.
///
/// # Errors
/// If an entry lacks what every package has.
pub(crate) fn records<'a>(
    text: &'a str,
    architecture: &str,
    threads: usize,
) -> Result<Vec<Record<'a>>, RecordError> {
    let parts = cut(text, threads.clamp(1, 1 + text.len() / PART));
    let results: Vec<Result<Vec<Record<'a>>, RecordError>> = thread::scope(|scope| {
        let workers: Vec<_> =
            parts[1..].iter().map(|part| scope.spawn(|| read(part, architecture))).collect();
        let first = read(parts[0], architecture);
        let rest = workers.into_iter().map(|worker| worker.join().expect("because reading doesn't panic"));
        std::iter::once(first).chain(rest).collect()
    });
    let mut all = Vec::new();
    for records in results {
        all.append(&mut records?);
    }
    Ok(all)
}

/// Cuts between stanzas.
fn cut(text: &str, count: usize) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::with_capacity(count), text);
    for left in (2..=count).rev() {
        let middle = rest.len() / left;
        let Some(end) = memchr::memmem::find(&rest.as_bytes()[middle..], b"\n\n") else { break };
        // Behind a line feed begins a character.
        let (part, after) = rest.split_at(middle + end + 2);
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}

fn read<'a>(text: &'a str, architecture: &str) -> Result<Vec<Record<'a>>, RecordError> {
    // Some seven hundred bytes an entry.
    let mut records = Vec::with_capacity(text.len() / 700);
    let bytes = text.as_bytes();
    let (mut at, mut record, mut begin, mut open) = (0, Record::default(), 0, false);
    while at <= bytes.len() {
        let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length);
        let line = &bytes[at..end];
        if line.is_empty() {
            if open {
                finish(record, &text[begin..], architecture, &mut records)?;
            }
            (record, open) = (Record::default(), false);
        } else {
            if !open {
                (begin, open) = (at, true);
            }
            // A continuation line belongs to a field that nobody needs, such as a description or a list of tags.
            if line[0] != b' '
                && let Some(colon) = memchr::memchr(b':', line)
                && let Some(field) = field(&mut record, &line[..colon])
            {
                *field = text[at + colon + 1..end].trim();
            } else if line.starts_with(b"Essential: yes") {
                record.essential = true;
            }
        }
        at = end + 1;
    }
    if open {
        finish(record, &text[begin..], architecture, &mut records)?;
    }
    Ok(records)
}

fn field<'r, 'a>(record: &'r mut Record<'a>, name: &[u8]) -> Option<&'r mut &'a str> {
    Some(match name {
        b"Package" => &mut record.name,
        b"Version" => &mut record.version,
        b"Architecture" => &mut record.architecture,
        b"Pre-Depends" => &mut record.pre_depends,
        b"Depends" => &mut record.depends,
        b"Recommends" => &mut record.recommends,
        b"Provides" => &mut record.provides,
        b"Conflicts" => &mut record.conflicts,
        b"Breaks" => &mut record.breaks,
        b"Priority" => &mut record.priority,
        b"Task" => &mut record.task,
        b"Filename" => &mut record.filename,
        b"Size" => &mut record.size,
        b"SHA256" => &mut record.sha256,
        b"Installed-Size" => &mut record.installed_size,
        _ => return None,
    })
}

fn finish<'a>(
    record: Record<'a>,
    text: &str,
    architecture: &str,
    records: &mut Vec<Record<'a>>,
) -> Result<(), RecordError> {
    let needed =
        [("Package", record.name), ("Version", record.version), ("Architecture", record.architecture)];
    if let Some((field, _)) = needed.iter().find(|(_, value)| value.is_empty()) {
        let beginning = text.lines().next().unwrap_or_default().chars().take(80).collect();
        return Err(RecordError { beginning, field });
    }
    if record.architecture == "all" || record.architecture == architecture {
        records.push(record);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Package: a\nVersion: 1:2-3\nArchitecture: amd64\nEssential: yes\nDepends: b (>= 1),  c | d \n\
        Description: x\n more: y\n Depends: not this\n\nPackage: b\nVersion: 1\nArchitecture: all\n\n\n\
        Package: c\nVersion: 1\nArchitecture: i386\n";

    #[test]
    fn what_is_needed_is_kept() {
        let records = records(TEXT, "amd64", 2).expect("because it is a list");
        assert_eq!(records.iter().map(|record| record.name).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((records[0].depends, records[0].essential), ("b (>= 1),  c | d", true));
        assert!(!records[1].essential);
    }

    #[test]
    fn parts_are_whole_stanzas() {
        for count in 1..6 {
            let parts = cut(TEXT, count);
            assert_eq!(parts.concat(), TEXT);
            let read: usize =
                parts.iter().map(|part| read(part, "amd64").expect("because stanzas are whole").len()).sum();
            assert_eq!(read, 2);
        }
    }

    #[test]
    fn an_entry_without_a_version_is_an_error() {
        let error =
            records("Package: a\nArchitecture: all\n", "amd64", 1).expect_err("because of the version");
        assert_eq!(error.to_string(), "the entry that begins with 'Package: a' lacks Version");
        assert!(records("", "amd64", 4).expect("because it may be empty").is_empty());
    }
}
