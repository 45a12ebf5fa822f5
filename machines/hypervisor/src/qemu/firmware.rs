//! Where distributions put UEFI for virtual machines. The BIOS is a part of QEMU.

use std::path::PathBuf;

use crate::error::HypervisorError;

/// Code and empty variables, in the order in which they are preferred.
const UEFI: [(&str, &str); 5] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
];

/// UEFI's files.
#[derive(Clone, Debug)]
pub(crate) struct Uefi {
    pub(crate) code: PathBuf,
    pub(crate) variables: PathBuf,
}

/// Finds UEFI.
pub(crate) fn uefi() -> Result<Uefi, HypervisorError> {
    let pairs = UEFI.iter().map(|(code, variables)| Uefi { code: code.into(), variables: variables.into() });
    let mut there = pairs.filter(|pair| pair.code.exists() && pair.variables.exists());
    there.next().ok_or_else(|| HypervisorError::NoFirmware {
        firmware: "UEFI",
        places: UEFI.map(|(code, _)| code).join(", "),
        package: "ovmf",
    })
}
