//! The hybrid image: one file that boots as a CD and as a disk or USB stick, by BIOS and by UEFI, and holds kernel and
//! initramfs once. An ISO9660 file system of one directory, written here because no program makes directory records that
//! point into the contents of another file.
//!
//! ```text
//! sector of 2048 bytes
//!   0      boot code of isolinux for disks, and a partition table with the EFI system partition
//!  16      primary volume descriptor     17 boot record     18 end of descriptors
//!  19      path tables, little and big endian, one sector each
//!  21      the directory: BOOT.CAT EFI.IMG INITRD.IMG ISOLINUX.BIN ISOLINUX.CFG LDLINUX.C32 VMLINUZ
//!  22      boot catalogue (El Torito): isolinux for BIOS, EFI.IMG for UEFI
//!  23      ISOLINUX.BIN, LDLINUX.C32, ISOLINUX.CFG
//!   …      EFI.IMG, the EFI system partition; INITRD.IMG and VMLINUZ are places inside it
//! ```

use crate::engine::{EngineError, file_of};
use crate::esp::Esp;
use crate::iso9660::{BootEntry, FileRecord, SECTOR, Volume, VolumeDate};

/// Where files begin.
const FIRST_FILE: u64 = 23;

/// What disks are measured in.
const DISK_SECTOR: u64 = 512;

/// What an image is made of.
#[derive(Debug)]
pub(crate) struct Hybrid<'a> {
    pub(crate) esp: &'a Esp,
    pub(crate) kernel_size: usize,
    pub(crate) initramfs_size: usize,
    pub(crate) command_line: &'a str,
    /// A number that tells this disk from others.
    pub(crate) serial: u32,
    pub(crate) date: VolumeDate,
}

impl Hybrid<'_> {
    /// The image's bytes.
    ///
    /// # Errors
    /// [`EngineError`] if isolinux is missing.
    pub(crate) fn build(&self) -> Result<Vec<u8>, EngineError> {
        let mut loader = file_of("/usr/lib/ISOLINUX/isolinux.bin", "isolinux")?;
        let library = file_of("/usr/lib/syslinux/modules/bios/ldlinux.c32", "syslinux-common")?;
        let disk_code = file_of("/usr/lib/ISOLINUX/isohdpfx.bin", "isolinux")?;
        let menu = isolinux_menu(self.command_line);
        patch_boot_information(&mut loader)?;

        let loader_at = FIRST_FILE;
        let library_at = loader_at + sectors(loader.len());
        let menu_at = library_at + sectors(library.len());
        let esp_at = menu_at + sectors(menu.len());
        let within = |at: u64| esp_at + at / SECTOR;
        let size = |size: usize| u32::try_from(size).expect("because an image is far smaller than 4 GiB");
        let record = |name, at: u64, bytes| FileRecord { name, sector: sector(at), size: size(bytes) };
        let files = [
            record("EFI.IMG", esp_at, self.esp.image.len()),
            record("INITRD.IMG", within(self.esp.initramfs_at), self.initramfs_size),
            record("ISOLINUX.BIN", loader_at, loader.len()),
            record("ISOLINUX.CFG", menu_at, menu.len()),
            record("LDLINUX.C32", library_at, library.len()),
            record("VMLINUZ", within(self.esp.kernel_at), self.kernel_size),
        ];
        let end = esp_at + sectors(self.esp.image.len());
        let volume = Volume {
            label: "VARVE",
            sectors: sector(end),
            files: &files,
            boot: [
                BootEntry { efi: false, sector: sector(loader_at), disk_sectors: 4 },
                BootEntry {
                    efi: true,
                    sector: sector(esp_at),
                    disk_sectors: u16::try_from(self.esp.image.len() as u64 / DISK_SECTOR).unwrap_or(0),
                },
            ],
            date: self.date,
        };
        let mut image = volume.descriptors();
        for bytes in [&loader, &library, &menu.into_bytes(), &self.esp.image] {
            image.extend_from_slice(bytes);
            image.resize(image.len().next_multiple_of(usize_of(SECTOR)), 0);
        }
        let per_sector = SECTOR / DISK_SECTOR;
        let partition = (sector(esp_at * per_sector), size(self.esp.image.len()) / sector(DISK_SECTOR));
        let record = boot_sector(&disk_code, sector(loader_at * per_sector), self.serial, partition);
        image[..record.len()].copy_from_slice(&record);
        Ok(image)
    }
}

/// The menu of isolinux: it shows when a key is held down.
fn isolinux_menu(command_line: &str) -> String {
    format!(
        "DEFAULT varve\nPROMPT 0\nTIMEOUT 0\nSAY Varve\n\
         LABEL varve\n  LINUX vmlinuz\n  INITRD initrd.img\n  APPEND {command_line}\n\
         LABEL debug\n  LINUX vmlinuz\n  INITRD initrd.img\n  APPEND {command_line} varve.debug\n"
    )
}

/// Writes into isolinux where it lies itself: the boot information table of El Torito.
fn patch_boot_information(loader: &mut Vec<u8>) -> Result<(), EngineError> {
    loader.resize(loader.len().next_multiple_of(4), 0);
    if loader.get(64..68) != Some(&[0xfb, 0xc0, 0x78, 0x70]) {
        let said = "isolinux.bin can't be booted from a disk; version 4 or newer can".to_owned();
        return Err(EngineError::Failed { program: "isolinux", said });
    }
    let words =
        loader[64..].chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    let sum = words.fold(0, u32::wrapping_add);
    let length = u32::try_from(loader.len()).expect("because a boot loader is small");
    for (at, number) in [(8, 16), (12, sector(FIRST_FILE)), (16, length), (20, sum)] {
        loader[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    loader[24..64].fill(0);
    Ok(())
}

/// The first 512 bytes: boot code that knows where isolinux lies, and a partition table with one partition.
fn boot_sector(code: &[u8], loader: u32, serial: u32, (begin, length): (u32, u32)) -> [u8; 512] {
    /// An EFI system partition, and the mark of one that BIOSes boot from.
    const EFI_SYSTEM: u8 = 0xef;
    const ACTIVE: u8 = 0x80;
    /// "See the numbers behind": nothing has cylinders and heads any more.
    const NO_GEOMETRY: [u8; 3] = [0xfe, 0xff, 0xff];
    let mut record = [0; 512];
    let length_of_code = code.len().min(432);
    record[..length_of_code].copy_from_slice(&code[..length_of_code]);
    record[432..436].copy_from_slice(&loader.to_le_bytes());
    record[440..444].copy_from_slice(&serial.to_le_bytes());
    record[446] = ACTIVE;
    record[447..450].copy_from_slice(&NO_GEOMETRY);
    record[450] = EFI_SYSTEM;
    record[451..454].copy_from_slice(&NO_GEOMETRY);
    record[454..458].copy_from_slice(&begin.to_le_bytes());
    record[458..462].copy_from_slice(&length.to_le_bytes());
    record[510..].copy_from_slice(&[0x55, 0xaa]);
    record
}

fn sectors(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(SECTOR)
}

fn sector(number: u64) -> u32 {
    u32::try_from(number).expect("because an image is far smaller than 4 GiB")
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).expect("because it is a small constant")
}
