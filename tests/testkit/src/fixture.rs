//! The repositories that CernVM-FS itself wrote, in tests/fixtures, and what its own client shows of them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::listing::unescape;

/// One fixture repository.
#[derive(Clone, Debug)]
pub struct Fixture {
    name: String,
    directory: PathBuf,
}

/// A line of `expected*.txt`: what the original's client shows of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedEntry {
    /// The path, `/` for the root.
    pub path: Vec<u8>,
    /// `f`, `d`, `l`, `p`, `s`, `c` or `b`.
    pub kind: char,
    /// The lower twelve bits of the mode.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Bytes; `None` for directories.
    pub size: Option<u64>,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Link count.
    pub nlink: u64,
    /// Hexadecimal SHA-256 of the content, of files.
    pub sha256: Option<String>,
    /// The target of a link as the client expanded it.
    pub target: Option<Vec<u8>>,
    /// Names with values in hexadecimal, sorted.
    pub xattrs: Vec<(Vec<u8>, String)>,
    /// The target of a link as it was published.
    pub raw_target: Option<Vec<u8>>,
}

/// `magic*.txt`: the magic extended attributes.
#[derive(Clone, Debug, Default)]
pub struct ExpectedMagic {
    /// Attributes of the whole repository: name and value, `-` where there is none.
    pub root: Attributes,
    /// Per path, its attributes in order. Values are escaped as in listings.
    pub paths: Vec<(Vec<u8>, Attributes)>,
}

/// Names and values.
pub type Attributes = Vec<(String, String)>;

impl Fixture {
    /// `fix1.lab.example`: SHA-1, six revisions.
    pub fn sha1() -> Self {
        Self::named("fix1.lab.example")
    }

    /// `fix2-rmd160.lab.example`: RIPEMD-160, two revisions.
    pub fn rmd160() -> Self {
        Self::named("fix2-rmd160.lab.example")
    }

    /// Both.
    pub fn all() -> [Self; 2] {
        [Self::sha1(), Self::rmd160()]
    }

    fn named(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name);
        Self { name: name.to_owned(), directory }
    }

    /// The repository's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A file of the fixture, such as `tags.txt`.
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    /// What is served under `/cvmfs/NAME/`.
    pub fn served(&self) -> PathBuf {
        self.path("served")
    }

    /// The master key's public half.
    pub fn public_key(&self) -> PathBuf {
        self.path("keys").join(format!("{}.pub", self.name))
    }

    /// Copies what is served to `place`, for tests that damage it.
    ///
    /// # Errors
    /// If a file can't be copied.
    pub fn copy_served(&self, place: &Path) -> Result<()> {
        copy(&self.served(), place)
    }

    /// The tags that have an `expected-TAG.txt`.
    ///
    /// # Errors
    /// If the fixture can't be read.
    pub fn tags(&self) -> Result<Vec<String>> {
        let mut tags = Vec::new();
        for entry in fs::read_dir(&self.directory).context("cannot list the fixture")? {
            let name = entry?.file_name();
            let tag = name.to_str().and_then(|name| name.strip_prefix("expected-")?.strip_suffix(".txt"));
            tags.extend(tag.map(str::to_owned));
        }
        tags.sort();
        Ok(tags)
    }

    /// The text of `expected-TAG.txt`, without a tag of `expected.txt`: compare it with [`crate::listing`].
    ///
    /// # Errors
    /// If there is none.
    pub fn expected_text(&self, tag: Option<&str>) -> Result<String> {
        self.text("expected", tag)
    }

    /// The text of `magic-TAG.txt`, without a tag of `magic.txt`: compare it with [`crate::magic_listing`].
    ///
    /// # Errors
    /// If there is none.
    pub fn magic_text(&self, tag: Option<&str>) -> Result<String> {
        self.text("magic", tag)
    }

    /// The lines of [`Self::expected_text`], taken apart.
    ///
    /// # Errors
    /// If there is none, or it is malformed.
    pub fn expected(&self, tag: Option<&str>) -> Result<Vec<ExpectedEntry>> {
        let text = self.expected_text(tag)?;
        text.lines().map(|line| entry(line).with_context(|| format!("malformed line {line:?}"))).collect()
    }

    /// The lines of [`Self::magic_text`], taken apart.
    ///
    /// # Errors
    /// If there is none, or it is malformed.
    pub fn magic(&self, tag: Option<&str>) -> Result<ExpectedMagic> {
        let mut magic = ExpectedMagic::default();
        for line in self.magic_text(tag)?.lines() {
            let mut fields = line.split('\t');
            let path = fields.next().context("because split gives a first piece")?;
            if path == "#root" {
                let name = fields.next().with_context(|| format!("malformed line {line:?}"))?;
                magic.root.push((name.to_owned(), fields.next().unwrap_or_default().to_owned()));
                continue;
            }
            let path = unescape(path).with_context(|| format!("malformed line {line:?}"))?;
            let attributes = fields.filter_map(|field| field.split_once('='));
            let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            magic.paths.push((path, attributes));
        }
        Ok(magic)
    }

    fn text(&self, stem: &str, tag: Option<&str>) -> Result<String> {
        let file = tag.map_or_else(|| format!("{stem}.txt"), |tag| format!("{stem}-{tag}.txt"));
        fs::read_to_string(self.path(&file)).with_context(|| format!("cannot read {file} of {}", self.name))
    }
}

