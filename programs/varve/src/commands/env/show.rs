//! `varve env show`: what an environment consists of.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use varve_environment::{Environment, Source};

use crate::environments::Environments;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Show what an environment consists of
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The environment
    #[arg(value_name = "ENV")]
    environment: String,
    /// Print JSON instead of a table
    #[arg(long, conflicts_with = "toml")]
    json: bool,
    /// Print the document itself
    #[arg(long)]
    toml: bool,
}

/// An environment, for programs.
#[derive(Serialize)]
struct Shown<'a> {
    id: String,
    name: Option<&'a str>,
    description: Option<&'a str>,
    architecture: &'a str,
    system: Option<ShownSource<'a>>,
    software: Vec<ShownSource<'a>>,
    image: Option<ShownImage>,
    context: Option<&'a str>,
    variables: &'a BTreeMap<String, String>,
    command: Option<&'a [String]>,
    directory: Option<&'a str>,
}

#[derive(Serialize)]
struct ShownSource<'a> {
    repository: &'a str,
    root: String,
    revision: u64,
    tag: Option<&'a str>,
    key: String,
    servers: &'a [String],
}

#[derive(Serialize)]
struct ShownImage {
    sha256: String,
    size: u64,
}

impl Show {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let environment = Environments::of(&invocation.places()?).find(&self.environment)?;
        if self.toml {
            return invocation.output.write(environment.to_text().as_bytes());
        }
        if self.json {
            invocation.output.json(&shown(&environment))
        } else {
            invocation.output.line(text(&environment))
        }
    }
}

/// Repository and revision, as `varve mount` takes them: by the tag if there is one.
pub(super) fn target(source: &Source) -> String {
    match &source.tag {
        Some(tag) => format!("{}@{tag}", source.repository),
        None => format!("{}@{}", source.repository, source.root),
    }
}

fn shown(environment: &Environment) -> Shown<'_> {
    let source = |source| shown_source(environment, source);
    let entry = environment.entry.as_ref();
    Shown {
        id: environment.id().to_string(),
        name: environment.hints.name.as_ref().map(|name| name.as_str()),
        description: environment.hints.description.as_deref(),
        architecture: environment.architecture.name(),
        system: environment.system.as_ref().map(source),
        software: environment.software.iter().map(source).collect(),
        image: environment
            .image
            .map(|image| ShownImage { sha256: image.sha256.to_string(), size: image.size }),
        context: environment.context.as_deref(),
        variables: &environment.variables,
        command: entry.map(|entry| entry.command.as_slice()),
        directory: entry.and_then(|entry| entry.directory.as_deref()),
    }
}

fn shown_source<'a>(environment: &'a Environment, source: &'a Source) -> ShownSource<'a> {
    ShownSource {
        repository: source.repository.as_str(),
        root: source.root.to_string(),
        revision: source.revision,
        tag: source.tag.as_ref().map(|tag| tag.as_str()),
        key: source.key.to_string(),
        servers: environment.hints.servers.get(&source.repository).map_or(&[], Vec::as_slice),
    }
}

fn text(environment: &Environment) -> String {
    let mut rows = vec![("id", environment.id().to_string())];
    let mut row = |name, value: Option<String>| rows.extend(value.map(|value| (name, value)));
    row("name", environment.hints.name.as_ref().map(ToString::to_string));
    row("description", environment.hints.description.as_deref().map(plain));
    row("architecture", Some(environment.architecture.to_string()));
    row("system", Some(environment.system.as_ref().map_or_else(|| "the host's".to_owned(), revision)));
    for source in &environment.software {
        row("software", Some(revision(source)));
    }
    let image = environment.image;
    row("image", image.map(|image| format!("{}, {}", image.sha256, indicatif::HumanBytes(image.size))));
    row("context", environment.context.as_ref().map(|text| format!("{} bytes", text.len())));
    for (name, value) in &environment.variables {
        row("variable", Some(format!("{name}={}", plain(value))));
    }
    if let Some(entry) = &environment.entry {
        let words: Vec<String> = entry.command.iter().map(|word| plain(word)).collect();
        row("command", Some(words.join(" ")).filter(|words| !words.is_empty()));
        row("directory", entry.directory.as_deref().map(plain));
    }
    let lines: Vec<String> = rows.iter().map(|(name, value)| format!("{name:<13} {value}")).collect();
    lines.join("\n")
}

fn revision(source: &Source) -> String {
    let tag = source.tag.as_ref().map_or_else(String::new, |tag| format!(" {tag},"));
    format!("{}{tag} revision {}, root catalog {}", source.repository, source.revision, source.root)
}

/// Text from a document, without what a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] }).collect()
}
