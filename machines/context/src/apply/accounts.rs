//! Users and groups: passwd(5), group(5), shadow(5), gshadow(5), edited as `useradd` and `groupadd` would.
//!
//! Lines that nobody asked to change stay byte for byte. The files are written group first, so that what is cut off in the
//! middle is completed by doing it again.

mod home;
mod table;

pub(super) use home::authorized_keys;
use table::{Table, number};

use super::ActionError;
use super::root::Root;
use crate::plan::{Group, User};
use crate::text::{AccountName, Owner};

/// The accounts of a root directory.
pub(super) struct Accounts<'a> {
    root: &'a Root,
    pub(super) passwd: Table,
    group: Table,
    pub(super) shadow: Table,
    gshadow: Table,
    ranges: Ranges,
}

/// Where numbers are taken from.
struct Ranges {
    users: (u32, u32),
    system: (u32, u32),
    home_mode: u32,
}

/// An account as it stands in passwd(5).
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: String,
}

impl<'a> Accounts<'a> {
    pub(super) fn read(root: &'a Root) -> Result<Self, ActionError> {
        Ok(Self {
            root,
            passwd: Table::read(root, "/etc/passwd", 0o644)?,
            group: Table::read(root, "/etc/group", 0o644)?,
            shadow: Table::read(root, "/etc/shadow", 0o640)?,
            gshadow: Table::read(root, "/etc/gshadow", 0o640)?,
            ranges: Ranges::read(root)?,
        })
    }

    /// Writes what was changed; whether anything was.
    pub(super) fn write(&mut self) -> Result<bool, ActionError> {
        let mut changed = false;
        for table in [&mut self.group, &mut self.gshadow, &mut self.shadow, &mut self.passwd] {
            changed |= table.write(self.root)?;
        }
        Ok(changed)
    }

    /// Makes a group and puts its members into it.
    pub(super) fn group(mut self, group: &Group) -> Result<bool, ActionError> {
        self.ensure_group(&group.name, group.gid, group.system)?;
        for member in &group.members {
            self.join(&group.name, member);
        }
        self.write()
    }

    /// An account of that name.
    pub(super) fn account(&self, name: &str) -> Option<Account> {
        let row = self.passwd.row(name)?;
        let home = String::from_utf8_lossy(row.field(5)).into_owned();
        Some(Account { uid: row.number(2)?, gid: row.number(3)?, home })
    }

    /// The numbers of a file's owner.
    pub(super) fn owner(&self, owner: &Owner) -> Result<(u32, u32), ActionError> {
        let unknown = |what: &str, name: &str| {
            ActionError::Refused(format!("there is no {what} {name} in the machine to own the file"))
        };
        let (uid, own_group) = match (number(owner.user.as_bytes()), self.account(&owner.user)) {
            (_, Some(account)) => (account.uid, account.gid),
            (Some(uid), None) => (uid, uid),
            (None, None) if owner.user == "root" => (0, 0),
            (None, None) => return Err(unknown("user", &owner.user)),
        };
        let gid = match &owner.group {
            None => own_group,
            Some(group) => match self.gid(group) {
                Some(gid) => gid,
                None if group == "root" => 0,
                None => number(group.as_bytes()).ok_or_else(|| unknown("group", group))?,
            },
        };
        Ok((uid, gid))
    }

    fn gid(&self, name: &str) -> Option<u32> {
        self.group.row(name)?.number(2)
    }

    fn ensure_group(
        &mut self,
        name: &AccountName,
        gid: Option<u32>,
        system: bool,
    ) -> Result<u32, ActionError> {
        if let Some(there) = self.gid(name) {
            return match gid {
                Some(gid) if gid != there => {
                    Err(ActionError::Refused(format!("the group {name} is there already, as number {there}")))
                }
                _ => Ok(there),
            };
        }
        let gid = match gid {
            Some(gid) if self.group.has_number(2, gid) => {
                return Err(ActionError::Refused(format!(
                    "the number {gid} belongs to another group than {name}"
                )));
            }
            Some(gid) => gid,
            None => free(self.range(system), system, |gid| self.group.has_number(2, gid))
                .ok_or_else(|| full("group"))?,
        };
        self.group.add(&format!("{name}:x:{gid}:"));
        self.ensure_gshadow(name);
        Ok(gid)
    }

    fn ensure_gshadow(&mut self, name: &str) {
        if self.gshadow.row(name).is_none() {
            self.gshadow.add(&format!("{name}:!::"));
        }
    }

    /// Puts a user into a group that is there.
    fn join(&mut self, group: &str, user: &str) {
        self.group.add_member(group, 3, user);
        self.ensure_gshadow(group);
        self.gshadow.add_member(group, 3, user);
    }

    fn range(&self, system: bool) -> (u32, u32) {
        if system { self.ranges.system } else { self.ranges.users }
    }
}

