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

use super::Mapping;
use crate::document::Document;
use crate::place::Notices;
use crate::value::fields::Fields;
use crate::value::{Node, Value};

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

/// What the usual keys become.
const BECOMES: [(&str, &str); 48] = [
    ("apt", "packages.apt-sources, and files of apt"),
    ("bootcmd", "a script before the network, at every boot"),
    ("ca_certs", "x509.authorities"),
    ("ca-certs", "x509.authorities"),
    ("chpasswd", "users.password"),
    ("condor", "htcondor"),
    ("cvmfs", "repositories"),
    ("disable_root", "ssh.root-login"),
    ("disk_setup", "storage.partitions"),
    ("final_message", "a script at the end"),
    ("fqdn", "machine.hostname"),
    ("fs_setup", "storage.file-systems"),
    ("ganglia", "monitoring.ganglia"),
    ("groups", "groups"),
    ("growpart", "storage.grow, boot.whole-disk"),
    ("hostname", "machine.hostname"),
    ("keyboard", "machine.keyboard"),
    ("locale", "machine.locale"),
    ("manage_etc_hosts", "machine.manage-hosts"),
    ("manage_resolv_conf", "network.write-resolver"),
    ("mounts", "storage.mounts"),
    ("network", "network.interfaces"),
    ("ntp", "machine.time-servers"),
    ("package_reboot_if_required", "packages.reboot-if-required"),
    ("package_update", "packages.refresh"),
    ("apt_update", "packages.refresh"),
    ("package_upgrade", "packages.upgrade"),
    ("apt_upgrade", "packages.upgrade"),
    ("packages", "packages.install"),
    ("password", "users.password of the user varve, or who is said"),
    ("phone_home", "a script at the end"),
    ("power_state", "a script at the end"),
    ("preserve_hostname", "machine.hostname"),
    ("puppet", "puppet"),
    ("resize_rootfs", "boot.whole-disk"),
    ("resolv_conf", "network.name-servers, network.search"),
    ("runcmd", "a script at the end"),
    ("ssh_authorized_keys", "users.ssh-keys of the user varve, or who is said"),
    ("ssh_keys", "ssh.host-keys"),
    ("ssh_pwauth", "ssh.password-login"),
    ("swap", "storage.swap"),
    ("timezone", "machine.timezone"),
    ("user", "the user who is meant by default"),
    ("users", "users"),
    ("write_files", "files"),
    ("yum_repos", "packages.dnf-sources"),
    ("merge_how", "how this part is merged"),
    ("merge_type", "how this part is merged"),
];

/// What each key becomes.
pub(super) fn mappings(node: &Node) -> Vec<Mapping> {
    let Value::Map(members) = &node.value else { return Vec::new() };
    let known = members.iter().filter_map(|(key, _)| {
        let (_, becomes) = BECOMES.iter().find(|(name, _)| *name == key.name)?;
        Some(Mapping { place: key.place, key: key.name.clone(), becomes })
    });
    known.collect()
}

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
