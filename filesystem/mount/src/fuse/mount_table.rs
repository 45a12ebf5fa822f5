//! The kernel's table of mounts, as `/proc/self/mountinfo` tells it. Reading it never touches a mounted file system.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::attach::Device;
use crate::error::MountError;

const TABLE: &str = "/proc/self/mountinfo";

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mounted {
    pub(crate) device: Device,
    pub(crate) directory: PathBuf,
    pub(crate) kind: String,
    pub(crate) source: String,
}

impl Mounted {
    /// Whether a FUSE server is behind it.
    pub(crate) fn is_fuse(&self) -> bool {
        self.kind == "fuse" || self.kind.starts_with("fuse.")
    }
}

/// What is mounted on the directory: of several mounts on top of each other, the one that is seen.
pub(crate) fn mounted_on(directory: &Path) -> Result<Option<Mounted>, MountError> {
    let table = std::fs::read(TABLE).map_err(MountError::io("read", Path::new(TABLE)))?;
    Ok(table
        .split(|&byte| byte == b'\n')
        .filter_map(parse_line)
        .rfind(|mounted| mounted.directory == directory))
}

/// Whether a mount of that device is anywhere in the table.
pub(crate) fn is_mounted(device: Device) -> Result<bool, MountError> {
    let table = std::fs::read(TABLE).map_err(MountError::io("read", Path::new(TABLE)))?;
    Ok(table.split(|&byte| byte == b'\n').filter_map(parse_line).any(|mounted| mounted.device == device))
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`, optional fields up to the `-`.
fn parse_line(line: &[u8]) -> Option<Mounted> {
    let mut fields = line.split(|&byte| byte == b' ');
    let device = std::str::from_utf8(fields.nth(2)?).ok()?;
    let (major, minor) = device.split_once(':')?;
    let directory = unescape(fields.nth(1)?);
    let mut rest = fields.skip_while(|&field| field != b"-").skip(1);
    let kind = String::from_utf8_lossy(rest.next()?).into_owned();
    let source = OsString::from_vec(unescape(rest.next()?)).to_string_lossy().into_owned();
    Some(Mounted {
        device: Device { major: major.parse().ok()?, minor: minor.parse().ok()? },
        directory: PathBuf::from(OsString::from_vec(directory)),
        kind,
        source,
    })
}

/// Undoes `\040` and the like.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.filter(|_| first == b'\\').and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    bytes
}

/// The directory as the table would have it: absolute, its parents free of links. A mount point itself isn't entered, since
/// nobody may answer behind it.
pub(crate) fn absolute(directory: &Path) -> Result<PathBuf, MountError> {
    let failed = || MountError::io("resolve", directory);
    let joined = std::path::absolute(directory).map_err(failed())?;
    match (joined.parent(), joined.file_name()) {
        (Some(parent), Some(name)) if name.as_bytes() != b".." => {
            Ok(parent.canonicalize().map_err(failed())?.join(name))
        }
        _ => joined.canonicalize().map_err(failed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = br"90 29 0:57 / /mnt/a\040b rw,nosuid shared:3 - fuse.varve x\134y ro,user_id=0";
        let mounted = parse_line(line).unwrap();
        assert_eq!(mounted.device, Device { major: 0, minor: 57 });
        assert_eq!(mounted.directory, Path::new("/mnt/a b"));
        assert_eq!((mounted.kind.as_str(), mounted.source.as_str()), ("fuse.varve", r"x\y"));
        assert!(mounted.is_fuse());
        assert_eq!(parse_line(b"90 29"), None);
    }

    #[test]
    fn the_root_is_mounted() {
        assert!(mounted_on(Path::new("/")).unwrap().is_some());
        assert_eq!(mounted_on(Path::new("/no such directory")).unwrap(), None);
    }
}
