//! Users, groups, passwords and ssh of cloud-config.

use crate::document::{Document, Item as _};
use crate::place::Notices;
use crate::secret::Secret;
use crate::sections::ssh::{HostKey, HostKeyKind, RootLogin};
use crate::sections::users::{Group, User};
use crate::text::{AccountName, Line, TargetPath};
use crate::value::fields::{Fields, checked, text};
use crate::value::{Node, Value};

/// Who is meant by "default", when the user data don't say.
const DEFAULT_USER: &str = "varve";

pub(super) fn read(fields: &mut Fields<'_, '_>, document: &mut Document) {
    if let Some(node) = fields.take("groups") {
        groups(node, fields.notices, document);
    }
    let mut default = Default::of(fields);
    users(fields, &mut default, document);
    passwords(fields, &mut default, document);
    ssh(fields, &mut default, document);
    if default.wanted {
        let user = default.user;
        match document.users.iter_mut().find(|other| other.name == user.name) {
            Some(other) => other.replace(user),
            None => document.users.insert(0, user),
        }
    }
}

/// The user whom cloud-init makes by itself.
struct Default {
    user: User,
    wanted: bool,
}

impl Default {
    fn of(fields: &mut Fields<'_, '_>) -> Self {
        let fallback = AccountName::parse(DEFAULT_USER).expect("because it is a constant");
        let mut user = User::named(fallback);
        user.admin = true;
        user.locked = Some(true);
        let mut wanted = false;
        if let Some(node) = fields.take("user") {
            wanted = true;
            if let Value::Map(_) = node.value {
                if let Some(given) = one_user(node, Some(user.name.clone()), fields.notices) {
                    user.replace(given);
                }
            } else if let Some(name) = text(node, "user", fields.notices)
                && let Some(name) = checked(&name, node.place, "user", fields.notices)
            {
                user.name = name;
            }
        }
        Self { user, wanted }
    }
}

fn groups(node: &Node, notices: &mut Notices, document: &mut Document) {
    let mut add = |name: &str, members: &Node, place, notices: &mut Notices| {
        let Some(name) = checked(name, place, "groups", notices) else { return };
        let members = names(members, "groups", notices);
        document.groups.push(Group { name, gid: None, system: false, members });
    };
    let nothing = Node { place: node.place, value: Value::Null };
    let of_map = |map: &[(crate::value::Key, Node)],
                  notices: &mut Notices,
                  add: &mut dyn FnMut(&str, &Node, _, &mut Notices)| {
        map.iter().for_each(|(key, members)| add(&key.name, members, key.place, notices));
    };
    match &node.value {
        Value::Map(map) => of_map(map, notices, &mut add),
        Value::List(list) => {
            for node in list {
                match &node.value {
                    Value::Map(map) => of_map(map, notices, &mut add),
                    _ => {
                        if let Some(name) = text(node, "groups", notices) {
                            add(&name, &nothing, node.place, notices);
                        }
                    }
                }
            }
        }
        _ => {
            for name in text(node, "groups", notices).unwrap_or_default().split(',').map(str::trim) {
                add(name, &nothing, node.place, notices);
            }
        }
    }
}

/// Names in a list, or between commas.
fn names(node: &Node, what: &str, notices: &mut Notices) -> Vec<AccountName> {
    let texts: Vec<(String, _)> = match &node.value {
        Value::Null => Vec::new(),
        Value::List(list) => {
            list.iter().filter_map(|node| Some((text(node, what, notices)?, node.place))).collect()
        }
        _ => text(node, what, notices)
            .unwrap_or_default()
            .split(',')
            .map(|name| (name.trim().to_owned(), node.place))
            .filter(|(name, _)| !name.is_empty())
            .collect(),
    };
    texts.iter().filter_map(|(name, place)| checked(name, *place, what, notices)).collect()
}

