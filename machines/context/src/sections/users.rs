//! `[[users]]` and `[[groups]]`: who there is, how they log in, what they may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Item, later, longer};
use crate::plan::{self, Action, Content, Planner};
use crate::secret::Secret;
use crate::text::{AccountName, Line, Owner, TargetPath};

/// A group of users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Group {
    /// Its name.
    pub name: AccountName,
    /// Its number.
    pub gid: Option<u32>,
    /// Whether it is one of the system's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub system: bool,
    /// Users who are in it.
    #[serde(default)]
    pub members: Vec<AccountName>,
}

/// A user. One who is there already is changed in what is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct User {
    /// Their name.
    pub name: AccountName,
    /// Their number.
    pub uid: Option<u32>,
    /// Their own group, by default one of their own name.
    pub group: Option<AccountName>,
    /// Further groups; made where they don't exist.
    #[serde(default)]
    pub groups: Vec<AccountName>,
    /// Their full name.
    pub full_name: Option<Line>,
    /// Their home directory; `/home/NAME` without.
    pub home: Option<TargetPath>,
    /// Whether that is made from `/etc/skel`; yes without.
    pub create_home: Option<bool>,
    /// Their shell.
    pub shell: Option<TargetPath>,
    /// Whether it is an account of the system's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub system: bool,
    /// Their password, or its hash as shadow(5) has it.
    pub password: Option<Secret>,
    /// Whether they must choose a new password at the first log-in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expire_password: bool,
    /// Whether logging in with a password is impossible.
    pub locked: Option<bool>,
    /// The day on which the account ends, as in 2030-12-31.
    pub expires: Option<Line>,
    /// Public ssh keys.
    #[serde(default)]
    pub ssh_keys: Vec<Line>,
    /// Whether they may do everything as root, without a password.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admin: bool,
    /// What else they may do, as sudoers(5) says it behind the name: `ALL=(ALL) /usr/bin/systemctl`.
    #[serde(default)]
    pub sudo: Vec<Line>,
}

impl User {
    /// A user of whom only the name is known.
    pub fn named(name: AccountName) -> Self {
        Self {
            name,
            uid: None,
            group: None,
            groups: Vec::new(),
            full_name: None,
            home: None,
            create_home: None,
            shell: None,
            system: false,
            password: None,
            expire_password: false,
            locked: None,
            expires: None,
            ssh_keys: Vec::new(),
            admin: false,
            sudo: Vec::new(),
        }
    }
}

impl Item for Group {
    fn is(&self, other: &Self) -> bool {
        self.name == other.name
    }

    fn replace(&mut self, other: Self) {
        later(&mut self.gid, other.gid);
        self.system |= other.system;
        longer(&mut self.members, other.members);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        planner.act(Action::Group(plan::Group {
            name: self.name.clone(),
            gid: self.gid,
            system: self.system,
            members: self.members.clone(),
        }));
    }
}

impl Item for User {
    fn is(&self, other: &Self) -> bool {
        self.name == other.name
    }

    fn replace(&mut self, other: Self) {
        later(&mut self.uid, other.uid);
        later(&mut self.group, other.group);
        longer(&mut self.groups, other.groups);
        later(&mut self.full_name, other.full_name);
        later(&mut self.home, other.home);
        later(&mut self.create_home, other.create_home);
        later(&mut self.shell, other.shell);
        self.system |= other.system;
        if other.password.is_some() {
            self.expire_password = other.expire_password;
            self.password = other.password;
        }
        later(&mut self.locked, other.locked);
        later(&mut self.expires, other.expires);
        longer(&mut self.ssh_keys, other.ssh_keys);
        self.admin |= other.admin;
        longer(&mut self.sudo, other.sudo);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        let expires = self.expires.as_ref().and_then(|date| {
            let days = days_since_1970(date);
            if days.is_none() {
                let hint = "write it as 2030-12-31";
                planner.refuse(format!("{date:?}, when {} expires, is no date", self.name), Some(hint));
            }
            days
        });
        planner.act(Action::User(plan::User {
            name: self.name.clone(),
            uid: self.uid,
            group: self.group.clone(),
            groups: self.groups.clone(),
            comment: self.full_name.clone(),
            home: self.home.clone(),
            create_home: self.create_home.unwrap_or(true),
            shell: self.shell.clone(),
            system: self.system,
            locked: self.locked,
            expires,
        }));
        if let Some(password) = &self.password {
            let (user, expire) = (self.name.clone(), self.expire_password);
            let (password, locked) = (password.clone(), self.locked.unwrap_or(false));
            planner.act(Action::Password { user, password, expire, locked });
        }
        if !self.ssh_keys.is_empty() {
            planner.act(Action::AuthorizedKeys { user: self.name.clone(), keys: self.ssh_keys.clone() });
        }
        self.plan_sudo(planner);
    }

    fn secrets(&mut self, show: &mut dyn FnMut(&mut Secret)) {
        self.password.iter_mut().for_each(show);
    }
}

impl User {
    fn plan_sudo(&self, planner: &mut Planner<'_>) {
        let mut rules = String::new();
        if self.admin {
            rules += &format!("{} ALL=(ALL:ALL) NOPASSWD: ALL\n", self.name);
        }
        for rule in &self.sudo {
            if rule.ends_with('\\') {
                planner.refuse(format!("the rule {rule:?} of {} ends in a backslash", self.name), None);
                continue;
            }
            rules += &format!("{} {rule}\n", self.name);
        }
        if !rules.is_empty() {
            // sudo passes over files with a dot in their name.
            let path = format!("/etc/sudoers.d/90-varve-{}", self.name.replace('.', "_"));
            planner.file_with(&path, Content::Text(rules), 0o440, Owner::root());
        }
    }
}

/// `2030-12-31` in days since 1970.
fn days_since_1970(date: &str) -> Option<u32> {
    let date: jiff::civil::Date = date.trim().parse().ok()?;
    let epoch = jiff::civil::date(1970, 1, 1);
    let days = date.since((jiff::Unit::Day, epoch)).ok()?.get_days();
    u32::try_from(days).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days() {
        assert_eq!(days_since_1970("1970-01-02"), Some(1));
        assert_eq!(days_since_1970("2030-12-31"), Some(22279));
        assert_eq!(days_since_1970("31.12.2030"), None);
    }
}