fn entry(line: &str) -> Option<ExpectedEntry> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [path, kind, mode, uid, gid, size, mtime, nlink, sha256, target, xattrs, raw] = fields.as_slice()
    else {
        return None;
    };
    let given = |field: &str| (field != "-").then(|| field.to_owned());
    let link = |field: &str| match field {
        "-" => Some(None),
        "''" => Some(Some(Vec::new())),
        field => unescape(field).map(Some),
    };
    let is_link = *kind == "l";
    let xattrs = given(xattrs).map_or_else(
        || Some(Vec::new()),
        |list| {
            list.split(',')
                .map(|pair| pair.split_once('='))
                .map(|pair| {
                    let (name, value) = pair?;
                    Some((unescape(name)?, value.to_owned()))
                })
                .collect()
        },
    );
    Some(ExpectedEntry {
        path: unescape(path)?,
        kind: kind.chars().next()?,
        mode: u32::from_str_radix(mode, 8).ok()?,
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        size: if *size == "-" { None } else { Some(size.parse().ok()?) },
        mtime: mtime.parse().ok()?,
        nlink: nlink.parse().ok()?,
        sha256: given(sha256),
        target: if is_link { link(target)? } else { None },
        xattrs: xattrs?,
        raw_target: if is_link { link(raw)? } else { None },
    })
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot copy to {}", target.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scratch;

    #[test]
    fn every_expected_line_is_read() {
        for fixture in Fixture::all() {
            let tags = fixture.tags().expect("because the fixture is there");
            assert!(!tags.is_empty());
            for tag in tags.iter().map(|tag| Some(tag.as_str())).chain([None]) {
                let entries = fixture.expected(tag).expect("because it is well-formed");
                assert_eq!(entries[0].path, b"/");
                assert!(entries.len() > 10);
                let magic = fixture.magic(tag).expect("because it is well-formed");
                assert_eq!(magic.root[0], ("fqrn".to_owned(), fixture.name().to_owned()));
                assert_eq!(magic.paths.len(), entries.len());
            }
        }
    }

    #[test]
    fn fields_are_taken_apart() {
        let entries = Fixture::sha1().expected(None).expect("because it is well-formed");
        let find = |path: &str| entries.iter().find(|entry| entry.path == path.as_bytes()).expect(path);
        let link = find("/links/var");
        assert_eq!(link.target.as_deref(), Some(&b""[..]));
        assert_eq!(link.raw_target.as_deref(), Some(&b"$(FIX_VAR)"[..]));
        let directory = find("/dirx");
        assert_eq!((directory.kind, directory.size, directory.nlink), ('d', None, 3));
        assert_eq!(directory.xattrs, [(b"user.dirattr".to_vec(), "6f6e20646972".to_owned())]);
        assert_eq!((find("/modes/m6711").mode, find("/modes/bigids").uid), (0o6711, 100_000));
    }

    #[test]
    fn the_served_files_are_copied() {
        let scratch = Scratch::new();
        let fixture = Fixture::rmd160();
        fixture.copy_served(&scratch).expect("because it is writable");
        assert!(scratch.join(".cvmfspublished").exists() && scratch.join("data").is_dir());
        assert!(fixture.public_key().exists());
    }
}
