//! `[desktop]`: a machine with a screen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later, longer};
use crate::plan::{Action, Planner};
use crate::text::{AccountName, Line, Name, TargetPath, Word};

/// The screen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Desktop {
    /// Whether the machine boots to a graphical desktop.
    pub start: Option<bool>,
    /// The user who is logged in without being asked.
    pub auto_login: Option<AccountName>,
    /// The size of the screen: `1280x800`.
    pub resolution: Option<Word>,
    /// Things to click on: files as the desktop entry specification has them.
    pub launchers: Vec<Launcher>,
}

/// Something to click on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Launcher {
    /// The file's name.
    pub name: Name,
    /// What is in it.
    pub content: String,
}

impl Section for Desktop {
    fn merge(&mut self, other: Self) {
        later(&mut self.start, other.start);
        later(&mut self.auto_login, other.auto_login);
        later(&mut self.resolution, other.resolution);
        longer(&mut self.launchers, other.launchers);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        if let Some(start) = self.start {
            let target = if start { "graphical" } else { "multi-user" };
            if let Ok(target) = Line::parse(format!("/usr/lib/systemd/system/{target}.target")) {
                planner
                    .act(Action::Link { path: TargetPath::of("/etc/systemd/system/default.target"), target });
            }
        }
        if let Some(user) = &self.auto_login {
            plan_log_in(planner, user);
        }
        if let Some(resolution) = &self.resolution {
            let fits = resolution.split_once('x').is_some_and(|(width, height)| {
                [width, height].iter().all(|side| side.len() <= 5 && side.parse::<u16>().is_ok())
            });
            if !fits {
                return planner
                    .refuse(format!("{resolution:?} is no size of a screen"), Some("write it as 1280x800"));
            }
            let text = format!(
                "# Written by Varve.\nSection \"Monitor\"\n    Identifier \"monitor\"\nEndSection\nSection \"Screen\"\n    Identifier \"screen\"\n    Monitor \"monitor\"\n    SubSection \"Display\"\n        Modes \"{resolution}\"\n    EndSubSection\nEndSection\n"
            );
            planner.file("/etc/X11/xorg.conf.d/50-varve.conf", text);
        }
        for launcher in &self.launchers {
            let name = launcher.name.trim_end_matches(".desktop");
            planner.file(&format!("/usr/share/applications/{name}.desktop"), launcher.content.as_str());
        }
    }
}

fn plan_log_in(planner: &mut Planner<'_>, user: &AccountName) {
    planner.file(
        "/etc/lightdm/lightdm.conf.d/50-varve.conf",
        format!("# Written by Varve.\n[Seat:*]\nautologin-user={user}\nautologin-user-timeout=0\n"),
    );
    planner.file(
        "/etc/gdm3/daemon.conf",
        format!("# Written by Varve.\n[daemon]\nAutomaticLoginEnable=true\nAutomaticLogin={user}\n"),
    );
    planner.file(
        "/etc/systemd/system/getty@tty1.service.d/50-varve.conf",
        format!("# Written by Varve.\n[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin {user} --noclear %I $TERM\n"),
    );
}
