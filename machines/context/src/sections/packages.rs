//! `[packages]`: what is installed at the first boot, on top of the operating system that was streamed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, longer};
use crate::plan::{Planner, Stage};
use crate::quote;
use crate::text::{Line, Name};

/// Packages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Packages {
    /// Whether the lists of packages are fetched anew, even when nothing is installed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refresh: bool,
    /// Whether everything that is installed is updated.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub upgrade: bool,
    /// Packages to install, with `=VERSION` where one is meant.
    pub install: Vec<Package>,
    /// Packages to remove.
    pub remove: Vec<Name>,
    /// Whether the machine boots once more when an update wants it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reboot_if_required: bool,
    /// Where packages come from, for apt.
    pub apt_sources: Vec<AptSource>,
    /// Where packages come from, for dnf.
    pub dnf_sources: Vec<DnfSource>,
}

/// A package, with or without its version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Package {
    /// Its name.
    pub name: Name,
    /// Its version; the newest without.
    pub version: Option<Name>,
}

/// A source of packages for apt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AptSource {
    /// The file's name.
    pub name: Name,
    /// A line as sources.list(5) has it; `$KEY` is where the key is, `$RELEASE` the release's code name.
    pub line: Line,
    /// The key that signs it, as ASCII armor.
    pub key: Option<String>,
}

/// A source of packages for dnf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DnfSource {
    /// Its id.
    pub name: Name,
    /// Its settings, as dnf.conf(5) has them: `baseurl`, `gpgkey`, `enabled`.
    pub settings: std::collections::BTreeMap<crate::text::VariableName, Line>,
}

impl Section for Packages {
    fn merge(&mut self, later: Self) {
        self.refresh |= later.refresh;
        self.upgrade |= later.upgrade;
        self.reboot_if_required |= later.reboot_if_required;
        for package in later.install {
            self.install.retain(|other| other.name != package.name);
            self.install.push(package);
        }
        longer(&mut self.remove, later.remove);
        self.apt_sources.retain(|source| !later.apt_sources.iter().any(|other| other.name == source.name));
        self.apt_sources.extend(later.apt_sources);
        self.dnf_sources.retain(|source| !later.dnf_sources.iter().any(|other| other.name == source.name));
        self.dnf_sources.extend(later.dnf_sources);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        self.plan_sources(planner);
        if self.refresh || self.upgrade || !self.install.is_empty() || !self.remove.is_empty() {
            planner.shell(Stage::Network, "packages", &self.script());
        }
    }
}

impl Packages {
    fn plan_sources(&self, planner: &mut Planner<'_>) {
        for source in &self.apt_sources {
            let mut line = source.line.to_string();
            if let Some(key) = &source.key {
                let path = format!("/etc/apt/keyrings/{}.asc", source.name);
                planner.file(&path, key.as_str());
                line =
                    if line.contains("$KEY") { line.replace("$KEY", &path) } else { signed_by(&line, &path) };
            }
            if line.contains("$RELEASE") {
                let body = format!(
                    ". /etc/os-release\nprintf '%s\\n' {} | sed \"s/[$]RELEASE/$VERSION_CODENAME/g\" > {}\n",
                    quote::shell(&line),
                    quote::shell(&format!("/etc/apt/sources.list.d/{}.list", source.name)),
                );
                planner.shell(Stage::Network, &format!("source-{}", source.name), &body);
            } else {
                planner.file(&format!("/etc/apt/sources.list.d/{}.list", source.name), format!("{line}\n"));
            }
        }
        for source in &self.dnf_sources {
            let mut text = format!("[{}]\n", source.name);
            for (name, value) in &source.settings {
                text += &format!("{name}={value}\n");
            }
            planner.file(&format!("/etc/yum.repos.d/{}.repo", source.name), text);
        }
    }

    /// What the package manager is told, whichever there is.
    fn script(&self) -> String {
        let names = |separator: &str| {
            let names = self.install.iter().map(|package| match &package.version {
                Some(version) => format!("{}{separator}{version}", package.name),
                None => package.name.to_string(),
            });
            names.map(|name| quote::shell(&name)).collect::<Vec<_>>().join(" ")
        };
        let removed = quote::shell_words(self.remove.iter().map(Name::as_str));
        let mut apt = String::from("    export DEBIAN_FRONTEND=noninteractive\n    apt-get -q update\n");
        let mut dnf = String::from("    dnf -q makecache\n");
        if self.upgrade {
            apt += "    apt-get -q -y upgrade\n";
            dnf += "    dnf -y upgrade\n";
        }
        if !self.install.is_empty() {
            apt += &format!("    apt-get -q -y install -- {}\n", names("="));
            dnf += &format!("    dnf -y install -- {}\n", names("-"));
        }
        if !self.remove.is_empty() {
            apt += &format!("    apt-get -q -y remove -- {removed}\n");
            dnf += &format!("    dnf -y remove -- {removed}\n");
        }
        let reboot = if self.reboot_if_required {
            "[ ! -e /run/reboot-required ] || systemctl --no-block reboot\n"
        } else {
            ""
        };
        format!(
            "if command -v apt-get >/dev/null; then\n{apt}elif command -v dnf >/dev/null; then\n{dnf}else\n    echo 'neither apt-get nor dnf is there' >&2\n    exit 1\nfi\n{reboot}"
        )
    }
}

/// Puts the key into a line that doesn't name one.
fn signed_by(line: &str, path: &str) -> String {
    match line.split_once(char::is_whitespace) {
        Some((kind, rest)) if !rest.trim_start().starts_with('[') => {
            format!("{kind} [signed-by={path}] {}", rest.trim_start())
        }
        _ => line.to_owned(),
    }
}
