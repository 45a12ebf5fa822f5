//! `[machine]`: the machine's name, place and language.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later, longer};
use crate::plan::{Action, Planner, Stage};
use crate::quote;
use crate::text::{HostName, Line, Name, TargetPath, Word};

/// What the machine is called, and where and in which language it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Machine {
    /// Its name, with or without its domain.
    pub hostname: Option<HostName>,
    /// Whether `/etc/hosts` knows that name as the machine itself; yes without.
    pub manage_hosts: Option<bool>,
    /// The time zone, such as Europe/Zurich.
    pub timezone: Option<Word>,
    /// The language, such as en_GB.UTF-8.
    pub locale: Option<Word>,
    /// The keyboard's layout, such as de.
    pub keyboard: Option<Name>,
    /// The layout's variant.
    pub keyboard_variant: Option<Name>,
    /// Time servers.
    pub time_servers: Vec<Word>,
    /// What everyone is told who logs in.
    pub message: Option<String>,
}

impl Section for Machine {
    fn merge(&mut self, other: Self) {
        later(&mut self.hostname, other.hostname);
        later(&mut self.manage_hosts, other.manage_hosts);
        later(&mut self.timezone, other.timezone);
        later(&mut self.locale, other.locale);
        later(&mut self.keyboard, other.keyboard);
        later(&mut self.keyboard_variant, other.keyboard_variant);
        longer(&mut self.time_servers, other.time_servers);
        later(&mut self.message, other.message);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        self.plan_name(planner);
        if let Some(zone) = &self.timezone {
            self.plan_zone(planner, zone);
        }
        if let Some(locale) = &self.locale {
            plan_locale(planner, locale);
        }
        self.plan_keyboard(planner);
        if !self.time_servers.is_empty() {
            let servers: Vec<&str> = self.time_servers.iter().map(Word::as_str).collect();
            let text = format!("# Written by Varve.\n[Time]\nNTP={}\n", servers.join(" ").replace('%', "%%"));
            planner.file("/etc/systemd/timesyncd.conf.d/50-varve.conf", text);
            let lines: String = servers.iter().map(|server| format!("server {server} iburst\n")).collect();
            planner.file("/etc/chrony/conf.d/varve.conf", format!("# Written by Varve.\n{lines}"));
        }
        if let Some(message) = &self.message {
            planner.file("/etc/motd", message.as_str());
        }
    }
}

impl Machine {
    fn plan_name(&self, planner: &mut Planner<'_>) {
        let Some(hostname) = &self.hostname else { return };
        planner.file("/etc/hostname", format!("{hostname}\n"));
        if self.manage_hosts == Some(false) {
            return;
        }
        let names = match hostname.split_once('.') {
            Some((short, _)) => format!("{hostname} {short}"),
            None => hostname.to_string(),
        };
        planner
            .file_if_missing("/etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n");
        planner.lines("/etc/hosts", Some("127.0.1.1"), lines(&[&format!("127.0.1.1 {names}")]));
    }

    fn plan_zone(&self, planner: &mut Planner<'_>, zone: &Word) {
        let path = format!("/usr/share/zoneinfo/{zone}");
        match (TargetPath::parse(path.clone()), Line::parse(path)) {
            (Ok(_), Ok(target)) => {
                planner.act(Action::Link { path: TargetPath::of("/etc/localtime"), target });
                planner.file("/etc/timezone", format!("{zone}\n"));
            }
            _ => planner.refuse(
                format!("{zone:?} is no time zone"),
                Some("time zones are named as in Europe/Zurich"),
            ),
        }
    }

    fn plan_keyboard(&self, planner: &mut Planner<'_>) {
        let Some(layout) = &self.keyboard else { return };
        let variant = self.keyboard_variant.as_ref().map_or("", Name::as_str);
        let keymap = match variant {
            "" => layout.to_string(),
            variant => format!("{layout}-{variant}"),
        };
        planner.lines("/etc/vconsole.conf", Some("KEYMAP="), lines(&[&format!("KEYMAP={keymap}")]));
        let text = format!(
            "XKBMODEL=\"pc105\"\nXKBLAYOUT=\"{layout}\"\nXKBVARIANT=\"{variant}\"\nXKBOPTIONS=\"\"\nBACKSPACE=\"guess\"\n"
        );
        planner.file("/etc/default/keyboard", text);
        let text = format!(
            "Section \"InputClass\"\n    Identifier \"keyboard\"\n    MatchIsKeyboard \"on\"\n    Option \"XkbLayout\" \"{layout}\"\n    Option \"XkbVariant\" \"{variant}\"\nEndSection\n"
        );
        planner.file("/etc/X11/xorg.conf.d/00-keyboard.conf", text);
    }
}

fn plan_locale(planner: &mut Planner<'_>, locale: &Word) {
    for path in ["/etc/locale.conf", "/etc/default/locale"] {
        planner.lines(path, Some("LANG="), lines(&[&format!("LANG={}", quote::shell(locale))]));
    }
    if locale.starts_with("C.") || ["C", "POSIX"].contains(&locale.as_str()) {
        return;
    }
    let charset = locale.split_once('.').map_or("UTF-8", |(_, charset)| charset);
    let line = quote::shell(&format!("{locale} {charset}"));
    let body = format!(
        "command -v locale-gen >/dev/null || exit 0\ngrep -qxF {line} /etc/locale.gen 2>/dev/null || echo {line} >> /etc/locale.gen\nlocale-gen\n"
    );
    planner.shell(Stage::BeforeNetwork, "locale", &body);
}

fn lines(texts: &[&str]) -> Vec<Line> {
    texts.iter().filter_map(|text| Line::parse(*text).ok()).collect()
}
