//! Drivers: loads the modules that the devices of this machine ask for, and the few that every boot needs.
//!
//! The image lists its modules in `varve.modules`, one a line: path, the paths of those it depends on, the aliases it serves;
//! between them tabulators, within them commas. An image whose kernel has everything built in has no list.

mod glob;

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::system::finit_module;

use crate::console::Console;

/// The list in the image.
pub const LIST: &str = "/lib/modules/varve.modules";
/// Loaded whether or not a device asks for them, in this order.
const ALWAYS: [&str; 19] = [
    "virtio_pci",
    "virtio_mmio",
    "af_packet",
    "fuse",
    "overlay",
    "crc32c_generic",
    "evdev",
    "ext4",
    "qemu_fw_cfg",
    "dmi_sysfs",
    "sd_mod",
    "sr_mod",
    "isofs",
    "vfat",
    "nls_iso8859_1",
    "nls_cp437",
    "nls_ascii",
    "nls_utf8",
    "udf",
];
/// Devices appear behind devices whose drivers were loaded; not deeper than this.
const MOST_ROUNDS: usize = 8;
/// No image has more.
const MOST_MODULES: usize = 10_000;

/// One module of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Module {
    path: PathBuf,
    needs: Vec<PathBuf>,
    aliases: Vec<String>,
}

/// The modules of the image, and which of them are loaded.
#[derive(Debug, Default)]
pub struct Modules {
    modules: Vec<Module>,
    done: HashSet<PathBuf>,
    seen: HashSet<String>,
}

impl Modules {
    /// Reads a list. Relative paths are those of the list's directory.
    pub fn parse(list: &str, directory: &Path) -> Self {
        let paths = |field: Option<&str>| -> Vec<PathBuf> {
            let field = field.unwrap_or_default().split(',').map(str::trim);
            field.filter(|path| !path.is_empty()).map(|path| directory.join(path)).collect()
        };
        let modules = list.lines().take(MOST_MODULES).filter_map(|line| {
            let mut fields = line.split('\t');
            let path = paths(fields.next()).pop()?;
            let needs = paths(fields.next());
            let aliases = fields.next().unwrap_or_default().split(',').map(str::trim);
            let aliases = aliases.filter(|alias| !alias.is_empty()).map(str::to_owned).collect();
            Some(Module { path, needs, aliases })
        });
        Self { modules: modules.collect(), ..Self::default() }
    }

    /// The modules of the image that runs; none if it has no list.
    pub fn of_image() -> Self {
        let list = fs::read_to_string(LIST).unwrap_or_default();
        Self::parse(&list, Path::new(LIST).parent().unwrap_or(Path::new("/")))
    }

    /// Loads what every boot needs.
    pub fn load_always(&mut self, console: &Console) {
        for name in ALWAYS {
            let wanted = |module: &&Module| name_of(&module.path) == name;
            if let Some(path) = self.modules.iter().find(wanted).map(|module| module.path.clone()) {
                self.load(&path, console, 0);
            }
        }
    }

    /// Loads what the devices ask for that are there now, and those that appear behind them.
    pub fn load_for_devices(&mut self, console: &Console) {
        for _ in 0..MOST_ROUNDS {
            let new: Vec<String> =
                device_aliases().into_iter().filter(|alias| self.seen.insert(alias.clone())).collect();
            if new.is_empty() {
                return;
            }
            for path in self.matching(&new) {
                self.load(&path, console, 0);
            }
        }
    }

    /// The modules that serve one of these devices.
    fn matching(&self, devices: &[String]) -> Vec<PathBuf> {
        let serves = |module: &&Module| {
            module.aliases.iter().any(|alias| devices.iter().any(|device| glob::matches(alias, device)))
        };
        self.modules.iter().filter(serves).map(|module| module.path.clone()).collect()
    }

    fn load(&mut self, path: &Path, console: &Console, depth: usize) {
        if depth > 16 || !self.done.insert(path.to_owned()) {
            return;
        }
        let needs = self.modules.iter().find(|module| module.path == path).map(|module| module.needs.clone());
        for needed in needs.unwrap_or_default() {
            self.load(&needed, console, depth + 1);
        }
        let loaded = File::open(path).and_then(|file| match finit_module(file, c"", 0) {
            // Built into the kernel, or loaded already; or there is no such device.
            Ok(()) | Err(Errno::EXIST | Errno::NODEV) => Ok(()),
            Err(errno) => Err(errno.into()),
        });
        match loaded {
            Ok(()) => console.detail(format_args!("loaded {}", name_of(path))),
            Err(error) => console.warn(format_args!("cannot load the driver {}: {error}", path.display())),
        }
    }
}

/// A module's name as the kernel has it.
fn name_of(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    file.split('.').next().unwrap_or_default().replace('-', "_")
}

/// What the devices on every bus say they are.
fn device_aliases() -> Vec<String> {
    let list = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let devices = list(Path::new("/sys/bus")).flat_map(|bus| list(&bus.join("devices")));
    let aliases = devices.filter_map(|device| fs::read_to_string(device.join("modalias")).ok());
    aliases.map(|alias| alias.trim().to_owned()).filter(|alias| !alias.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_which_module_serves_a_device() {
        let list = "a/virtio.ko\t\t\na/virtio-net.ko\ta/virtio.ko,b/failover.ko\tvirtio:d00000001v*\n\n/x/nvme.ko\t\tpci:v*d*sv*sd*bc01sc08i02*,other\n";
        let modules = Modules::parse(list, Path::new("/lib/modules"));
        assert_eq!(modules.modules.len(), 3);
        assert_eq!(
            modules.modules[1].needs,
            [Path::new("/lib/modules/a/virtio.ko"), Path::new("/lib/modules/b/failover.ko")]
        );
        assert_eq!(name_of(&modules.modules[1].path), "virtio_net");
        let found = modules.matching(&["virtio:d00000001v00001AF4".to_owned()]);
        assert_eq!(found, [Path::new("/lib/modules/a/virtio-net.ko")]);
        let found = modules.matching(&["pci:v0000144Dd0000A808sv0000144Dsd0000A801bc01sc08i02".to_owned()]);
        assert_eq!(found, [Path::new("/x/nvme.ko")]);
        assert!(modules.matching(&["usb:v1".to_owned()]).is_empty());
    }
}
