//! What becomes of user data, in words.

use std::fmt::Write as _;

use crate::plan::Plan;
use crate::read::{Context, Mapping};

/// Says which forms were found, what each legacy key became, and what is done to the machine, by section.
pub fn explain(context: &Context) -> String {
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = write(&mut text, context, &context.document.plan());
    text
}

fn write(text: &mut String, context: &Context, plan: &Plan) -> std::fmt::Result {
    match context.forms.as_slice() {
        [] => writeln!(text, "nothing that is known")?,
        forms => writeln!(text, "found: {}", forms.join(", "))?,
    }
    if !context.mappings.is_empty() {
        writeln!(text, "\nwhat each key becomes:")?;
        let width =
            context.mappings.iter().map(|mapping| mapping.key.chars().count()).max().unwrap_or(0).min(40);
        for Mapping { place, key, becomes } in &context.mappings {
            writeln!(text, "  {key:width$}  {becomes} ({place})")?;
        }
    }
    let boot = &context.document.boot;
    if *boot != crate::sections::boot::Boot::default() {
        writeln!(text, "\nbefore there is a root directory:")?;
        for line in toml::to_string(boot).unwrap_or_default().lines().filter(|line| !line.ends_with("= []")) {
            writeln!(text, "  {line}")?;
        }
    }
    let mut section = "";
    for step in &plan.steps {
        if step.section != section {
            section = step.section;
            writeln!(text, "\n{section}:")?;
        }
        let line = step.to_string();
        writeln!(text, "  {}", line.split_once(": ").map_or(line.as_str(), |(_, action)| action))?;
    }
    if plan.steps.is_empty() {
        writeln!(text, "\nnothing is done to the root directory")?;
    }
    Ok(())
}
