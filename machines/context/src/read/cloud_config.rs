//! cloud-config: the YAML of cloud-init, for the parts that people use. One file per subject; a key that none of them knows
//! is a warning.

mod accounts;
mod cern;
mod commands;
mod disks;
mod ending;
mod files;
pub(super) mod network;
mod packages;
mod system;

use crate::document::Document;
use crate::place::Notices;
use crate::value::Node;
use crate::value::fields::Fields;

/// The first line by which the form is known.
pub(super) const HEADING: &str = "#cloud-config";

/// Keys of cloud-init's own that have no meaning for another program.
const OWN: [&str; 13] = [
    "cloud_init_modules",
    "cloud_config_modules",
    "cloud_final_modules",
    "datasource",
    "datasource_list",
    "no_ssh_fingerprints",
    "output",
    "reporting",
    "system_info",
    "updates",
    "vendor_data",
    "ssh",
    "random_seed",
];

/// Subjects that need a program of their own in the machine.
const OTHERS: [&str; 14] = [
    "chef",
    "landscape",
    "mcollective",
    "salt_minion",
    "snap",
    "spacewalk",
    "rh_subscription",
    "ubuntu_advantage",
    "ubuntu_pro",
    "ansible",
    "lxd",
    "byobu_by_default",
    "grub_dpkg",
    "rsyslog",
];

/// Makes a document of cloud-config.
pub(super) fn read(node: &Node, notices: &mut Notices) -> Document {
    let mut document = Document::default();
    let Some(mut fields) = Fields::of(node, "cloud-config", notices) else { return document };
    accounts::read(&mut fields, &mut document);
    system::read(&mut fields, &mut document);
    disks::read(&mut fields, &mut document);
    network::read(&mut fields, &mut document);
    cern::read(&mut fields, &mut document);
    files::read(&mut fields, &mut document);
    packages::read(&mut fields, &mut document);
    commands::read(&mut fields, &mut document);
    ending::read(&mut fields, &mut document);
    // What these say was done when the parts were merged.
    let _ = (fields.take("merge_how"), fields.take("merge_type"));
    fields.without_meaning(&OWN, "it is about cloud-init itself");
    fields.without_meaning(
        &OTHERS,
        "nothing here knows it: install and configure it by packages, files and scripts",
    );
    fields.finish();
    document
}
