//! `#!` scripts. amiconfig's run before or after what stands behind their `exit`; others run when everything else is done.

use super::{Reader, amiconfig};
use crate::plan::Stage;
use crate::sections::scripts::Script;
use crate::text::Name;

pub(super) fn read(text: &str, reader: &mut Reader) {
    reader.form("script");
    let (script, rest) = split(text);
    let first = script.lines().next().unwrap_or_default();
    // What amiconfig put behind the shell's name is no part of it.
    let (stage, shell) = match first.rsplit_once('.') {
        Some((shell, "before")) => (Stage::BeforeNetwork, Some(shell)),
        Some((shell, "after")) => (Stage::Final, Some(shell)),
        _ => (Stage::Final, None),
    };
    let content = match shell {
        Some(shell) => script.replacen(first, shell, 1),
        None => script,
    };
    reader.script("user-data", content, stage, false);
    if let Some(rest) = rest {
        amiconfig::read(&rest, reader);
    }
}

/// `#cloud-boothook`: runs at every boot, as early as can be.
pub(super) fn boothook(text: &str, reader: &mut Reader) {
    reader.form("boothook");
    let content: String = text.trim_start().trim_start_matches("#cloud-boothook").trim_start().to_owned();
    let content = if content.starts_with("#!") { content } else { format!("#!/bin/sh\n{content}") };
    reader.script("boothook", content, Stage::BeforeNetwork, true);
}

impl Reader {
    /// Adds a script.
    pub(super) fn script(&mut self, name: &str, content: String, stage: Stage, every_boot: bool) {
        self.document.scripts.push(Script {
            name: Name::parse(self.free(name)).ok(),
            content,
            stage,
            every_boot,
        });
    }

    /// A name that no script has yet: two parts of a mix are two scripts.
    fn free(&self, stem: &str) -> String {
        let taken =
            |name: &str| self.document.scripts.iter().any(|script| script.name.as_deref() == Some(name));
        let names =
            (1..).map(|number| if number == 1 { stem.to_owned() } else { format!("{stem}-{number}") });
        names.take(10_000).find(|name| !taken(name)).unwrap_or_else(|| stem.to_owned())
    }
}

/// A script, and the INI that follows the `exit` that ends it, with empty lines in the script's place.
fn split(text: &str) -> (String, Option<String>) {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut after_exit = false;
    for (at, line) in lines.iter().enumerate() {
        let trimmed = line.trim_end();
        if trimmed.is_empty() {
            continue;
        }
        if after_exit && amiconfig::is_heading(trimmed) {
            let rest = "\n".repeat(at) + &lines[at..].concat();
            return (lines[..at].concat().trim_start().to_owned(), Some(rest));
        }
        let mut words = line.split_whitespace();
        after_exit =
            words.next() == Some("exit") && words.next().is_none_or(|code| code.parse::<u8>().is_ok());
    }
    (text.trim_start().to_owned(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_the_last_exit_is_ini() {
        let text =
            "#!/bin/sh\nif x; then\n  exit 0\nfi\n[ -e /y ] && echo y\nexit\n\n[cernvm]\nusers=a:b:c\n";
        let (script, rest) = split(text);
        assert!(script.ends_with("exit\n\n"));
        assert_eq!(rest.unwrap().lines().position(|line| line == "[cernvm]"), Some(7));
        assert_eq!(split("#!/bin/sh\necho\n[cernvm]\n").1, None);
    }
}
