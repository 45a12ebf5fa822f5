//! The EFI system partition: a FAT file system with systemd's boot loader, kernel and initramfs, made by mtools.
//!
//! Files are written one after the other into an empty file system, so each is one run of clusters, and clusters are as
//! large and as aligned as a CD's sectors: an ISO9660 directory can point at the same bytes.

use std::fs;
use std::path::Path;

use crate::engine::{Engine, EngineError, file_of};

/// A cluster, and a sector of a CD.
pub(crate) const CLUSTER: u64 = 2048;

/// FAT's own sector.
const SECTOR: u64 = 512;

/// A file system, and where in it the two large files lie.
#[derive(Clone, Debug)]
pub(crate) struct Esp {
    /// The file system.
    pub(crate) image: Vec<u8>,
    /// Where the kernel begins.
    pub(crate) kernel_at: u64,
    /// Where the initramfs begins.
    pub(crate) initramfs_at: u64,
}

/// What is put into it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EspContents<'a> {
    pub(crate) kernel: &'a [u8],
    pub(crate) initramfs: &'a [u8],
    /// The title of the menu's entry.
    pub(crate) title: &'a str,
    pub(crate) command_line: &'a str,
    /// A number that tells this file system from others.
    pub(crate) serial: u32,
    /// Seconds since 1970 that all files are dated to.
    pub(crate) epoch: u64,
}

impl Esp {
    /// Makes it in a directory for temporary files.
    ///
    /// # Errors
    /// [`EngineError`] if mtools or systemd's boot loader are missing or fail.
    pub(crate) fn build(contents: &EspContents<'_>, scratch: &Path) -> Result<Self, EngineError> {
        let loader = file_of("/usr/lib/systemd/boot/efi/systemd-bootx64.efi", "systemd-boot-efi")?;
        let entry = |title: &str, more: &str| {
            let line = format!("{} {more}", contents.command_line);
            format!("title {title}\nlinux /vmlinuz\ninitrd /initrd.img\noptions {}\n", line.trim_end())
        };
        let talkative = format!("{}, telling more", contents.title);
        let (plain, debug) = (entry(contents.title, ""), entry(&talkative, "varve.debug"));
        let files: [(&str, &[u8]); 6] = [
            ("vmlinuz", contents.kernel),
            ("initrd.img", contents.initramfs),
            ("EFI/BOOT/BOOTX64.EFI", &loader),
            // The menu shows when a key is held down.
            ("loader/loader.conf", b"timeout 0\neditor yes\ndefault varve.conf\n"),
            ("loader/entries/varve.conf", plain.as_bytes()),
            ("loader/entries/varve-debug.conf", debug.as_bytes()),
        ];
        let image = scratch.join("esp.img");
        let clusters: u64 = files.iter().map(|(_, bytes)| (bytes.len() as u64).div_ceil(CLUSTER)).sum();
        // Four directories; the tables need 2 bytes a cluster, twice; the root directory and the like fit into the rest.
        let tables = clusters.div_ceil(SECTOR / 2) * 2;
        let sectors = (clusters + 6) * (CLUSTER / SECTOR) + tables + 8;
        let tool = |program| {
            Engine::new(program, "mtools")
                .env("MTOOLS_SKIP_CHECK", "1")
                .env("SOURCE_DATE_EPOCH", contents.epoch.to_string())
        };
        let format = |reserved: u64| {
            let _ = fs::remove_file(&image);
            tool("mformat")
                .args(["-C", "-i"])
                .arg(&image)
                .args([
                    "-T",
                    &sectors.to_string(),
                    "-h",
                    "16",
                    "-s",
                    "32",
                    "-c",
                    "4",
                    "-r",
                    "4",
                    "-v",
                    "VARVE",
                ])
                .args(["-N", &format!("{:08x}", contents.serial), "-R", &reserved.to_string(), "::"])
                .run()
        };
        format(1)?;
        let misaligned = data_begins(&read(&image)?) % CLUSTER / SECTOR;
        if misaligned > 0 {
            format(1 + CLUSTER / SECTOR - misaligned)?;
        }
        let directories = ["::EFI", "::EFI/BOOT", "::loader", "::loader/entries"];
        let source = scratch.join("esp-file");
        for (path, bytes) in &files[..2] {
            copy(&tool, &image, &source, path, bytes, contents.epoch)?;
        }
        tool("mmd").arg("-i").arg(&image).args(directories).run()?;
        for (path, bytes) in &files[2..] {
            copy(&tool, &image, &source, path, bytes, contents.epoch)?;
        }
        let bytes = read(&image)?;
        let position = |path: &str, wanted: &[u8]| {
            let said = tool("mshowfat").arg("-i").arg(&image).arg(format!("::{path}")).run()?;
            position(&String::from_utf8_lossy(&said), data_begins(&bytes))
                .filter(|at| {
                    let at = usize::try_from(*at).unwrap_or(usize::MAX);
                    bytes.get(at..).is_some_and(|rest| rest.starts_with(wanted))
                })
                .ok_or_else(|| EngineError::Failed {
                    program: "mshowfat",
                    said: format!("{path} is not in one piece"),
                })
        };
        let (kernel_at, initramfs_at) =
            (position("vmlinuz", contents.kernel)?, position("initrd.img", contents.initramfs)?);
        fs::remove_file(&image)
            .and_then(|()| fs::remove_file(&source))
            .map_err(|source| EngineError::Read { path: image, source })?;
        Ok(Self { image: bytes, kernel_at, initramfs_at })
    }
}

fn copy(
    tool: &impl Fn(&'static str) -> Engine,
    image: &Path,
    source: &Path,
    path: &str,
    bytes: &[u8],
    epoch: u64,
) -> Result<(), EngineError> {
    let wrap = |error| EngineError::Read { path: source.to_owned(), source: error };
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(epoch);
    fs::write(source, bytes).map_err(wrap)?;
    fs::File::options().write(true).open(source).and_then(|file| file.set_modified(time)).map_err(wrap)?;
    tool("mcopy").args(["-m", "-i"]).arg(image).arg(source).arg(format!("::{path}")).run()?;
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, EngineError> {
    fs::read(path).map_err(|source| EngineError::Read { path: path.to_owned(), source })
}

/// Where the first cluster of a FAT12 or FAT16 lies, from its first sector.
fn data_begins(image: &[u8]) -> u64 {
    let number = |at: usize| u64::from(u16::from_le_bytes([image[at], image[at + 1]]));
    let root = number(17) * 32 / SECTOR;
    (number(14) + u64::from(image[16]) * number(22) + root) * SECTOR
}

/// Where a file begins of which `mshowfat` says `::/NAME <FIRST-LAST>`, if it is in one piece.
fn position(said: &str, data: u64) -> Option<u64> {
    let (_, rest) = said.split_once('<')?;
    let (run, after) = rest.split_once('>')?;
    let first: u64 = run.split('-').next()?.parse().ok()?;
    (!after.contains('<') && !run.contains(',')).then(|| data + (first - 2) * CLUSTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_one_piece_has_a_position() {
        assert_eq!(position("::/vmlinuz <2-1500>\n", 4096), Some(4096));
        assert_eq!(position("::/initrd.img <7>\n", 4096), Some(4096 + 5 * CLUSTER));
        assert_eq!(position("::/x <2-5> <9-10>\n", 0), None);
        assert_eq!(position("::/x\n", 0), None);
    }
}
