//! Directory trees as text, in the form of the fixtures' `expected*.txt` and `magic*.txt`, so that tests compare text.
//!
//! [`listing`] gives per path: path, type, mode, uid, gid, size, mtime, nlink, SHA-256, target, xattrs, raw target,
//! separated by tabs (`manifest.py`). [`magic_listing`] gives the magic extended attributes (`magic.py`). Bytes outside
//! printable ASCII and backslashes are written `\xNN`. Names are sorted as bytes.

use std::fmt::Write as _;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{lgetxattr, llistxattr};
use sha2::{Digest as _, Sha256};

/// Attributes that mounts answer but files don't have: left out of listings.
const MAGIC: [&str; 52] = [
    "authz",
    "cache_stats",
    "catalog_counters",
    "catalog_hash",
    "chunk_list",
    "chunks",
    "compression",
    "direct_io",
    "expires",
    "external_file",
    "external_host",
    "external_timeout",
    "external_url",
    "fd_table",
    "fqrn",
    "hash",
    "hitrate",
    "host",
    "host_list",
    "host_list_external",
    "hotpatch",
    "inode_max",
    "lhash",
    "logbuffer",
    "maxfd",
    "ncleanup24",
    "nclg",
    "ndiropen",
    "ndownload",
    "nioerr",
    "nopen",
    "pid",
    "proxy",
    "proxy_list",
    "proxy_list_external",
    "pubkeys",
    "rawlink",
    "repo_counters",
    "repo_metainfo",
    "revision",
    "root_hash",
    "rx",
    "speed",
    "tag",
    "timeout",
    "timeout_direct",
    "timestamp_last_ioerr",
    "uptime",
    "usedcache",
    "usedfd",
    "useddirp",
    "version",
];

/// What [`magic_listing`] asks of the root, and of every path.
const OF_ROOT: [&str; 9] = [
    "fqrn",
    "revision",
    "root_hash",
    "tag",
    "catalog_counters",
    "repo_counters",
    "repo_metainfo",
    "pubkeys",
    "version",
];
const OF_PATH: [&str; 8] =
    ["hash", "lhash", "chunks", "chunk_list", "compression", "external_file", "direct_io", "rawlink"];

/// The tree at `root` as `manifest.py` lists it.
///
/// # Errors
/// What can't be read, with its path.
pub fn listing(root: &Path) -> Result<String> {
    let mut text = String::new();
    walk(root, b"/", &mut |path, name| {
        let line = line(path, name).with_context(|| format!("cannot list {}", path.display()))?;
        text.push_str(&line);
        text.push('\n');
        Ok(())
    })?;
    Ok(text)
}

/// The magic extended attributes of the tree mounted at `root` as `magic.py` lists them.
///
/// # Errors
/// What can't be read, with its path.
pub fn magic_listing(root: &Path) -> Result<String> {
    let mut text = String::new();
    for name in OF_ROOT {
        let value =
            attribute(root, format!("user.{name}")).map_or_else(|| "-".into(), |value| escape(&value));
        writeln!(text, "#root\t{name}\t{value}")?;
    }
    walk(root, b"/", &mut |path, name| {
        let values = OF_PATH.iter().filter_map(|attribute_name| {
            let value = attribute(path, format!("user.{attribute_name}"))?;
            Some(format!("{attribute_name}={}", escape(&value)))
        });
        let values: Vec<String> = values.collect();
        writeln!(text, "{}\t{}", escape(name), values.join("\t"))?;
        Ok(())
    })?;
    Ok(text)
}

/// Bytes as listings write them.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if (0x20..0x7f).contains(&byte) && byte != b'\\' {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The inverse of [`escape`]; `None` if a backslash is followed by anything else.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut pieces = text.split("\\x");
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(piece.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(piece.get(2..)?.as_bytes());
    }
    Some(bytes)
}

fn walk(path: &Path, name: &[u8], visit: &mut dyn FnMut(&Path, &[u8]) -> Result<()>) -> Result<()> {
    visit(path, name)?;
    if !fs::symlink_metadata(path)?.is_dir() {
        return Ok(());
    }
    let list =
        || fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<_>>();
    let mut names: Vec<_> = list().with_context(|| format!("cannot list {}", path.display()))?;
    names.sort();
    for entry in names {
        let mut below = if name == b"/" { Vec::new() } else { name.to_vec() };
        below.push(b'/');
        below.extend_from_slice(entry.as_bytes());
        walk(&path.join(&entry), &below, visit)?;
    }
    Ok(())
}

