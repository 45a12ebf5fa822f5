//! Units of systemd: what `systemctl enable|disable|mask` do to a root directory, without running it.

use rustix::fs::FileType;

use super::ActionError;
use super::root::Root;
use crate::plan::UnitState;
use crate::text::{Line, TargetPath, UnitName};

const OWN: &str = "/etc/systemd/system";
const PLACES: [&str; 5] = [
    OWN,
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/system",
];
/// How many units one may bring along.
const MAX_ALSO: usize = 32;

pub(super) fn set(
    root: &Root,
    name: &UnitName,
    state: UnitState,
    optional: bool,
) -> Result<bool, ActionError> {
    match state {
        UnitState::Enabled => enable(root, name, optional),
        UnitState::Disabled => disable(root, name),
        UnitState::Masked => mask(root, name),
    }
}

fn enable(root: &Root, name: &UnitName, optional: bool) -> Result<bool, ActionError> {
    let mut changed = false;
    let mut names = vec![name.clone()];
    let mut at = 0;
    while let Some(name) = names.get(at).cloned() {
        at += 1;
        if root.link_target(&format!("{OWN}/{name}")).as_deref() == Some("/dev/null") {
            changed |= root.remove(&format!("{OWN}/{name}"))?;
        }
        let Some((path, text)) = find(root, &name)? else {
            let why = format!("the machine has no unit {name}");
            match (at, optional) {
                (1, true) => return Err(ActionError::Skipped(why)),
                (1, false) => return Err(ActionError::Refused(why)),
                _ => continue,
            }
        };
        // One that was found by its alias is linked by its own name.
        let own = path.rsplit_once('/').and_then(|(_, file)| UnitName::parse(file).ok());
        let name = own.filter(|own| !own.contains("@.")).unwrap_or(name);
        let install = Install::parse(&text, &name);
        for (directory, targets) in [("wants", &install.wanted_by), ("requires", &install.required_by)] {
            for target in targets {
                changed |= link(root, &format!("{OWN}/{target}.{directory}/{name}"), &path)?;
            }
        }
        for alias in install.alias.iter().filter(|alias| **alias != name) {
            changed |= link(root, &format!("{OWN}/{alias}"), &path)?;
        }
        for other in install.also {
            if !names.contains(&other) && names.len() < MAX_ALSO {
                names.push(other);
            }
        }
    }
    Ok(changed)
}

fn disable(root: &Root, name: &UnitName) -> Result<bool, ActionError> {
    let mut changed = false;
    for (directory, kind) in root.names(OWN)? {
        let path = format!("{OWN}/{directory}");
        if kind == FileType::Directory && (directory.ends_with(".wants") || directory.ends_with(".requires"))
        {
            changed |= root.remove(&format!("{path}/{name}"))?;
        } else if kind == FileType::Symlink {
            let target = root.link_target(&path).unwrap_or_default();
            if target.ends_with(&format!("/{name}")) {
                changed |= root.remove(&path)?;
            }
        }
    }
    Ok(changed)
}

fn mask(root: &Root, name: &UnitName) -> Result<bool, ActionError> {
    let path = format!("{OWN}/{name}");
    if root.link_target(&path).is_none() && root.exists(&path) {
        return Err(ActionError::Refused(format!(
            "{path} is a file: disable the unit instead of masking it"
        )));
    }
    let changed = disable(root, name)?;
    Ok(link(root, &path, "/dev/null")? || changed)
}

fn link(root: &Root, path: &str, target: &str) -> Result<bool, ActionError> {
    let refused = |_| ActionError::Refused(format!("{path} can't be made a link"));
    root.link(&TargetPath::parse(path).map_err(refused)?, &Line::parse(target).map_err(refused)?)
}

/// A unit's file: its path and its text. An instance has its template's.
fn find(root: &Root, name: &UnitName) -> Result<Option<(String, String)>, ActionError> {
    let template = match (name.split_once('@'), name.rsplit_once('.')) {
        (Some((stem, _)), Some((_, suffix))) => format!("{stem}@.{suffix}"),
        _ => name.to_string(),
    };
    for place in PLACES {
        for file in [name.as_str(), template.as_str()] {
            let path = format!("{place}/{file}");
            if let Some(existing) = root.read(&path)? {
                return Ok(Some((path, String::from_utf8_lossy(&existing.bytes).into_owned())));
            }
        }
    }
    by_alias(root, name)
}

/// The unit that would be called so if it were enabled.
fn by_alias(root: &Root, name: &UnitName) -> Result<Option<(String, String)>, ActionError> {
    let Some((_, suffix)) = name.rsplit_once('.') else { return Ok(None) };
    for place in PLACES {
        for (file, kind) in root.names(place)? {
            let plausible = kind == FileType::RegularFile && file.ends_with(suffix) && !file.contains('@');
            let Ok(other) = UnitName::parse(file) else { continue };
            if !plausible {
                continue;
            }
            let path = format!("{place}/{other}");
            let Some(existing) = root.read(&path)? else { continue };
            let text = String::from_utf8_lossy(&existing.bytes).into_owned();
            if Install::parse(&text, &other).alias.contains(name) {
                return Ok(Some((path, text)));
            }
        }
    }
    Ok(None)
}

/// What a unit says of its own installation.
#[derive(Default)]
struct Install {
    wanted_by: Vec<UnitName>,
    required_by: Vec<UnitName>,
    alias: Vec<UnitName>,
    also: Vec<UnitName>,
}

impl Install {
    fn parse(text: &str, name: &UnitName) -> Self {
        let mut install = Self::default();
        let mut inside = false;
        let instance = name
            .split_once('@')
            .and_then(|(_, rest)| rest.rsplit_once('.'))
            .map_or("", |(instance, _)| instance);
        for line in text.replace("\\\n", " ").lines().map(str::trim) {
            if line.starts_with('[') {
                inside = line == "[Install]";
            }
            let Some((key, value)) = line.split_once('=').filter(|_| inside && !line.starts_with(['#', ';']))
            else {
                continue;
            };
            let list = match key.trim() {
                "WantedBy" | "UpheldBy" => &mut install.wanted_by,
                "RequiredBy" => &mut install.required_by,
                "Alias" => &mut install.alias,
                "Also" => &mut install.also,
                _ => continue,
            };
            let value = value.replace("%i", instance).replace("%n", name);
            list.extend(value.split_whitespace().filter_map(|unit| UnitName::parse(unit).ok()));
        }
        install
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_install_section_is_read() {
        let name = UnitName::parse("a@b.service").unwrap();
        let text = "[Unit]\nWantedBy=no.target\n[Install]\n# x\nWantedBy=multi-user.target \\\n x-%i.target\nAlias=c.service\n";
        let install = Install::parse(text, &name);
        assert_eq!(install.wanted_by.len(), 2);
        assert_eq!(install.wanted_by[1].as_str(), "x-b.target");
        assert_eq!(install.alias[0].as_str(), "c.service");
    }
}
