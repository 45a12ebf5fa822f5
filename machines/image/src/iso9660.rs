//! The descriptors of an ISO9660 file system with one directory (ECMA-119), and its boot catalogue (El Torito 1.0). Names
//! are in capitals, 8.3: what boot loaders read and every system understands.

/// The size of a sector.
pub(crate) const SECTOR: u64 = 2048;

const PATH_TABLE: u32 = 19;
const DIRECTORY: u32 = 21;
const CATALOG: u32 = 22;
const BYTES: usize = 2048;

/// A file of the directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileRecord<'a> {
    pub(crate) name: &'a str,
    pub(crate) sector: u32,
    pub(crate) size: u32,
}

/// What firmware may start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BootEntry {
    /// For UEFI; else for a BIOS.
    pub(crate) efi: bool,
    pub(crate) sector: u32,
    /// How much is loaded, in sectors of 512 bytes; 0 for all of it.
    pub(crate) disk_sectors: u16,
}

/// A time, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VolumeDate {
    pub(crate) year: u16,
    pub(crate) month: u8,
    pub(crate) day: u8,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
}

/// A file system.
#[derive(Clone, Debug)]
pub(crate) struct Volume<'a> {
    pub(crate) label: &'a str,
    /// How large it is.
    pub(crate) sectors: u32,
    /// In the order of their names.
    pub(crate) files: &'a [FileRecord<'a>],
    /// The first is for BIOSes.
    pub(crate) boot: [BootEntry; 2],
    pub(crate) date: VolumeDate,
}

impl Volume<'_> {
    /// All sectors before the first file's.
    pub(crate) fn descriptors(&self) -> Vec<u8> {
        let mut image = vec![0; 16 * BYTES];
        for sector in [
            self.primary(),
            boot_record(),
            descriptor(255),
            path_table(u32::to_le_bytes, u16::to_le_bytes),
            path_table(u32::to_be_bytes, u16::to_be_bytes),
            self.directory(),
            self.catalog(),
        ] {
            debug_assert!(sector.len() <= BYTES);
            image.extend_from_slice(&sector);
            image.resize(image.len().next_multiple_of(BYTES), 0);
        }
        image
    }

    fn primary(&self) -> Vec<u8> {
        let mut sector = descriptor(1);
        put(&mut sector, 8, &padded("", 32));
        put(&mut sector, 40, &padded(self.label, 32));
        put(&mut sector, 80, &both32(self.sectors));
        put(&mut sector, 120, &both16(1));
        put(&mut sector, 124, &both16(1));
        put(&mut sector, 128, &both16(2048));
        put(&mut sector, 132, &both32(10));
        put(&mut sector, 140, &PATH_TABLE.to_le_bytes());
        put(&mut sector, 148, &(PATH_TABLE + 1).to_be_bytes());
        put(&mut sector, 156, &self.record(&[0], DIRECTORY, 2048, true));
        put(&mut sector, 190, &padded("", 128 * 4 + 37 * 3));
        let date = self.long_date();
        put(&mut sector, 813, &date);
        put(&mut sector, 830, &date);
        put(&mut sector, 847, b"0000000000000000\0");
        put(&mut sector, 864, b"0000000000000000\0");
        put(&mut sector, 881, &[1]);
        sector
    }

    fn directory(&self) -> Vec<u8> {
        let mut sector = Vec::new();
        sector.extend(self.record(&[0], DIRECTORY, 2048, true));
        sector.extend(self.record(&[1], DIRECTORY, 2048, true));
        sector.extend(self.record(b"BOOT.CAT;1", CATALOG, 2048, false));
        for file in self.files {
            let name = if file.name.contains('.') { file.name.to_owned() } else { format!("{}.", file.name) };
            sector.extend(self.record(format!("{name};1").as_bytes(), file.sector, file.size, false));
        }
        sector
    }

    fn record(&self, name: &[u8], sector: u32, size: u32, directory: bool) -> Vec<u8> {
        let date = self.date;
        let length = (33 + name.len()).next_multiple_of(2);
        let byte = |number: usize| u8::try_from(number).expect("because names are short");
        let mut record = vec![byte(length), 0];
        record.extend(both32(sector));
        record.extend(both32(size));
        let year = u8::try_from(date.year.saturating_sub(1900)).unwrap_or(u8::MAX);
        record.extend([year, date.month, date.day, date.hour, date.minute, date.second, 0]);
        record.extend([if directory { 2 } else { 0 }, 0, 0]);
        record.extend(both16(1));
        record.push(byte(name.len()));
        record.extend(name);
        record.resize(length, 0);
        record
    }

    /// The boot catalogue: what is checked, the entry for BIOSes, and a section for UEFI.
    fn catalog(&self) -> Vec<u8> {
        let [bios, efi] = self.boot;
        let entry = |boot: BootEntry| {
            let mut entry = vec![0x88, 0, 0, 0, 0, 0];
            entry.extend(boot.disk_sectors.to_le_bytes());
            entry.extend(boot.sector.to_le_bytes());
            entry.resize(32, 0);
            entry
        };
        let platform = |boot: BootEntry| if boot.efi { 0xef } else { 0 };
        let mut check = vec![1, platform(bios)];
        check.resize(30, 0);
        check.extend([0x55, 0xaa]);
        let sum = check
            .chunks_exact(2)
            .fold(0_u16, |sum, word| sum.wrapping_add(u16::from_le_bytes([word[0], word[1]])));
        put(&mut check, 28, &0_u16.wrapping_sub(sum).to_le_bytes());
        let mut section = vec![0x91, platform(efi), 1, 0];
        section.resize(32, 0);
        [check, entry(bios), section, entry(efi)].concat()
    }

    fn long_date(&self) -> Vec<u8> {
        let VolumeDate { year, month, day, hour, minute, second } = self.date;
        let mut date = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}00").into_bytes();
        date.push(0);
        date
    }
}

