//! A plan for people: each step in a line, with what is written beneath. Secrets are never shown.

use std::fmt::{self, Write as _};

use super::{Action, Content, Placement, Plan, Step, UnitState};

/// The step in a line, without what is written.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.section)?;
        match &self.action {
            Action::Group(group) => {
                write!(f, "group {}", group.name)?;
                group.gid.map_or(Ok(()), |gid| write!(f, ", number {gid}"))
            }
            Action::User(user) => {
                write!(f, "user {}", user.name)?;
                if let Some(uid) = user.uid {
                    write!(f, ", number {uid}")?;
                }
                if let Some(group) = &user.group {
                    write!(f, ", group {group}")?;
                }
                if !user.groups.is_empty() {
                    let groups: Vec<&str> = user.groups.iter().map(|group| group.as_str()).collect();
                    write!(f, ", also in {}", groups.join(", "))?;
                }
                if user.locked == Some(true) {
                    f.write_str(", no password")?;
                }
                Ok(())
            }
            Action::Password { user, expire, locked, .. } => {
                write!(f, "password of {user}")?;
                if *locked {
                    f.write_str(", locked")?;
                }
                if *expire {
                    f.write_str(", to be changed at the first log-in")?;
                }
                Ok(())
            }
            Action::AuthorizedKeys { user, keys } => {
                write!(f, "{} for {user}", counted(keys.len(), "ssh key"))
            }
            Action::Directory { path, mode, owner } => write!(f, "directory {path} {mode} {owner}"),
            Action::File(file) => {
                let how = match file.placement {
                    Placement::Replace => "file",
                    Placement::Append => "add to file",
                    Placement::Keep => "file, if it isn't there,",
                };
                write!(f, "{how} {} {} {}", file.path, file.mode, file.owner)
            }
            Action::Lines { path, lines, .. } => write!(f, "{} in {path}", counted(lines.len(), "line")),
            Action::Link { path, target } => write!(f, "link {path} -> {target}"),
            Action::Remove { path } => write!(f, "remove {path}"),
            Action::Unit { name, state, optional } => {
                let verb = match state {
                    UnitState::Enabled => "enable",
                    UnitState::Disabled => "disable",
                    UnitState::Masked => "mask",
                };
                write!(f, "{verb} {name}{}", if *optional { ", if it is there" } else { "" })
            }
        }
    }
}

/// All steps, each with what it writes, indented.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
            match &step.action {
                Action::File(file) => f.write_str(&content(&file.content))?,
                Action::Lines { lines, .. } => lines.iter().try_for_each(|line| writeln!(f, "    {line}"))?,
                Action::AuthorizedKeys { keys, .. } => {
                    keys.iter().try_for_each(|key| writeln!(f, "    {key}"))?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn content(content: &Content) -> String {
    let mut text = String::new();
    match content {
        Content::Text(lines) => {
            for line in lines.lines() {
                // What could move a terminal's cursor is shown as it would be written.
                let line: String = line
                    .chars()
                    .flat_map(|c| {
                        if c.is_control() && c != '\t' {
                            c.escape_default().to_string()
                        } else {
                            c.to_string()
                        }
                        .chars()
                        .collect::<Vec<_>>()
                    })
                    .collect();
                let _ = writeln!(text, "    {line}");
            }
        }
        Content::Bytes(bytes) => {
            let _ = writeln!(text, "    ({} bytes)", bytes.len());
        }
        Content::Secret(_) => text += "    (secret)\n",
    }
    text
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
