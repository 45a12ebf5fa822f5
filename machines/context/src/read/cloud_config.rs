//! cloud-config: the YAML of cloud-init, for the parts that people use. One file per subject; a key that none of them knows
//! is a warning.

mod accounts;
mod commands;
mod files;
mod packages;
mod system;

use crate::document::Document;
use crate::place::Notices;
use crate::value::Node;
use crate::value::fields::Fields;

/// The first line by which the form is known.
pub(super) const HEADING: &str = "#cloud-config";

/// Keys of cloud-init's own that have no meaning for another program.
const OWN: [&str; 12] = [
    "cloud_init_modules",
    "cloud_config_modules",
    "cloud_final_modules",
    "datasource",
    "datasource_list",
    "merge_how",
    "merge_type",
    "output",
    "reporting",
    "system_info",
    "updates",
    "vendor_data",
];

/// Makes a document of cloud-config.
pub(super) fn read(node: &Node, notices: &mut Notices) -> Document {
    let mut document = Document::default();
    let Some(mut fields) = Fields::of(node, "cloud-config", notices) else { return document };
    accounts::read(&mut fields, &mut document);
    system::read(&mut fields, &mut document);
    files::read(&mut fields, &mut document);
    packages::read(&mut fields, &mut document);
    commands::read(&mut fields, &mut document);
    fields.without_meaning(&OWN, "it is about cloud-init itself");
    fields.finish();
    document
}
