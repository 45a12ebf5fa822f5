//! The plug-in `cernvm`: users, repositories, the desktop.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Plugin, Target, parsed};
use crate::read::reference::Reference;
use crate::secret::Secret;
use crate::sections::desktop::Launcher;
use crate::sections::storage::Swap;
use crate::sections::users::{Group, User};
use crate::sections::x509::UserProxy;
use crate::text::{AccountName, Line, Name, RepositoryName, TargetPath, UnitName, VariableName, Word};
use crate::value::decode::truth;
use crate::value::fields::Fields;

pub(super) const CERNVM: Plugin = Plugin {
    name: "cernvm",
    keys: &[
        ("contextualization_key", "a reference to CernVM Online"),
        ("contextualization_command", "a script at the end"),
        ("organisations", "environment.CERNVM_ORGANISATION"),
        ("group_profile", "environment.CERNVM_GROUP_PROFILE"),
        ("repositories", "repositories.mount"),
        ("extra_repositories", "repositories.mount, with servers and keys"),
        ("proxy", "repositories.proxy"),
        ("users", "users and groups"),
        ("shell", "users.shell"),
        ("auto_login", "desktop.auto-login"),
        ("edition", "desktop.start"),
        ("startxdm", "desktop.start"),
        ("screenres", "desktop.resolution"),
        ("keyboard", "machine.keyboard"),
        ("desktop_icons", "desktop.launchers"),
        ("services", "services.enable"),
        ("environment", "environment"),
        ("swap_size", "storage.swap"),
        ("x509-user", "x509.proxies"),
        ("x509-cert", "x509.proxies"),
        ("eos-server", "environment.EOS_MGM_URL"),
        ("entitlement_key", "nothing"),
        ("config_url", "nothing"),
        ("griduiversion", "environment.CERNVM_GRID_UI_VERSION"),
    ],
    read,
};

fn read(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    users(fields, target);
    repositories(fields, target);
    desktop(fields, target);
    environment(fields, target);
    certificates(fields, target);
    for service in fields.words("services") {
        let place = fields.place;
        target.document.services.enable.extend(parsed::<UnitName>(
            &service,
            place,
            "services",
            fields.notices,
        ));
    }
    if let Some(size) = fields.text("swap_size").filter(|size| truth(size) != Some(false)) {
        let place = fields.place;
        let size = parsed::<Word>(&size, place, "swap_size", fields.notices);
        target.document.storage.swap = size.map(|size| Swap { file: None, size });
    }
    if let Some(key) = fields.text("contextualization_key").filter(|key| !key.trim().is_empty()) {
        target.references.push((Reference::Online { key: key.trim().to_owned() }, fields.place));
    }
    if let Some(command) = fields.text("contextualization_command") {
        commands(&command, fields, target);
    }
    fields.without_meaning(&["entitlement_key", "config_url"], "the service that it is for is no more");
    fields.without_meaning(
        &["x509-cert-file", "eos-user", "eos-x509-cert", "eos-readaheadsize", "eos-readcachesize"],
        "mount EOS by a service of your own",
    );
}

/// `name:group:password` between commas; the password may be a hash.
fn users(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    let shell: Option<TargetPath> = fields.checked("shell");
    let Some(node) = fields.take("users") else { return };
    let auto_login = fields.text("auto_login").and_then(|text| truth(&text)) == Some(true);
    for (number, entry) in node
        .text()
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .enumerate()
    {
        let parts: Vec<&str> = entry.splitn(3, ':').collect();
        let [name, group, password] = parts.as_slice() else {
            fields.notices.error(
                node.place,
                format!("users: {} is no name:group:password", crate::place::shown(entry)),
            );
            continue;
        };
        let name = parsed::<AccountName>(name, node.place, "users", fields.notices);
        let group = parsed::<AccountName>(group, node.place, "users", fields.notices);
        let (Some(name), Some(group)) = (name, group) else { continue };
        if !target.document.groups.iter().any(|other| other.name == group) {
            target.document.groups.push(Group {
                name: group.clone(),
                gid: None,
                system: false,
                members: Vec::new(),
            });
        }
        if number == 0 && auto_login {
            target.document.desktop.auto_login = Some(name.clone());
        }
        let mut user = User::named(name);
        user.group = Some(group);
        user.shell.clone_from(&shell);
        user.password = (!password.is_empty()).then(|| Secret::Plain((*password).to_owned()));
        target.document.users.push(user);
    }
}

