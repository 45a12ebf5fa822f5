//! Boot images: the same bytes twice, verified, accepted by qemu-img, and alive in QEMU by every way that they boot.
//!
//! Busybox stands in for the guest, as a static program that is its own init: it says so on the console.
#![allow(clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use varve_system::Installation;
use varve_testkit::{ProcessGuard, wait_for};

/// The static program that stands in for the guest, and what it says on the console when it is process 1.
const GUEST: &str = "/bin/busybox";
const ALIVE: &str = "Please press Enter to activate this console";

/// The firmware for UEFI, and its variables.
const FIRMWARE: [&str; 2] = ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"];

/// What must be installed: programs and files, and their packages.
const NEEDED: [(&str, &str); 8] = [
    (GUEST, "busybox-static"),
    (FIRMWARE[0], "ovmf"),
    ("/usr/bin/qemu-system-x86_64", "qemu-system-x86"),
    ("/usr/bin/qemu-img", "qemu-utils"),
    ("/usr/bin/mcopy", "mtools"),
    ("/usr/lib/ISOLINUX/isolinux.bin", "isolinux"),
    ("/usr/lib/syslinux/modules/bios/ldlinux.c32", "syslinux-common"),
    ("/usr/lib/systemd/boot/efi/linuxx64.efi.stub", "systemd-boot-efi"),
];

/// A boot takes a few seconds, and on a busy machine many times that.
const BOOT: Duration = Duration::from_secs(240);

/// Whether something is missing; where CI runs, nothing may be.
fn something_is_missing() -> bool {
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(path, _)| !Path::new(path).exists()).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return false;
    }
    assert!(std::env::var_os("CI").is_none(), "packages are missing: {}", missing.join(" "));
    println!("skipped: packages are missing: {}", missing.join(" "));
    true
}

/// Builds images of Debian's kernel: their directory.
fn build(installation: &Installation, directory: &str, formats: &str) -> PathBuf {
    let output = installation.path(directory);
    let mut command = installation.command(&[
        "image",
        "build",
        "--guest",
        GUEST,
        "--compression",
        "zstd",
        "--format",
        formats,
        "--output",
        output.to_str().expect("because scratch paths are text"),
    ]);
    command.env("SOURCE_DATE_EPOCH", "1700000000");
    let outcome = installation.end(command);
    assert_eq!(outcome.code, Some(0), "{}{}", outcome.stdout, outcome.stderr);
    output
}

/// Starts QEMU and waits until the guest is alive.
fn boots(installation: &Installation, name: &str, arguments: &[&str]) {
    let console = installation.path(&format!("{name}.console"));
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-accel", "tcg", "-m", "512", "-display", "none", "-net", "none", "-no-reboot", "-serial"]);
    command.arg(format!("file:{}", console.display())).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut qemu = ProcessGuard::start(&mut command).expect("because QEMU is installed");
    let said = || String::from_utf8_lossy(&fs::read(&console).unwrap_or_default()).into_owned();
    wait_for(&format!("{name} to boot"), BOOT, || {
        let ended = qemu.child().try_wait().expect("because it is our child");
        assert!(ended.is_none(), "{name}: QEMU ended with {ended:?} after it said\n{}", said());
        said().contains(ALIVE).then_some(())
    });
    qemu.kill().expect("because it is our child");
}

/// A disk in some form, on some bus.
fn disk(images: &Path, form: &str, ending: &str, bus: &str) -> String {
    format!("file={},format={form},snapshot=on,if={bus}", images.join(format!("varve.{ending}")).display())
}

/// What makes QEMU a machine with UEFI.
fn uefi() -> Vec<String> {
    let code = format!("if=pflash,format=raw,readonly=on,file={}", FIRMWARE[0]);
    let variables = format!("if=pflash,format=raw,snapshot=on,file={}", FIRMWARE[1]);
    ["-machine", "q35", "-drive", &code, "-drive", &variables].map(str::to_owned).into()
}

#[test]
fn a_bios_boots_cd_and_disk() {
    if something_is_missing() {
        return;
    }
    let installation = Installation::new();
    let images = build(&installation, "images", "iso,raw");
    let cd = images.join("varve.iso").display().to_string();
    boots(&installation, "cd", &["-cdrom", &cd]);
    boots(&installation, "disk", &["-drive", &disk(&images, "raw", "img", "ide")]);
}

#[test]
fn a_bios_boots_disks_of_other_forms() {
    if something_is_missing() {
        return;
    }
    let installation = Installation::new();
    let images = build(&installation, "images", "qcow2,vmdk");
    boots(&installation, "qcow2", &["-drive", &disk(&images, "qcow2", "qcow2", "virtio")]);
    boots(&installation, "vmdk", &["-drive", &disk(&images, "vmdk", "vmdk", "ide")]);
}