fn descriptor(kind: u8) -> Vec<u8> {
    let mut sector = vec![0; BYTES];
    put(&mut sector, 0, &[kind]);
    put(&mut sector, 1, b"CD001\x01");
    sector
}

fn boot_record() -> Vec<u8> {
    let mut sector = descriptor(0);
    put(&mut sector, 7, b"EL TORITO SPECIFICATION");
    put(&mut sector, 71, &CATALOG.to_le_bytes());
    sector
}

fn path_table(number: fn(u32) -> [u8; 4], parent: fn(u16) -> [u8; 2]) -> Vec<u8> {
    [&[1, 0][..], &number(DIRECTORY), &parent(1), &[0, 0]].concat()
}

fn put(sector: &mut [u8], at: usize, bytes: &[u8]) {
    sector[at..at + bytes.len()].copy_from_slice(bytes);
}

fn padded(text: &str, length: usize) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(length, b' ');
    bytes
}

fn both16(number: u16) -> Vec<u8> {
    [number.to_le_bytes(), number.to_be_bytes()].concat()
}

fn both32(number: u32) -> Vec<u8> {
    [number.to_le_bytes(), number.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume<'a>(files: &'a [FileRecord<'a>]) -> Volume<'a> {
        Volume {
            label: "VARVE",
            sectors: 100,
            files,
            boot: [
                BootEntry { efi: false, sector: 23, disk_sectors: 4 },
                BootEntry { efi: true, sector: 40, disk_sectors: 8 },
            ],
            date: VolumeDate { year: 2026, month: 11, day: 21, hour: 19, minute: 5, second: 7 },
        }
    }

    #[test]
    fn descriptors_lie_where_the_standards_want_them() {
        let files = [FileRecord { name: "VMLINUZ", sector: 50, size: 7 }];
        let image = volume(&files).descriptors();
        assert_eq!(image.len(), 23 * BYTES);
        assert_eq!(&image[16 * BYTES..16 * BYTES + 6], b"\x01CD001");
        assert_eq!(&image[17 * BYTES + 7..17 * BYTES + 16], b"EL TORITO");
        assert_eq!(&image[16 * BYTES + 813..16 * BYTES + 829], b"2026112119050700");
        let words = image[22 * BYTES..22 * BYTES + 32].chunks_exact(2);
        let sum = words.fold(0_u16, |sum, word| sum.wrapping_add(u16::from_le_bytes([word[0], word[1]])));
        assert_eq!(sum, 0, "the boot catalogue's check sum");
        let directory = &image[21 * BYTES..22 * BYTES];
        let at = directory.windows(10).position(|window| window == b"VMLINUZ.;1").expect("the file");
        assert_eq!(directory[at - 33 + 2..at - 33 + 10], [50, 0, 0, 0, 0, 0, 0, 50]);
    }
}
