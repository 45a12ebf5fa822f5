//! What the kernel unpacks as its first file system: the guest, its settings, the kernel's modules, the template of a
//! scratch disk.
//!
//! ```text
//! /init                               the guest, a static program
//! /etc/varve/boot.toml                what is booted if nobody says otherwise
//! /lib/modules/varve.modules          which modules there are (see `kernel::modules::index`)
//! /lib/modules/RELEASE/kernel/…       the modules, not compressed
//! /lib/varve/scratch.ext4.zst         the template of a scratch disk
//! /dev/console                        where the first words go
//! /dev /proc /sys /run /tmp /root     mount points
//! ```

use crate::compression::Compression;
use crate::cpio::CpioArchive;
use crate::kernel::Kernel;
use crate::kernel::modules::index;

/// What goes into an initramfs.
#[derive(Clone, Copy, Debug)]
pub struct Initramfs<'a> {
    /// The program that becomes process 1.
    pub init: &'a [u8],
    /// The text of `/etc/varve/boot.toml`, if the image is for one operating system.
    pub boot_settings: Option<&'a str>,
    /// The kernel whose modules come along.
    pub kernel: &'a Kernel,
    /// The template of a scratch disk, compressed with zstd.
    pub scratch_template: Option<&'a [u8]>,
}

impl Initramfs<'_> {
    /// The bytes that a boot loader hands to the kernel.
    ///
    /// # Errors
    /// What compressing says.
    pub fn build(&self, compression: Compression) -> std::io::Result<Vec<u8>> {
        let mut archive = CpioArchive::new();
        for directory in ["dev", "proc", "sys", "run", "tmp", "root"] {
            let permissions = match directory {
                "tmp" => 0o1777,
                "root" => 0o700,
                _ => 0o755,
            };
            archive.directory(directory, permissions);
        }
        archive.character_device("dev/console", 0o600, 5, 1);
        archive.file("init", 0o755, self.init);
        if let Some(settings) = self.boot_settings {
            archive.file("etc/varve/boot.toml", 0o644, settings.as_bytes());
        }
        let modules = &self.kernel.modules;
        let home = format!("lib/modules/{}", self.kernel.release);
        archive.file("lib/modules/varve.modules", 0o644, index(&self.kernel.release, modules).as_bytes());
        for module in modules {
            archive.file(&format!("{home}/{}", module.path), 0o644, &module.contents);
        }
        if let Some(template) = self.scratch_template {
            archive.file("lib/varve/scratch.ext4.zst", 0o644, template);
        }
        compression.compress(&archive.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::modules::Module;

    #[test]
    fn everything_has_its_place() {
        let module = Module {
            name: "fuse".to_owned(),
            path: "kernel/fs/fuse/fuse.ko".to_owned(),
            contents: b"ELF".to_vec(),
            dependencies: Vec::new(),
            aliases: vec!["fs-fuse".to_owned()],
        };
        let kernel = Kernel {
            image: Vec::new(),
            release: "6.12-x".to_owned(),
            package: None,
            modules: vec![module],
            builtin: Default::default(),
        };
        let initramfs = Initramfs {
            init: b"program",
            boot_settings: Some("repository = \"os.example.org\"\n"),
            kernel: &kernel,
            scratch_template: Some(b"zstd"),
        };
        let text = String::from_utf8(initramfs.build(Compression::None).expect("build")).expect("text");
        for path in [
            "dev/console",
            "init",
            "etc/varve/boot.toml",
            "lib/modules/varve.modules",
            "lib/modules/6.12-x/kernel/fs/fuse/fuse.ko",
            "lib/varve/scratch.ext4.zst",
        ] {
            assert!(text.contains(&format!("{path}\0")), "{path} is missing");
        }
        assert!(text.contains("6.12-x/kernel/fs/fuse/fuse.ko\t\tfs-fuse\n"));
    }
}
