//! `[agent]`: the agent in the machine, by which whoever sits in front of it looks after it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Section, later};
use crate::plan::Planner;
use crate::quote;
use crate::secret::Secret;
use crate::text::Word;

/// The agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Agent {
    /// Whether it runs; yes where anything else is said.
    pub enable: Option<bool>,
    /// The password of its page.
    pub password: Option<Secret>,
    /// The token of its programs' interface.
    pub token: Option<Secret>,
    /// Where it listens: `127.0.0.1:8003`.
    pub listen: Option<Word>,
}

impl Section for Agent {
    fn merge(&mut self, other: Self) {
        later(&mut self.enable, other.enable);
        later(&mut self.password, other.password);
        later(&mut self.token, other.token);
        later(&mut self.listen, other.listen);
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        if *self == Self::default() {
            return;
        }
        let mut text = format!("# Written by Varve.\nenable = {}\n", self.enable.unwrap_or(true));
        if let Some(listen) = &self.listen {
            text += &format!("listen = {}\n", quote::toml(listen));
        }
        planner.file("/etc/varve/agent.toml", text);
        for (name, secret) in [("password", &self.password), ("token", &self.token)] {
            if let Some(secret) = secret {
                planner.secret_file(&format!("/etc/varve/agent-{name}"), secret);
            }
        }
    }

    fn secrets(&mut self, show: &mut dyn FnMut(&mut Secret)) {
        self.password.iter_mut().for_each(&mut *show);
        self.token.iter_mut().for_each(show);
    }
}
