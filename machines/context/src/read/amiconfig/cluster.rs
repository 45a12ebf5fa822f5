//! Plug-ins that make a machine a part of a cluster: `condor`, `elastiq-setup`, `vaf-setup`, `workqueue`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Plugin, Target, parsed};
use crate::secret::Secret;
use crate::sections::files::File;
use crate::sections::htcondor::Role;
use crate::sections::users::User;
use crate::text::{AccountName, Line, Name, TargetPath, VariableName, Word};
use crate::value::decode::truth;
use crate::value::fields::{Fields, text};

pub(super) const CONDOR: Plugin = Plugin {
    name: "condor",
    keys: &[
        ("condor_master", "htcondor.head"),
        ("condor_secret", "htcondor.secret"),
        ("hostname", "htcondor.hostname"),
        ("collector_name", "htcondor.pool"),
        ("condor_admin", "htcondor.administrator"),
        ("uid_domain", "htcondor.uid-domain"),
        ("filesystem_domain", "htcondor.file-system-domain"),
        ("allow_write", "htcondor.allow-write"),
        ("highport", "htcondor.high-port"),
        ("lowport", "htcondor.low-port"),
        ("use_ips", "htcondor.use-addresses"),
        ("extra_vars", "htcondor.settings"),
        ("condor_dir", "htcondor.settings.LOCAL_DIR"),
        ("condor_user", "nothing"),
        ("condor_group", "nothing"),
    ],
    read: condor,
};

fn condor(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    let condor = &mut target.document.htcondor;
    condor.head = fields.checked("condor_master");
    condor.roles = if condor.head.is_some() { vec![Role::Worker] } else { vec![Role::Head, Role::Submit] };
    condor.secret = fields.text("condor_secret").map(Secret::Plain);
    condor.hostname = fields.checked("hostname");
    condor.pool = fields.checked("collector_name");
    condor.administrator = fields.checked("condor_admin");
    condor.uid_domain = fields.checked("uid_domain");
    condor.file_system_domain = fields.checked("filesystem_domain");
    condor.allow_write = fields.checked("allow_write");
    condor.high_port = Some(fields.number("highport").unwrap_or(9700));
    condor.low_port = Some(fields.number("lowport").unwrap_or(9600));
    condor.use_addresses = fields.text("use_ips").and_then(|text| truth(&text)).unwrap_or(false);
    let place = fields.place;
    let mut set = |name: &str, value: &str, notices: &mut crate::place::Notices| {
        let name = parsed::<VariableName>(name, place, "extra_vars", notices);
        let value = parsed::<Line>(value, place, "extra_vars", notices);
        if let (Some(name), Some(value)) = (name, value) {
            condor.settings.insert(name, value);
        }
    };
    if let Some(directory) = fields.text("condor_dir") {
        set("LOCAL_DIR", &directory, fields.notices);
    }
    for entry in fields.words("extra_vars") {
        match entry.split_once('=') {
            Some((name, value)) => set(name, value, fields.notices),
            None => fields.notices.error(place, "extra_vars: name=value between commas"),
        }
    }
    fields.without_meaning(&["condor_user", "condor_group"], "the package has its own user");
}

pub(super) const ELASTIQ: Plugin = Plugin {
    name: "elastiq-setup",
    keys: &[
        ("<section>_<key>", "elastiq.settings.<section>.<key>"),
        ("ec2_aws_secret_access_key", "elastiq.secret-key"),
        ("cacerts_b64", "elastiq.authorities"),
    ],
    read: elastiq,
};

fn elastiq(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    let elastiq = &mut target.document.elastiq;
    if let Some(packed) = fields.text("cacerts_b64") {
        let bytes = STANDARD.decode(packed.split_ascii_whitespace().collect::<String>());
        elastiq.authorities = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if elastiq.authorities.is_none() {
            let place = fields.place;
            fields.notices.error(place, "cacerts_b64: its base64 is none");
        }
    }
    elastiq.secret_key = fields.text("ec2_aws_secret_access_key").map(Secret::Plain);
    for (key, node) in fields.rest() {
        let Some((section, name)) = key.name.split_once('_') else {
            fields.notices.warn(key.place, format!("{}: no section_key", crate::place::shown(&key.name)));
            continue;
        };
        let section = parsed::<Name>(section, key.place, "elastiq", fields.notices);
        let name = parsed::<Name>(name, key.place, "elastiq", fields.notices);
        let value = text(node, "elastiq", fields.notices);
        let value = value.and_then(|value| parsed::<Line>(&value, key.place, "elastiq", fields.notices));
        if let (Some(section), Some(name), Some(value)) = (section, name, value) {
            elastiq.settings.entry(section).or_default().insert(name, value);
        }
    }
}

pub(super) const VAF: Plugin = Plugin {
    name: "vaf-setup",
    keys: &[
        ("num_pool_accounts", "users pool001, pool002, …"),
        ("client_settings", "the file /etc/vaf.d/client-settings"),
        ("node_type", "nothing"),
        ("auth_method", "nothing"),
    ],
    read: vaf,
};

const MAX_POOL: u32 = 500;

fn vaf(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    if let Some(count) = fields.number::<u32>("num_pool_accounts") {
        if count > MAX_POOL {
            let place = fields.place;
            fields.notices.error(place, format!("num_pool_accounts: at most {MAX_POOL}"));
        }
        for number in 1..=count.min(MAX_POOL) {
            let Ok(name) = AccountName::parse(format!("pool{number:03}")) else { continue };
            let mut user = User::named(name);
            user.locked = Some(true);
            target.document.users.push(user);
        }
    }
    if let Some(packed) = fields.text("client_settings") {
        let bytes = STANDARD
            .decode(packed.split_ascii_whitespace().collect::<String>())
            .unwrap_or_else(|_| packed.into_bytes());
        target.document.files.push(File::at(TargetPath::of("/etc/vaf.d/client-settings")).with_bytes(bytes));
    }
    fields.without_meaning(&["node_type", "auth_method"], "the section htcondor makes a head or a worker");
    fields.rest().clear();
}

pub(super) const WORK_QUEUE: Plugin = Plugin {
    name: "workqueue",
    keys: &[
        ("catalog_server", "work-queue.catalog"),
        ("workqueue_project", "work-queue.project"),
        ("workqueue_user", "work-queue.user"),
    ],
    read: work_queue,
};

fn work_queue(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    let queue = &mut target.document.work_queue;
    let place = fields.place;
    if let Some(server) = fields.text("catalog_server") {
        let server = if server.contains(':') { server } else { format!("{server}:9097") };
        queue.catalog = parsed::<Word>(&server, place, "catalog_server", fields.notices);
    }
    queue.project = fields.checked("workqueue_project");
    queue.user = fields.checked("workqueue_user");
}
