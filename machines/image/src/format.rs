//! The forms that an image is written in. Disks of other hypervisors are made by qemu-img of the one hybrid image.

use std::fmt;
use std::str::FromStr;

/// A form of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Boots as CD, disk and USB stick, by BIOS and UEFI.
    Iso,
    /// The same bytes, named as a disk.
    Raw,
    /// QEMU, OpenStack.
    Qcow2,
    /// VMware.
    Vmdk,
    /// VirtualBox.
    Vdi,
    /// Azure, Hyper-V's first generation.
    Vhd,
    /// Hyper-V.
    Vhdx,
    /// A machine with a disk, for VMware and VirtualBox.
    Ova,
    /// A unified kernel image: one UEFI program.
    Efi,
    /// Kernel and initramfs, for `qemu -kernel` and network boot.
    Kernel,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Iso,
        Self::Raw,
        Self::Qcow2,
        Self::Vmdk,
        Self::Vdi,
        Self::Vhd,
        Self::Vhdx,
        Self::Ova,
        Self::Efi,
        Self::Kernel,
    ];

    /// As the command line and the manifest write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iso => "iso",
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
            Self::Vdi => "vdi",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
            Self::Ova => "ova",
            Self::Efi => "efi",
            Self::Kernel => "kernel",
        }
    }

    /// What `qemu-img` calls it, and the options that make it what its hypervisor wants.
    pub(crate) fn of_qemu(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Qcow2 => Some(("qcow2", "compat=1.1")),
            Self::Vmdk | Self::Ova => Some(("vmdk", "subformat=streamOptimized")),
            Self::Vdi => Some(("vdi", "")),
            // Azure takes nothing but disks of fixed size in whole MiB.
            Self::Vhd => Some(("vpc", "subformat=fixed,force_size=on")),
            Self::Vhdx => Some(("vhdx", "subformat=dynamic")),
            Self::Iso | Self::Raw | Self::Efi | Self::Kernel => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|format| format.name()).collect();
            format!("no form of an image is named {text:?}: there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_a_name_of_its_own() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
        }
        assert!("floppy".parse::<Format>().is_err());
    }
}