#[test]
fn uefi_boots_cd_and_disk() {
    if something_is_missing() {
        return;
    }
    let installation = Installation::new();
    let images = build(&installation, "images", "iso,raw");
    let (cd, machine) = (images.join("varve.iso").display().to_string(), uefi());
    let machine: Vec<&str> = machine.iter().map(String::as_str).collect();
    boots(&installation, "cd", &[&machine[..], &["-cdrom", &cd]].concat());
    let drive = disk(&images, "raw", "img", "virtio");
    boots(&installation, "disk", &[&machine[..], &["-drive", &drive]].concat());
}

#[test]
fn kernel_and_unified_image_boot() {
    if something_is_missing() {
        return;
    }
    let installation = Installation::new();
    let images = build(&installation, "images", "kernel,efi");
    let image = |ending: &str| images.join(format!("varve.{ending}")).display().to_string();
    let (kernel, initramfs) = (image("vmlinuz"), image("initrd"));
    let direct = ["-kernel", &kernel, "-initrd", &initramfs, "-append", "console=ttyS0"];
    boots(&installation, "kernel", &direct);
    // An EFI system partition that QEMU makes of a directory.
    let partition = installation.directory("esp/EFI/BOOT");
    fs::copy(image("efi"), partition.join("BOOTX64.EFI")).expect("because the scratch directory is writable");
    let partition =
        format!("format=raw,if=virtio,readonly=on,file=fat:{}", installation.path("esp").display());
    let machine = uefi();
    let machine: Vec<&str> = machine.iter().map(String::as_str).collect();
    boots(&installation, "unified", &[&machine[..], &["-drive", &partition]].concat());
}

#[test]
fn the_same_inputs_make_the_same_bytes_and_every_form_is_sound() {
    if something_is_missing() {
        return;
    }
    let installation = Installation::new();
    let (first, second) = (build(&installation, "a", "all"), build(&installation, "b", "all"));
    let mut names: Vec<_> = fs::read_dir(&first)
        .expect("the images")
        .map(|entry| entry.expect("an image").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    let endings =
        ["efi", "img", "initrd", "iso", "manifest.json", "manifest.sig", "ova", "qcow2", "vdi", "vhd"];
    let endings = endings.iter().chain(&["vhdx", "vmdk", "vmlinuz"]);
    assert_eq!(names, endings.map(|ending| format!("varve.{ending}")).collect::<Vec<_>>());
    for name in &names {
        let bytes = |directory: &Path| fs::read(directory.join(name)).expect("an image");
        assert!(bytes(&first) == bytes(&second), "{name} differs");
    }

    let manifest = first.join("varve.manifest.json").display().to_string();
    let verified = installation.run(&["image", "verify", &manifest]);
    assert_eq!(verified.lines().count(), 11, "{verified}");
    assert!(installation.run(&["image", "show", &manifest]).contains("linux-image-"));

    for (form, ending) in [
        ("raw", "iso"),
        ("qcow2", "qcow2"),
        ("vmdk", "vmdk"),
        ("vdi", "vdi"),
        ("vpc", "vhd"),
        ("vhdx", "vhdx"),
    ] {
        let path = first.join(format!("varve.{ending}"));
        let compared = Command::new("qemu-img")
            .args(["compare", "-f", form, "-F", "raw"])
            .args([&path, &first.join("varve.iso")])
            .output()
            .expect("because qemu-img is installed");
        assert!(compared.status.success(), "{form}: {}", String::from_utf8_lossy(&compared.stdout));
        if !["raw", "vpc"].contains(&form) {
            let checked = Command::new("qemu-img")
                .args(["check", "-f", form])
                .arg(&path)
                .output()
                .expect("because qemu-img is installed");
            assert!(checked.status.success(), "{form}: {}", String::from_utf8_lossy(&checked.stderr));
        }
    }

    let changed = first.join("varve.qcow2");
    let mut bytes = fs::read(&changed).expect("an image");
    *bytes.last_mut().expect("because it is not empty") ^= 1;
    fs::write(&changed, bytes).expect("because the scratch directory is writable");
    let outcome = installation.call(&["image", "verify", changed.to_str().expect("text")]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("varve.qcow2 is not what its manifest says"), "{}", outcome.stderr);
}

#[test]
fn what_cannot_be_built_is_said_with_what_to_do() {
    let installation = Installation::new();
    let call = |arguments: &[&str]| {
        let outcome = installation.call(&[&["image", "build", "--output", "/nowhere"], arguments].concat());
        (outcome.code, outcome.stderr)
    };
    let (code, said) = call(&["--guest", "/etc/passwd"]);
    assert!(code == Some(2) && said.contains("/etc/passwd is no program for x86-64"), "{code:?} {said}");
    let (code, said) = call(&["--guest", "/nowhere/guest"]);
    assert!(code == Some(2) && said.contains("/nowhere/guest"), "{code:?} {said}");
    let (code, said) = call(&["--format", "floppy"]);
    assert!(code == Some(2) && said.contains("qcow2"), "{code:?} {said}");
    let (code, said) = call(&["--repository", "os.lab.example"]);
    assert!(code == Some(2) && said.contains("--key"), "{code:?} {said}");
}
