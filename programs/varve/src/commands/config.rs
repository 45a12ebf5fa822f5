//! `varve config`: what the configuration files say of a repository, and where.

use clap::Args;
use serde::Serialize;
use varve_repository::RepositoryName;

use crate::cli::ListingOptions;
use crate::client::{Ignored, Origin, Section, Sources};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Row;

/// Show how a repository would be mounted by the configuration of this machine, and where each value comes from
#[derive(Args, Debug)]
#[command(
    after_help = "Read are CernVM-FS's files in /etc/cvmfs and Varve's client.toml, see docs/operate/client.md. What is set \
                        there and has no effect stands in parentheses."
)]
pub(crate) struct Config {
    /// The repository; without it, what holds for all
    name: Option<RepositoryName>,
    #[command(flatten)]
    listing: ListingOptions,
}

/// A setting, or a parameter without effect.
#[derive(Serialize)]
struct Shown {
    setting: String,
    value: serde_json::Value,
    from: String,
    honoured: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    instead: Option<&'static str>,
}

impl Row for Shown {
    const HEADINGS: &'static [&'static str] = &["SETTING", "VALUE", "FROM"];

    fn cells(&self) -> Vec<String> {
        let value = match &self.value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(items) => {
                items.iter().map(|item| item.as_str().unwrap_or_default()).collect::<Vec<_>>().join(" ")
            }
            other => other.to_string(),
        };
        let setting = if self.honoured { self.setting.clone() } else { format!("({})", self.setting) };
        let value = match self.instead {
            Some(instead) => format!("{value} ({instead})"),
            None => value,
        };
        vec![setting, value, self.from.clone()]
    }
}

impl Config {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let sources = Sources::of(&invocation.places()?, Section::default());
        let client = sources.load(self.name.as_ref())?;
        client.warnings().for_each(|warning| invocation.output.warn(warning));
        if let Some(name) = &self.name {
            client.settings.http(name)?;
            client.settings.external(name)?;
        }
        let honoured = client.settings.listed().into_iter().map(|listed| Shown {
            setting: listed.name,
            value: listed.value,
            from: listed.origin.to_string(),
            honoured: true,
            instead: None,
        });
        let mut rows: Vec<Shown> = honoured.collect();
        rows.extend(client.ignored.into_iter().map(without_effect));
        invocation.output.listing(self.listing, &rows)
    }
}

fn without_effect(ignored: Ignored) -> Shown {
    let Ignored { name, value, origin, why } = ignored;
    Shown {
        setting: name,
        value: value.into(),
        from: Origin::to_string(&origin),
        honoured: false,
        instead: why,
    }
}