fn users(fields: &mut Fields<'_, '_>, default: &mut Default, document: &mut Document) {
    let Some(node) = fields.take("users") else { return };
    let notices = &mut *fields.notices;
    let mut one = |node: &Node, name: Option<AccountName>, notices: &mut Notices| {
        let user = match &node.value {
            Value::Map(_) => one_user(node, name, notices),
            Value::Null => name.map(User::named),
            _ => match node.text() {
                Some("default") => {
                    default.wanted = true;
                    None
                }
                _ => names(node, "users", notices).into_iter().next().map(|name| {
                    let mut user = User::named(name);
                    user.locked = Some(true);
                    user
                }),
            },
        };
        document.users.extend(user);
    };
    match &node.value {
        Value::List(list) => list.iter().for_each(|node| one(node, None, notices)),
        Value::Map(map) => {
            for (key, node) in map {
                let name = checked(&key.name, key.place, "users", notices);
                one(node, name, notices);
            }
        }
        _ => {
            for name in node.text().unwrap_or_default().split(',') {
                let node = Node { place: node.place, value: Value::String(name.trim().to_owned()) };
                one(&node, None, notices);
            }
        }
    }
}

fn one_user(node: &Node, name: Option<AccountName>, notices: &mut Notices) -> Option<User> {
    let mut fields = Fields::of(node, "users", notices)?;
    let given = fields.checked("name");
    if given.is_none() && fields.take("name").is_some() {
        return None;
    }
    let Some(name) = given.or(name) else {
        let place = fields.place;
        fields.notices.error(place, "users: a user without a name");
        return None;
    };
    let mut user = User::named(name);
    user.full_name = fields.checked("gecos");
    user.uid = fields.number("uid");
    user.home = fields.checked::<TargetPath>("homedir");
    user.shell = fields.checked("shell");
    user.group = fields.checked("primary_group").or_else(|| fields.checked("primary-group"));
    user.groups = fields.checked_words("groups");
    if fields.truth("no_user_group").or_else(|| fields.truth("no-user-group")) == Some(true)
        && user.group.is_none()
    {
        user.group = AccountName::parse("users").ok();
    }
    let no_home = fields.truth("no_create_home").or_else(|| fields.truth("no-create-home"));
    user.create_home = no_home.map(|no| !no);
    user.system = fields.truth("system").unwrap_or(false);
    user.expires = fields.checked("expiredate");
    user.ssh_keys = fields.checked_list("ssh_authorized_keys");
    user.ssh_keys.extend(fields.checked_list::<Line>("ssh-authorized-keys"));
    let locked = fields.truth("lock_passwd").or_else(|| fields.truth("lock-passwd"));
    user.locked = Some(locked.unwrap_or(true));
    let password = fields.take_any(&["plain_text_passwd", "hashed_passwd", "passwd"]);
    if let Some(node) = password {
        user.password = text(node, "passwd", fields.notices).map(Secret::Plain);
        if locked.is_none() {
            fields.notices.warn(node.place, format!("the password of {} is set and locked", user.name));
            fields.notices.hint("lock_passwd is true unless lock_passwd: false is said");
        }
    }
    sudo(&mut fields, &mut user);
    fields.without_meaning(&["inactive", "selinux_user", "snapuser", "doas"], "nothing of the kind is done");
    fields.without_meaning(
        &["ssh_import_id", "ssh_redirect_user"],
        "give the keys themselves as ssh_authorized_keys",
    );
    let _ = fields.truth("create_groups");
    fields.finish();
    Some(user)
}

fn sudo(fields: &mut Fields<'_, '_>, user: &mut User) {
    match fields.take("sudo") {
        None | Some(Node { value: Value::Bool { value: false, .. }, .. }) => {}
        Some(Node { value: Value::List(list), .. }) => {
            for node in list {
                if let Some(rule) = text(node, "sudo", fields.notices) {
                    user.sudo.extend(checked::<Line>(&rule, node.place, "sudo", fields.notices));
                }
            }
        }
        Some(node) => {
            if let Some(rule) = text(node, "sudo", fields.notices) {
                user.sudo.extend(checked::<Line>(&rule, node.place, "sudo", fields.notices));
            }
        }
    }
}

