//! Where in user data something stands, and what is said of it: places, notices.

use std::fmt;

use serde::Serialize;

/// A place in user data. Lines and columns count from 1; a line of 0 is the whole part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Which part of a multipart mix, counted from 1 in the order of the mix; 0 when there are no parts.
    pub part: u32,
    /// The line within the user data, or within the part where that was encoded or compressed.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl Place {
    /// A line in user data of one part.
    pub fn line(line: u32) -> Self {
        Self { line, ..Self::default() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = self.part;
        match (self.part, self.line, self.column) {
            (0, 0, _) => write!(f, "user data"),
            (0, line, 0) => write!(f, "line {line}"),
            (0, line, column) => write!(f, "line {line}, column {column}"),
            (_, 0, _) => write!(f, "part {part}"),
            (_, line, 0) => write!(f, "part {part}, line {line}"),
            (_, line, column) => write!(f, "part {part}, line {line}, column {column}"),
        }
    }
}

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The rest of the user data holds; what is named was left out or guessed.
    Warning,
    /// What is named is wrong, and nothing was made of it.
    Error,
}

/// Something that a person should know of their user data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// How much it matters.
    pub severity: Severity,
    /// Where it stands.
    pub place: Place,
    /// What is the matter, lower-case, without a full stop.
    pub message: String,
    /// What could be done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{}: {severity}: {}", self.place, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// The notices of one reading, in the order in which they came up.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    list: Vec<Notice>,
    dropped: usize,
    /// The part that is being read, and how many there were.
    part: u32,
    parts: u32,
}

impl Notices {
    /// More than this many are of no use to anyone, and hostile user data could have millions.
    const LIMIT: usize = 200;

    /// The part of a mix that is being read.
    pub(crate) fn part(&self) -> u32 {
        self.part
    }

    /// The next part is being read.
    pub(crate) fn next_part(&mut self) {
        self.parts += 1;
        self.part = self.parts;
    }

    /// Back to a part, after those within it.
    pub(crate) fn set_part(&mut self, part: u32) {
        self.part = part;
    }

    pub(crate) fn warn(&mut self, place: Place, message: impl Into<String>) {
        self.add(Severity::Warning, place, message.into());
    }

    pub(crate) fn error(&mut self, place: Place, message: impl Into<String>) {
        self.add(Severity::Error, place, message.into());
    }

    /// Adds what could be done to the notice that came last.
    pub(crate) fn hint(&mut self, hint: impl Into<String>) {
        if self.dropped == 0
            && let Some(last) = self.list.last_mut()
        {
            last.hint = Some(hint.into());
        }
    }

    /// A key that nobody asked for, with the one that may have been meant.
    pub(crate) fn unknown_key(&mut self, place: Place, key: &str, known: &[&str]) {
        self.warn(place, format!("unknown key {}", shown(key)));
        if let Some(near) = nearest(key, known) {
            self.hint(format!("did you mean {near:?}?"));
        }
    }

    pub(crate) fn into_list(mut self) -> Vec<Notice> {
        if self.dropped > 0 {
            let message = format!("{} more notices are left out", self.dropped);
            let severity = Severity::Warning;
            self.list.push(Notice { severity, place: Place::default(), message, hint: None });
        }
        self.list
    }

    fn add(&mut self, severity: Severity, place: Place, message: String) {
        let place = if place.part == 0 { Place { part: self.part, ..place } } else { place };
        // The first error is always kept: it decides over success.
        let first_error =
            severity == Severity::Error && self.list.iter().all(|notice| notice.severity != Severity::Error);
        if self.list.len() < Self::LIMIT || first_error {
            self.list.push(Notice { severity, place, message, hint: None });
        } else {
            self.dropped += 1;
        }
    }
}

/// Foreign text as a message may show it: quoted, escaped, short.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// The known word that `word` may have been meant to be.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    if word.len() > 60 {
        return None;
    }
    let word = word.to_lowercase().replace('-', "_");
    let distance =
        |other: &&&str| strsim::damerau_levenshtein(&word, &other.to_lowercase().replace('-', "_"));
    let near = known.iter().min_by_key(distance)?;
    (distance(&near) <= 1 + word.len() / 4).then_some(*near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_no_far_one() {
        let known = ["hostname", "timezone", "ssh_keys"];
        assert_eq!(nearest("hostnmae", &known), Some("hostname"));
        assert_eq!(nearest("ssh-keys", &known), Some("ssh_keys"));
        assert_eq!(nearest("colour", &known), None);
    }

    #[test]
    fn notices_are_bounded_and_keep_the_first_error() {
        let mut notices = Notices::default();
        for _ in 0..1000 {
            notices.warn(Place::line(1), "again");
        }
        notices.error(Place::line(2), "wrong");
        let list = notices.into_list();
        assert_eq!(list.len(), 202);
        assert_eq!(list[200].severity, Severity::Error);
        assert_eq!(list[201].message, "800 more notices are left out");
    }
}
