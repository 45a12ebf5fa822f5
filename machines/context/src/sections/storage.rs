//! `[storage]`: file systems that are made, grown and mounted, and swap.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later, longer};
use crate::plan::{Planner, Stage};
use crate::quote;
use crate::text::{Line, PlainPath, TargetPath, Word};

/// Disks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Storage {
    /// Disks that get a partition table, if they have none.
    pub partitions: Vec<PartitionTable>,
    /// File systems that are made, where there is none.
    pub file_systems: Vec<FileSystem>,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// Memory on disk.
    pub swap: Option<Swap>,
    /// Mount points whose partition and file system grow to what the disk has.
    pub grow: Vec<TargetPath>,
}

/// The partitions of a disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartitionTable {
    /// The disk.
    pub device: Word,
    /// `gpt` or `dos`.
    pub kind: TableKind,
    /// The partitions' sizes in percent of the disk; one of everything without.
    #[serde(default)]
    pub percent: Vec<u8>,
}

/// The kinds of partition tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TableKind {
    /// The newer one.
    Gpt,
    /// The older one.
    Dos,
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileSystem {
    /// The device.
    pub device: Word,
    /// `ext4`, `xfs`, `swap`.
    pub kind: Word,
    /// Its label.
    pub label: Option<Word>,
    /// Whether one that is there is overwritten.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overwrite: bool,
}

/// Something that is mounted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mount {
    /// The device, or what stands in its place.
    pub device: Line,
    /// Where; `none` for swap.
    pub path: Line,
    /// The kind of file system; found out without.
    pub kind: Option<Word>,
    /// Options; `defaults,nofail` without.
    pub options: Option<Line>,
}

/// Memory on disk, in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Swap {
    /// The file; `/swapfile` without.
    pub file: Option<PlainPath>,
    /// How much: `4G`, or `auto` for 2 GiB for each processor.
    pub size: Word,
}

impl Section for Storage {
    fn merge(&mut self, other: Self) {
        longer(&mut self.partitions, other.partitions);
        longer(&mut self.file_systems, other.file_systems);
        self.mounts.retain(|mount| {
            mount.path.as_str() == "none" || !other.mounts.iter().any(|newer| newer.path == mount.path)
        });
        self.mounts.extend(other.mounts);
        later(&mut self.swap, other.swap);
        longer(&mut self.grow, other.grow);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        let body = self.preparation();
        if !body.is_empty() {
            // The mounts wait for it, and belong to those that come after basic.target: see the options.
            planner.shell(Stage::BeforeNetwork, "storage", &body);
        }
        for mount in &self.mounts {
            self.plan_mount(planner, mount);
        }
        if let Some(swap) = &self.swap {
            planner.shell(Stage::BeforeNetwork, "swap", &swap.script());
        }
        if !self.grow.is_empty() {
            planner.shell(Stage::Final, "grow", &self.growth());
        }
    }
}

impl Storage {
    fn plan_mount(&self, planner: &mut Planner<'_>, mount: &Mount) {
        let kind = mount.kind.as_deref().unwrap_or("auto");
        let options = mount.options.as_deref().unwrap_or("defaults,nofail");
        let mut options = quote::fstab(options);
        if !self.preparation().is_empty() {
            options += ",_netdev,x-systemd.requires=varve-script-storage.service";
        }
        if mount.path.as_str() != "none" && mount.path.as_str() != "swap" {
            match TargetPath::lenient(&mount.path) {
                Ok(path) => planner.directory(&path, 0o755),
                Err(error) => return planner.refuse(error.to_string(), None),
            }
        }
        let (device, path) = (quote::fstab(&mount.device), quote::fstab(&mount.path));
        if device.is_empty() {
            return planner.refuse(format!("nothing is named that is to be mounted on {path}"), None);
        }
        if let Ok(line) = Line::parse(format!("{device} {path} {kind} {options} 0 0")) {
            planner.lines("/etc/fstab", Some(&device), vec![line]);
        }
    }

    /// What is done to the disks at the first boot.
    fn preparation(&self) -> String {
        let mut body = String::new();
        for table in &self.partitions {
            let device = quote::shell(&table.device);
            let label = match table.kind {
                TableKind::Gpt => "gpt",
                TableKind::Dos => "dos",
            };
            // sfdisk counts in sectors; a partition without a size takes the rest.
            let sizes: String = match table.percent.as_slice() {
                [] => "echo ,\n".to_owned(),
                sizes => sizes
                    .iter()
                    .map(|percent| format!("echo \",$((size * {percent} / 100 / 2048 * 2048))\"\n"))
                    .collect(),
            };
            body += &format!(
                "if ! blkid -p {device} >/dev/null 2>&1; then\nsize=$(($(blockdev --getsz {device}) - 4096))\n{{ echo 'label: {label}'\n{sizes}}} | sfdisk -q {device}\nudevadm settle\nfi\n"
            );
        }
        for made in &self.file_systems {
            let device = quote::shell(&made.device);
            let label =
                made.label.as_ref().map_or(String::new(), |label| format!(" -L {}", quote::shell(label)));
            let make = match made.kind.as_str() {
                "swap" => format!("mkswap{label} {device}"),
                kind => format!("mkfs -t {}{label} {device}", quote::shell(kind)),
            };
            let body_of = if made.overwrite {
                format!("wipefs -a {device}\n{make}\n")
            } else {
                format!("blkid -p {device} >/dev/null 2>&1 || {make}\n")
            };
            body += &body_of;
        }
        body
    }

    fn growth(&self) -> String {
        let grow = |path: &TargetPath| {
            let path = quote::shell(path);
            format!(
                "source=$(findmnt -n -o SOURCE {path})\ncase $(findmnt -n -o FSTYPE {path}) in\n\
                 ext*) resize2fs \"$source\" ;;\nxfs) xfs_growfs {path} ;;\nbtrfs) btrfs filesystem resize max {path} ;;\nesac\n"
            )
        };
        self.grow.iter().map(grow).collect()
    }
}

impl Swap {
    fn script(&self) -> String {
        let file = self.file.as_deref().unwrap_or("/swapfile");
        let size = match self.size.as_str() {
            "auto" => "$(($(nproc) * 2))G".to_owned(),
            size => quote::shell(size),
        };
        format!(
            "if [ ! -e {file} ]; then\n(umask 077; fallocate -l {size} {file})\nmkswap {file}\nfi\nswapon {file}\n\
             grep -q \"^{file} \" /etc/fstab || echo \"{file} none swap sw,nofail 0 0\" >> /etc/fstab\n"
        )
    }
}
