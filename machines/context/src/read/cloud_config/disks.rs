//! Disks in cloud-config: `mounts`, `swap`, `growpart`, `resize_rootfs`, `disk_setup`, `fs_setup`.

use crate::document::Document;
use crate::place::Notices;
use crate::sections::storage::{FileSystem, Mount, PartitionTable, Swap, TableKind};
use crate::text::{Line, PlainPath, TargetPath, Word};
use crate::value::fields::{Fields, checked, text};
use crate::value::{Node, Value};

pub(super) fn read(fields: &mut Fields<'_, '_>, document: &mut Document) {
    for node in fields.list("mounts") {
        document.storage.mounts.extend(mount(node, fields.notices));
    }
    fields.without_meaning(&["mount_default_fields"], "missing fields are `auto` and `defaults,nofail`");
    if let Some(node) = fields.take("swap") {
        document.storage.swap = swap(node, fields.notices);
    }
    grow(fields, document);
    if let Some(node) = fields.take("disk_setup")
        && let Value::Map(disks) = &node.value
    {
        for (device, settings) in disks {
            document.storage.partitions.extend(table(&device.name, settings, fields.notices));
        }
    }
    for node in fields.list("fs_setup") {
        document.storage.file_systems.extend(file_system(node, fields.notices));
    }
    fields.without_meaning(&["device_aliases"], "name the devices themselves");
}

/// `[device, path, kind, options, dump, pass]`, or less of it.
fn mount(node: &Node, notices: &mut Notices) -> Option<Mount> {
    let Value::List(list) = &node.value else {
        notices.error(node.place, "mounts: a list of device, mount point, kind and options");
        return None;
    };
    let texts: Vec<Option<&str>> = list.iter().map(Node::text).collect();
    let at = |index: usize| texts.get(index).copied().flatten();
    let mut device = at(0)?.to_owned();
    let Some(path) = at(1) else {
        notices.warn(node.place, format!("mounts: {device} without a mount point is left out"));
        return None;
    };
    // A short name is one of the devices.
    if !device.starts_with('/')
        && !device.contains(['=', ':'])
        && !["swap", "none", "tmpfs", "overlay"].contains(&device.as_str())
    {
        device = format!("/dev/{device}");
    }
    let optional = |text: Option<&str>, notices: &mut Notices| match text {
        Some(text) => checked::<Word>(text, node.place, "mounts", notices).map(Some),
        None => Some(None),
    };
    Some(Mount {
        device: checked(&device, node.place, "mounts", notices)?,
        path: checked(path, node.place, "mounts", notices)?,
        kind: optional(at(2), notices)?,
        options: match at(3) {
            Some(options) => Some(checked::<Line>(options, node.place, "mounts", notices)?),
            None => None,
        },
    })
}

fn swap(node: &Node, notices: &mut Notices) -> Option<Swap> {
    let mut fields = Fields::of(node, "swap", notices)?;
    let file = fields.checked::<PlainPath>("filename");
    let (size, most) = (fields.text("size"), fields.text("maxsize"));
    let place = fields.place;
    let size = match size.as_deref() {
        // In proportion to the memory, which the machine knows; then the most is what is meant.
        Some("auto") => most.unwrap_or_else(|| "2G".to_owned()),
        Some(size) => size.to_owned(),
        None => return None,
    };
    fields.finish();
    Some(Swap { file, size: checked(&size, place, "swap", notices)? })
}

fn grow(fields: &mut Fields<'_, '_>, document: &mut Document) {
    if let Some(node) = fields.take("growpart")
        && let Some(mut inner) = Fields::of(node, "growpart", fields.notices)
    {
        let off = matches!(inner.text("mode").as_deref(), Some("off" | "false"));
        for device in inner.texts("devices") {
            let place = inner.place;
            if device == "/" {
                document.boot.whole_disk = Some(!off);
            } else if !off
                && let Some(path) = checked::<TargetPath>(&device, place, "growpart", inner.notices)
            {
                document.storage.grow.push(path);
            }
        }
        let _ = inner.take("ignore_growroot_disabled");
        inner.finish();
    }
    if let Some(node) = fields.take("resize_rootfs") {
        document.boot.whole_disk = match node.text() {
            Some("noblock") => Some(true),
            Some(text) => crate::value::decode::truth(text),
            None => None,
        };
    }
}

fn table(device: &str, settings: &Node, notices: &mut Notices) -> Option<PartitionTable> {
    let mut fields = Fields::of(settings, "disk_setup", notices)?;
    let kind = match fields.text("table_type").as_deref() {
        Some("gpt") => TableKind::Gpt,
        _ => TableKind::Dos,
    };
    let mut percent = Vec::new();
    match fields.take("layout").map(|node| &node.value) {
        Some(Value::Bool { value: false, .. }) => return None,
        Some(Value::List(list)) => {
            for node in list {
                // A size, or a size and a type.
                let size = if let Value::List(pair) = &node.value { pair.first() } else { Some(node) };
                match size
                    .and_then(Node::text)
                    .and_then(|text| text.parse::<u8>().ok())
                    .filter(|size| *size <= 100)
                {
                    Some(size) => percent.push(size),
                    None => fields.notices.error(node.place, "disk_setup: a size is a number of percent"),
                }
            }
        }
        _ => {}
    }
    if fields.truth("overwrite") == Some(true) {
        let place = fields.place;
        fields.notices.warn(place, "disk_setup: a partition table that is there is never overwritten");
    }
    fields.finish();
    let device = checked::<Word>(device, settings.place, "disk_setup", notices)?;
    Some(PartitionTable { device, kind, percent })
}

fn file_system(node: &Node, notices: &mut Notices) -> Option<FileSystem> {
    let mut fields = Fields::of(node, "fs_setup", notices)?;
    let (device, kind) = (fields.checked::<Word>("device"), fields.checked::<Word>("filesystem"));
    let label = fields.checked("label");
    let overwrite = fields.truth("overwrite").unwrap_or(false);
    let device = match fields.take("partition").and_then(|node| text(node, "partition", fields.notices)) {
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => device.and_then(|device| {
            let separator = if device.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
            Word::parse(format!("{device}{separator}{number}")).ok()
        }),
        _ => device,
    };
    fields.without_meaning(&["cmd", "extra_opts", "replace_fs"], "the usual options are used");
    let place = fields.place;
    fields.finish();
    match (device, kind) {
        (Some(device), Some(kind)) => Some(FileSystem { device, kind, label, overwrite }),
        _ => {
            notices.error(place, "fs_setup: device and filesystem are needed");
            None
        }
    }
}