fn repositories(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    let repositories = &mut target.document.repositories;
    let place = fields.place;
    for name in fields.words("repositories") {
        let name = full(&name);
        if let Some(name) = parsed::<RepositoryName>(&name, place, "repositories", fields.notices) {
            repositories.named(name);
        }
    }
    for entry in fields.words("extra_repositories") {
        let parts: Vec<&str> = entry.split('|').map(str::trim).collect();
        let [name, server, key] = parts.as_slice() else {
            let message =
                format!("extra_repositories: {} is no name|server|key", crate::place::shown(&entry));
            fields.notices.error(place, message);
            continue;
        };
        let Some(name) = parsed::<RepositoryName>(&full(name), place, "extra_repositories", fields.notices)
        else {
            continue;
        };
        let server = if server.contains("://") {
            (*server).to_owned()
        } else {
            format!("http://{server}/cvmfs/@fqrn@")
        };
        let server = parsed::<Word>(&server, place, "extra_repositories", fields.notices);
        let key = STANDARD.decode(key).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if key.is_none() {
            fields.notices.error(place, format!("extra_repositories: the key of {name} is no base64"));
        }
        let repository = repositories.named(name);
        repository.servers = server.into_iter().collect();
        repository.keys = key.into_iter().collect();
    }
    if let Some(proxy) = fields.checked::<Line>("proxy") {
        repositories.proxy = Some(proxy);
    }
}

/// A name without a domain belongs to CERN's.
fn full(name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("{name}.cern.ch") }
}

fn desktop(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    let desktop = &mut target.document.desktop;
    let edition = fields.text("edition").map(|edition| edition.eq_ignore_ascii_case("desktop"));
    desktop.start = fields.text("startxdm").and_then(|text| truth(&text)).or(edition);
    desktop.resolution = fields.checked("screenres");
    if let Some(keyboard) = fields.text("keyboard") {
        // A variant stands behind a dash, as in us-acentos.
        let place = fields.place;
        let (layout, variant) = keyboard
            .split_once('-')
            .map_or((keyboard.as_str(), None), |(layout, variant)| (layout, Some(variant)));
        let machine = &mut target.document.machine;
        machine.keyboard = parsed(layout, place, "keyboard", fields.notices);
        machine.keyboard_variant =
            variant.and_then(|variant| parsed(variant, place, "keyboard", fields.notices));
    }
    // Names and files take turns between commas.
    let icons = fields.words("desktop_icons");
    for pair in icons.chunks(2) {
        let place = fields.place;
        let [name, packed] = pair else {
            fields.notices.warn(place, "desktop_icons: a name without a file is left out");
            break;
        };
        let name = parsed::<Name>(&name.replace(['~', ' '], "-"), place, "desktop_icons", fields.notices);
        match (name, STANDARD.decode(packed).ok().and_then(|bytes| String::from_utf8(bytes).ok())) {
            (Some(name), Some(content)) => desktop.launchers.push(Launcher { name, content }),
            _ => fields.notices.warn(place, "desktop_icons: a file that is no base64 is left out"),
        }
    }
}

fn environment(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    let place = fields.place;
    let mut set = |name: &str, value: &str, notices: &mut crate::place::Notices| {
        let name = parsed::<VariableName>(name, place, "environment", notices);
        let value = parsed::<Line>(value, place, "environment", notices);
        if let (Some(name), Some(value)) = (name, value) {
            target.document.environment.0.insert(name, value);
        }
    };
    for entry in fields.words("environment") {
        match entry.split_once('=') {
            Some((name, value)) => set(name, value, fields.notices),
            None => fields
                .notices
                .error(place, format!("environment: {} is no name=value", crate::place::shown(&entry))),
        }
    }
    let own = [
        ("organisations", "CERNVM_ORGANISATION"),
        ("group_profile", "CERNVM_GROUP_PROFILE"),
        ("griduiversion", "CERNVM_GRID_UI_VERSION"),
        ("eos-server", "EOS_MGM_URL"),
    ];
    for (key, name) in own {
        if let Some(value) = fields.text(key).filter(|value| !value.trim().is_empty()) {
            set(name, value.trim(), fields.notices);
        }
    }
}

fn certificates(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    let user = fields.checked::<AccountName>("x509-user");
    let Some(node) = fields.take("x509-cert") else { return };
    let packed: String = node.text().unwrap_or_default().split_ascii_whitespace().collect();
    let text = STANDARD.decode(packed).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let proxy = text.unwrap_or_else(|| node.text().unwrap_or_default().to_owned());
    let user = user.or_else(|| AccountName::parse("root").ok());
    target.document.x509.proxies.extend(user.map(|user| UserProxy { user, proxy: Secret::Plain(proxy) }));
}

/// `user:/path/of/a/command`, between commas: run as that user at the end.
fn commands(text: &str, fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    let mut lines = String::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (user, command) = entry.split_once(':').unwrap_or(("root", entry));
        let place = fields.place;
        let user = parsed::<AccountName>(user, place, "contextualization_command", fields.notices);
        let command = parsed::<Line>(command, place, "contextualization_command", fields.notices);
        if let (Some(user), Some(command)) = (user, command) {
            lines += &format!("su - {user} -c {}\n", crate::quote::shell(&command));
        }
    }
    let stage = crate::plan::Stage::Final;
    let name = Name::parse("contextualization-command").ok();
    let content = format!("#!/bin/sh\n{lines}");
    target.document.scripts.push(crate::sections::scripts::Script {
        name,
        content,
        stage,
        every_boot: false,
    });
}
