//! `bootcmd` and `runcmd` of cloud-config.

use crate::document::Document;
use crate::place::Notices;
use crate::plan::Stage;
use crate::quote;
use crate::sections::scripts::Script;
use crate::text::Name;
use crate::value::fields::{Fields, text};
use crate::value::{Node, Value};

pub(super) fn read(fields: &mut Fields<'_, '_>, document: &mut Document) {
    for (key, stage, every_boot) in [("bootcmd", Stage::BeforeNetwork, true), ("runcmd", Stage::Final, false)]
    {
        let lines: Vec<String> =
            fields.list(key).iter().filter_map(|node| line(node, key, fields.notices)).collect();
        if !lines.is_empty() {
            let content = format!("#!/bin/sh\n{}\n", lines.join("\n"));
            document.scripts.push(Script { name: Name::parse(key).ok(), content, stage, every_boot });
        }
    }
}

/// A command as a line of a shell script: text as it stands, words quoted each.
fn line(node: &Node, what: &str, notices: &mut Notices) -> Option<String> {
    match &node.value {
        Value::List(words) => {
            let words: Vec<String> = words.iter().filter_map(|word| text(word, what, notices)).collect();
            Some(quote::shell_words(words.iter().map(String::as_str)))
        }
        _ => text(node, what, notices),
    }
}
