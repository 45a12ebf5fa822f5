//! `[[files]]`: what is written where.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Item;
use crate::plan::{Action, Content, Placement, PlannedFile, Planner, STATE, Stage};
use crate::quote;
use crate::secret::Secret;
use crate::text::{Line, Mode, Owner, TargetPath};

/// A file, or a symbolic link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct File {
    /// Where.
    pub path: TargetPath,
    /// What is in it, as text.
    pub content: Option<String>,
    /// What is in it, in base64.
    pub base64: Option<String>,
    /// What is in it, as a secret.
    pub secret: Option<Secret>,
    /// What a symbolic link says, instead.
    pub link: Option<Line>,
    /// Permissions; 0644 without, 0600 for a secret.
    pub mode: Option<Mode>,
    /// Owner; root without.
    pub owner: Option<Owner>,
    /// Whether the content is added to a file that is there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub append: bool,
    /// Whether a file that is there stays as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
    /// Whether it is put there only after packages have been installed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_packages: bool,
}

impl File {
    /// An empty file.
    pub fn at(path: TargetPath) -> Self {
        Self {
            path,
            content: None,
            base64: None,
            secret: None,
            link: None,
            mode: None,
            owner: None,
            append: false,
            keep: false,
            after_packages: false,
        }
    }

    /// Sets what is in it: as text where it is text.
    #[must_use]
    pub fn with_bytes(mut self, bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => self.content = Some(text),
            Ok(text) => self.base64 = Some(STANDARD.encode(text)),
            Err(error) => self.base64 = Some(STANDARD.encode(error.as_bytes())),
        }
        self
    }

    fn bytes(&self) -> Result<Content, String> {
        match (&self.content, &self.base64, &self.secret) {
            (Some(text), None, None) => Ok(Content::Text(text.clone())),
            (None, Some(packed), None) => {
                let packed: String = packed.split_ascii_whitespace().collect();
                STANDARD.decode(packed).map(Content::from).map_err(|_| "its base64 is none".to_owned())
            }
            (None, None, Some(secret)) => Ok(Content::Secret(secret.clone())),
            (None, None, None) => Ok(Content::Text(String::new())),
            _ => Err("it has more than one of content, base64 and secret".to_owned()),
        }
    }
}

impl Item for File {
    fn is(&self, other: &Self) -> bool {
        self.path == other.path && !self.append && !other.append
    }

    fn plan(&self, planner: &mut Planner<'_>) {
        if let Some(target) = &self.link {
            return planner.act(Action::Link { path: self.path.clone(), target: target.clone() });
        }
        let content = match self.bytes() {
            Ok(content) => content,
            Err(why) => return planner.refuse(format!("{}: {why}", self.path), None),
        };
        let usual = if self.secret.is_some() { 0o600 } else { 0o644 };
        let mode = self.mode.unwrap_or(Mode(usual));
        let owner = self.owner.clone().unwrap_or_else(Owner::root);
        let placement = match (self.append, self.keep) {
            (true, _) => Placement::Append,
            (false, true) => Placement::Keep,
            (false, false) => Placement::Replace,
        };
        if self.after_packages {
            return self.plan_later(planner, content, mode, &owner, placement);
        }
        planner.act(Action::File(PlannedFile { path: self.path.clone(), content, mode, owner, placement }));
    }

    fn secrets(&mut self, show: &mut dyn FnMut(&mut Secret)) {
        self.secret.iter_mut().for_each(show);
    }
}

impl File {
    /// Keeps the content until the packages are there, then moves it into place.
    fn plan_later(
        &self,
        planner: &mut Planner<'_>,
        content: Content,
        mode: Mode,
        owner: &Owner,
        placement: Placement,
    ) {
        let plain: String = self
            .path
            .trim_start_matches('/')
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let kept = format!("{STATE}/files/{plain}");
        planner.directory(&format!("{STATE}/files"), 0o700);
        planner.file_with(&kept, content, 0o600, Owner::root());
        let (from, to) = (quote::shell(&kept), quote::shell(&self.path));
        let own = format!("chown {} {to}\nchmod {mode} {to}\n", quote::shell(&owner.to_string()));
        let body = match placement {
            Placement::Replace => format!("mkdir -p \"$(dirname {to})\"\ncp {from} {to}\n{own}"),
            Placement::Keep => {
                format!("[ -e {to} ] && exit 0\nmkdir -p \"$(dirname {to})\"\ncp {from} {to}\n{own}")
            }
            Placement::Append => format!("mkdir -p \"$(dirname {to})\"\ncat {from} >> {to}\n{own}"),
        };
        planner.shell(Stage::Final, &format!("file-{}", &plain[..plain.len().min(80)]), &body);
    }
}
