//! `[[scripts]]`: programs that run when the machine boots.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Item;
use crate::plan::{Content, Planner, Stage};
use crate::text::Name;

/// A program that runs when the machine boots for the first time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Script {
    /// What its unit and its log are named by.
    pub name: Option<Name>,
    /// The program; a script for `/bin/sh` unless its first line says otherwise.
    pub content: String,
    /// When it runs.
    #[serde(default)]
    pub stage: Stage,
    /// Whether it runs at every boot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub every_boot: bool,
}

impl Item for Script {
    fn is(&self, other: &Self) -> bool {
        self.name.is_some() && self.name == other.name
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        let name = self.name.clone().unwrap_or_else(|| crate::plan::file_name("script"));
        let content = if self.content.starts_with("#!") {
            self.content.clone()
        } else {
            format!("#!/bin/sh\n{}", self.content)
        };
        planner.script(self.stage, &name, Content::Text(content), self.every_boot);
    }
}
