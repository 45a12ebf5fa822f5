//! The template of a scratch disk: a small, empty ext4 that the guest copies to a disk and the kernel then grows to the
//! disk's size while it is mounted, so that no machine needs a program that makes file systems.

use std::fs;
use std::path::Path;

use crate::engine::{Engine, EngineError};

/// Where the template's file system ends; a disk can't be smaller.
pub const TEMPLATE_BYTES: u64 = 64 << 20;

/// The template's identifier: the guest gives every copy one of its own (`metadata_csum_seed` makes that a change of the
/// super block alone).
pub const TEMPLATE_UUID: &str = "76617276-6500-4000-8000-736372617463";

/// What the file system has. `meta_bg` without `resize_inode`: it grows to any size while mounted. Spelt out, so that the
/// machine that builds an image has no say.
const FEATURES: &str = "none,has_journal,ext_attr,dir_index,filetype,meta_bg,extent,64bit,flex_bg,metadata_csum,\
                        metadata_csum_seed,sparse_super,large_file,huge_file,dir_nlink,extra_isize";

/// Makes the template in a directory for temporary files, and compresses it with zstd. The same every time, as made at
/// `epoch` (seconds since 1970).
///
/// # Errors
/// [`EngineError`] if `mke2fs` is missing or fails.
pub fn scratch_template(directory: &Path, epoch: u64) -> Result<Vec<u8>, EngineError> {
    let path = directory.join("scratch.ext4");
    let wrap = |source| EngineError::Read { path: path.clone(), source };
    fs::File::create(&path).and_then(|file| file.set_len(TEMPLATE_BYTES)).map_err(wrap)?;
    Engine::new("mke2fs", "e2fsprogs")
        .env("MKE2FS_CONFIG", "/dev/null")
        .env("E2FSPROGS_FAKE_TIME", epoch.to_string())
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        // Every group has inodes for files of 16 KiB, also when the disk is large; the journal is for a busy one.
        .args([
            "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "16384", "-m", "0", "-J", "size=16",
        ])
        .args(["-O", FEATURES, "-U", TEMPLATE_UUID, "-L", "VARVE"])
        .args(["-E", &format!("hash_seed={TEMPLATE_UUID},lazy_itable_init=1,nodiscard,root_owner=0:0")])
        .arg(&path)
        .run()?;
    let image = fs::read(&path).map_err(wrap)?;
    fs::remove_file(&path).map_err(wrap)?;
    zstd::bulk::compress(&image, 19).map_err(wrap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_small_and_always_the_same() {
        let scratch = tempfile::tempdir().expect("scratch");
        let first = match scratch_template(scratch.path(), 1_700_000_000) {
            Ok(template) => template,
            Err(EngineError::Missing { what, .. }) if std::env::var_os("CI").is_none() => {
                println!("skipped: {what} is not installed");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(scratch_template(scratch.path(), 1_700_000_000).expect("again"), first);
        assert!(first.len() < 64 << 10, "{} bytes", first.len());
        let image =
            zstd::bulk::decompress(&first, usize::try_from(TEMPLATE_BYTES).expect("small")).expect("zstd");
        assert_eq!(image.len() as u64, TEMPLATE_BYTES);
        assert_eq!(image[0x438..0x43a], [0x53, 0xef], "ext4's magic number");
    }
}