/// Makes a user, or changes one in what is given; and their home directory.
pub(super) fn user(root: &Root, user: &User, days: u32) -> Result<bool, ActionError> {
    let mut accounts = Accounts::read(root)?;
    let account = match accounts.account(&user.name) {
        Some(account) => {
            change(&mut accounts, user, &account)?;
            account
        }
        None => add(&mut accounts, user)?,
    };
    for group in &user.groups {
        accounts.ensure_group(group, None, true)?;
        accounts.join(group, &user.name);
    }
    if accounts.shadow.row(&user.name).is_none() {
        accounts.shadow.add(&format!("{}:!:{days}:0:99999:7:::", user.name));
    }
    lock(&mut accounts, user);
    if let Some(day) = user.expires {
        accounts.shadow.set(&user.name, 7, day.to_string().as_bytes());
    }
    let home = accounts.account(&user.name).map_or(account.home, |account| account.home);
    let home_mode = accounts.ranges.home_mode;
    let mut changed = accounts.write()?;
    if user.create_home && !user.system {
        changed |= home::make(root, &home, account.uid, account.gid, home_mode)?;
    }
    Ok(changed)
}

fn add(accounts: &mut Accounts<'_>, user: &User) -> Result<Account, ActionError> {
    let name = &user.name;
    let taken = |uid: u32| accounts.passwd.has_number(2, uid);
    let uid = match user.uid {
        Some(uid) if taken(uid) => {
            return Err(ActionError::Refused(format!(
                "the number {uid} belongs to another user than {name}"
            )));
        }
        Some(uid) => uid,
        // The same number for the user and their own group, where that can be.
        None => free(accounts.range(user.system), user.system, |id| {
            taken(id) || (user.group.is_none() && accounts.group.has_number(2, id))
        })
        .ok_or_else(|| full("user"))?,
    };
    let gid = match &user.group {
        Some(group) => accounts.ensure_group(group, None, user.system)?,
        None => {
            let own = (!accounts.group.has_number(2, uid)).then_some(uid);
            match accounts.gid(name) {
                Some(gid) => gid,
                None => accounts.ensure_group(name, own, user.system)?,
            }
        }
    };
    let home = user.home.as_ref().map_or_else(|| format!("/home/{name}"), ToString::to_string);
    let shell = user.shell.as_deref().unwrap_or(if user.system { "/usr/sbin/nologin" } else { "/bin/bash" });
    for (what, text) in
        [("full name", user.comment.as_deref()), ("home", Some(&*home)), ("shell", Some(shell))]
    {
        check_field(what, text)?;
    }
    let comment = user.comment.as_deref().unwrap_or_default();
    accounts.passwd.add(&format!("{name}:x:{uid}:{gid}:{comment}:{home}:{shell}"));
    Ok(Account { uid, gid, home })
}

fn change(accounts: &mut Accounts<'_>, user: &User, account: &Account) -> Result<(), ActionError> {
    let name = &user.name;
    if let Some(uid) = user.uid.filter(|uid| *uid != account.uid) {
        let message = format!("the user {name} is there already, as number {} and not {uid}", account.uid);
        return Err(ActionError::Refused(message));
    }
    if let Some(group) = &user.group {
        let gid = accounts.ensure_group(group, None, user.system)?;
        accounts.passwd.set(name, 3, gid.to_string().as_bytes());
    }
    let fields = [
        (4, "full name", user.comment.as_deref()),
        (5, "home", user.home.as_deref()),
        (6, "shell", user.shell.as_deref()),
    ];
    for (field, what, text) in fields {
        check_field(what, text)?;
        if let Some(text) = text {
            accounts.passwd.set(name, field, text.as_bytes());
        }
    }
    Ok(())
}

/// A colon would begin another field.
fn check_field(what: &str, text: Option<&str>) -> Result<(), ActionError> {
    match text {
        Some(text) if text.contains([':', '\n']) => {
            Err(ActionError::Refused(format!("a {what} can't have a colon: {text:?}")))
        }
        _ => Ok(()),
    }
}

fn lock(accounts: &mut Accounts<'_>, user: &User) {
    let Some(locked) = user.locked else { return };
    let Some(row) = accounts.shadow.row(&user.name) else { return };
    let hash = row.field(1).to_vec();
    if locked && !hash.starts_with(b"!") {
        accounts.shadow.set(&user.name, 1, &[b"!", hash.as_slice()].concat());
    } else if !locked && hash.starts_with(b"!") && hash.len() > 1 {
        accounts.shadow.set(&user.name, 1, &hash[1..]);
    }
}

impl Ranges {
    fn read(root: &Root) -> Result<Self, ActionError> {
        let text = root.read("/etc/login.defs")?.map(|existing| existing.bytes).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let value = |key: &str| {
            let mut words = text
                .lines()
                .map(str::split_whitespace)
                .filter_map(|mut words| Some((words.next()?, words.next()?)));
            words.find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        let number = |key: &str, usual: u32| value(key).and_then(|value| value.parse().ok()).unwrap_or(usual);
        let home_mode =
            value("HOME_MODE").and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0o700);
        Ok(Self {
            users: (number("UID_MIN", 1000), number("UID_MAX", 60_000)),
            system: (number("SYS_UID_MIN", 201), number("SYS_UID_MAX", 999)),
            home_mode: home_mode & 0o777,
        })
    }
}

/// The lowest free number, or the highest of the system's.
fn free((low, high): (u32, u32), system: bool, taken: impl Fn(u32) -> bool) -> Option<u32> {
    if system { (low..=high).rev().find(|id| !taken(*id)) } else { (low..=high).find(|id| !taken(*id)) }
}

fn full(what: &str) -> ActionError {
    ActionError::Refused(format!("no number is free for another {what}"))
}