fn line(path: &Path, name: &[u8]) -> Result<String> {
    let metadata = fs::symlink_metadata(path)?;
    let kind = kind(&metadata);
    let mut fields = vec![
        escape(name),
        kind.to_owned(),
        format!("{:04o}", metadata.permissions().mode() & 0o7777),
        metadata.uid().to_string(),
        metadata.gid().to_string(),
        if kind == "d" { "-".into() } else { metadata.size().to_string() },
        metadata.mtime().to_string(),
        metadata.nlink().to_string(),
    ];
    fields.push(if kind == "f" { sha256(path, metadata.size())? } else { "-".into() });
    fields.push(if kind == "l" { quoted(fs::read_link(path)?.as_os_str().as_bytes()) } else { "-".into() });
    fields.push(xattrs(path));
    let raw = if kind == "l" { attribute(path, "xfsroot.rawlink") } else { None };
    fields.push(raw.map_or_else(|| "-".into(), |raw| quoted(&raw)));
    Ok(fields.join("\t"))
}

fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => "f",
        () if kind.is_dir() => "d",
        () if kind.is_symlink() => "l",
        () if kind.is_fifo() => "p",
        () if kind.is_socket() => "s",
        () if kind.is_char_device() => "c",
        () => "b",
    }
}

fn sha256(path: &Path, size: u64) -> Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut total = 0;
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        total += length as u64;
        hasher.update(&buffer[..length]);
    }
    ensure!(total == size, "{total} bytes were read of {size}");
    Ok(format!("{:x}", hasher.finalize()))
}

fn quoted(bytes: &[u8]) -> String {
    if bytes.is_empty() { "''".into() } else { escape(bytes) }
}

fn xattrs(path: &Path) -> String {
    let mut list = vec![0; 64 << 10];
    let length = llistxattr(path, &mut list).unwrap_or(0);
    let mut names: Vec<&[u8]> =
        list[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    let values = names.into_iter().filter_map(|name| {
        let bare = name.strip_prefix(b"user.").unwrap_or(name);
        if MAGIC.iter().any(|magic| magic.as_bytes() == bare) || name == b"xfsroot.rawlink" {
            return None;
        }
        let value = attribute(path, name)?;
        let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(format!("{}={digits}", escape(name)))
    });
    let values: Vec<String> = values.collect();
    if values.is_empty() { "-".into() } else { values.join(",") }
}

fn attribute(path: &Path, name: impl rustix::path::Arg) -> Option<Vec<u8>> {
    let mut value = vec![0; 64 << 10];
    let length = lgetxattr(path, name, &mut value).ok()?;
    value.truncate(length);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scratch, TreeBuilder};

    #[test]
    fn lines_have_the_fields_of_the_fixtures() {
        let scratch = Scratch::new();
        let mut tree = TreeBuilder::new(&scratch);
        tree.file("a\\b", "abc").mode("a\\b", 0o640).symlink("l", "a\u{e9}");
        tree.mtime("l", 7, 0).finish();
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let text = listing(&scratch).expect("because it is readable");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("/\td\t"));
        let file = format!(
            "/a\\x5cb\tf\t0640\t{uid}\t{gid}\t3\t1614834367\t1\t\
            ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\t-\t-\t-"
        );
        assert_eq!(lines[1], file);
        assert_eq!(lines[2], format!("/l\tl\t0777\t{uid}\t{gid}\t3\t7\t1\t-\ta\\xc3\\xa9\t-\t-"));
    }

    #[test]
    fn paths_without_magic_have_none() {
        let scratch = Scratch::new();
        TreeBuilder::new(&scratch).file("f", "").finish();
        let text = magic_listing(&scratch).expect("because it is readable");
        assert!(text.starts_with("#root\tfqrn\t-\n") && text.ends_with("\n/\t\n/f\t\n"), "{text}");
    }

    #[test]
    fn escapes_are_read_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(&escape(&all)).as_deref(), Some(&all[..]));
        assert_eq!(unescape("\\xg0"), None);
    }
}