fn passwords(fields: &mut Fields<'_, '_>, default: &mut Default, document: &mut Document) {
    let mut expire = true;
    if let Some(node) = fields.take("chpasswd")
        && let Some(mut inner) = Fields::of(node, "chpasswd", fields.notices)
    {
        expire = inner.truth("expire").unwrap_or(true);
        let mut set = |name: &str, password: &str, place, notices: &mut Notices| {
            if matches!(password, "R" | "RANDOM") {
                notices.warn(place, format!("no password is made for {name}"));
                notices.hint("give a password or its hash");
                return;
            }
            let Some(name) = checked::<AccountName>(name, place, "chpasswd", notices) else { return };
            let at = document.users.iter().position(|user| user.name == name).unwrap_or_else(|| {
                document.users.push(User::named(name));
                document.users.len() - 1
            });
            let user = &mut document.users[at];
            user.password = Some(Secret::Plain(password.to_owned()));
            user.expire_password = expire;
            user.locked = Some(false);
        };
        for node in inner.list("list") {
            for line in node.text().unwrap_or_default().lines().filter(|line| !line.trim().is_empty()) {
                match line.trim().split_once(':') {
                    Some((name, password)) => set(name, password, node.place, inner.notices),
                    None => inner.notices.error(node.place, "chpasswd: a line without a colon"),
                }
            }
        }
        for node in inner.list("users") {
            let Some(mut one) = Fields::of(node, "chpasswd", inner.notices) else { continue };
            let (name, kind) = (one.text("name").unwrap_or_default(), one.text("type"));
            let password = one.text("password").unwrap_or_else(|| "RANDOM".to_owned());
            let password = if kind.as_deref() == Some("RANDOM") { "RANDOM".to_owned() } else { password };
            set(&name, &password, node.place, one.notices);
            one.finish();
        }
        inner.finish();
    }
    if let Some(password) = fields.text("password") {
        default.user.password = Some(Secret::Plain(password));
        default.user.locked = Some(false);
        default.user.expire_password = expire;
        default.wanted = true;
    }
}

fn ssh(fields: &mut Fields<'_, '_>, default: &mut Default, document: &mut Document) {
    let keys: Vec<Line> = fields.checked_list("ssh_authorized_keys");
    if !keys.is_empty() {
        default.wanted = true;
        default.user.ssh_keys.extend(keys);
    }
    if let Some(node) = fields.take("ssh_pwauth") {
        document.ssh.password_login = match node.text() {
            Some("unchanged") => None,
            Some(text) => crate::value::decode::truth(text),
            None => None,
        };
    }
    match fields.truth("disable_root") {
        Some(true) => document.ssh.root_login = Some(RootLogin::No),
        Some(false) => document.ssh.root_login = Some(RootLogin::KeysOnly),
        None => {}
    }
    if let Some(node) = fields.take("ssh_keys")
        && let Some(mut keys) = Fields::of(node, "ssh_keys", fields.notices)
    {
        let kinds = [
            (HostKeyKind::Rsa, ["rsa_private", "rsa_public", "rsa_certificate"]),
            (HostKeyKind::Ecdsa, ["ecdsa_private", "ecdsa_public", "ecdsa_certificate"]),
            (HostKeyKind::Ed25519, ["ed25519_private", "ed25519_public", "ed25519_certificate"]),
        ];
        for (kind, [private, public, certificate]) in kinds {
            let (public, certificate) = (keys.text(public), keys.text(certificate));
            let line = |text: Option<String>| text.and_then(|text| Line::parse(text.trim()).ok());
            if let Some(private) = keys.text(private) {
                let key = HostKey {
                    kind,
                    private: Secret::Plain(private),
                    public: line(public),
                    certificate: line(certificate),
                };
                document.ssh.host_keys.push(key);
            }
        }
        keys.finish();
    }
    fields.without_meaning(&["ssh_import_id"], "give the keys themselves as ssh_authorized_keys");
    fields.without_meaning(
        &[
            "disable_root_opts",
            "ssh_deletekeys",
            "ssh_genkeytypes",
            "no_ssh_fingerprints",
            "allow_public_ssh_keys",
        ],
        "the ssh server makes the keys that are missing",
    );
}
