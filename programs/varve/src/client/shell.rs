//! Files of shell assignments, as CernVM-FS's configuration is written: read, never run.
//!
//! What occurs in such files is understood: assignments with quotes and references, `export`, `readonly`, `unset`,
//! comments, `if` with `[ … ]`, lists with `&&` and `||`, and `return`. Everything else is left out and named in a [`Note`]:
//! a value that a command would have to make, loops, functions, other files. No library reads this much and no more:
//! readers of `.env` files know neither conditions nor `return`, and those of whole shell scripts would run them.

mod condition;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::words::{Piece, Token, Word, is_name};

/// How deep conditions may be in one another.
const DEEPEST: usize = 32;
/// The longest value.
const LONGEST: usize = 64 << 10;
/// The most variables.
const MOST: usize = 10_000;

/// What the files read so far have set.
#[derive(Debug, Default)]
pub(super) struct Variables(BTreeMap<String, Variable>);

/// A variable, and where it got its value.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) value: String,
    pub(super) path: PathBuf,
    pub(super) line: usize,
    readonly: bool,
}

/// Something in a file that does not do what its writer meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// The file.
    pub(crate) path: PathBuf,
    /// The line, counted from 1; 0 for the whole file.
    pub(crate) line: usize,
    /// What is wrong, and what happens instead.
    pub(crate) text: String,
}

impl Variables {
    /// A variable that no file has set.
    pub(super) fn preset(&mut self, name: &str, value: &str) {
        let variable = Variable { value: value.to_owned(), path: PathBuf::new(), line: 0, readonly: false };
        self.0.insert(name.to_owned(), variable);
    }

    /// A variable that is set, to whatever.
    pub(super) fn get(&self, name: &str) -> Option<&Variable> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.0.iter().map(|(name, variable)| (name.as_str(), variable))
    }
}

/// Reads the text of a file into `variables`.
pub(super) fn read(text: &str, path: &Path, variables: &mut Variables, notes: &mut Vec<Note>) {
    let (tokens, unclosed) = words::tokens(text);
    let mut reader = Reader { tokens: &tokens, at: 0, depth: 0, returned: false, path, variables, notes };
    while reader.peek().is_some() && !reader.returned {
        reader.block(true, &[]);
        if let Some(stray) = reader.keyword() {
            reader.note(format!("'{stray}' has no beginning"));
            reader.at += 1;
        }
    }
    let returned = reader.returned;
    if let Some(unclosed) = unclosed.filter(|_| !returned) {
        let text = "a quote or bracket is never closed: the rest of the file is left out".to_owned();
        notes.push(Note { path: path.to_owned(), line: unclosed.line, text });
    }
}

struct Reader<'a> {
    tokens: &'a [(Token, usize)],
    at: usize,
    depth: usize,
    returned: bool,
    path: &'a Path,
    variables: &'a mut Variables,
    notes: &'a mut Vec<Note>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn peek_word(&self) -> Option<&'a Word> {
        match self.peek() {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn line(&self) -> usize {
        let last = self.tokens.len().saturating_sub(1);
        self.tokens.get(self.at.min(last)).map_or(0, |(_, line)| *line)
    }

    fn note(&mut self, text: String) {
        let line = self.line();
        self.note_at(line, text);
    }

    fn note_at(&mut self, line: usize, text: String) {
        self.notes.push(Note { path: self.path.to_owned(), line, text });
    }

    /// The word that ends or divides a block, if it is next.
    fn keyword(&self) -> Option<&'a str> {
        let word = self.peek_word()?.plain()?;
        ["then", "elif", "else", "fi", "do", "done", "esac", "}"].contains(&word).then_some(word)
    }

    /// Commands up to a word of `ends`, which is left, or to any that ends a block. What is not `live` is only skipped.
    fn block(&mut self, live: bool, ends: &[&str]) {
        while let Some(token) = self.peek() {
            if self.returned {
                return;
            }
            match token {
                Token::End => self.at += 1,
                _ if self.keyword().is_some_and(|word| ends.is_empty() || ends.contains(&word)) => return,
                _ => {
                    self.list(live);
                }
            }
        }
    }

    /// Commands with `&&` and `||` between. Whether the last that counts succeeded, `None` if nobody knows.
    fn list(&mut self, live: bool) -> Option<bool> {
        let mut status = self.command(live);
        loop {
            let goes_on = match self.peek() {
                Some(Token::And) => status == Some(true),
                Some(Token::Or) => status == Some(false),
                Some(Token::Operator(operator)) => {
                    if live {
                        self.note(format!(
                            "'{operator}' is not understood: the rest of the line is left out"
                        ));
                    }
                    self.skip_command();
                    return None;
                }
                _ => return status,
            };
            self.at += 1;
            while matches!(self.peek(), Some(Token::End)) {
                self.at += 1;
            }
            let next = self.command(live && goes_on && !self.returned);
            if goes_on {
                status = next;
            }
        }
    }

    fn command(&mut self, live: bool) -> Option<bool> {
        let word = self.peek_word()?;
        match word.plain() {
            Some("if") => {
                self.condition(live);
                Some(true)
            }
            Some("[" | "[[" | "test") => self.test(live),
            Some("!") => {
                self.at += 1;
                self.command(live).map(|status| !status)
            }
            Some("return" | "exit") => {
                self.returned |= live;
                self.skip_command();
                None
            }
            Some(":" | "true") => {
                self.skip_command();
                Some(true)
            }
            Some("false") => {
                self.skip_command();
                Some(false)
            }
            Some("export" | "readonly" | "declare" | "typeset") => {
                let readonly = word.plain() == Some("readonly");
                self.at += 1;
                self.assignments(live, true, readonly);
                Some(true)
            }
            Some("unset") => {
                self.at += 1;
                while let Some(word) = self.peek_word() {
                    if let Some(name) = word.plain().filter(|_| live) {
                        self.variables.0.remove(name);
                    }
                    self.at += 1;
                }
                Some(true)
            }
            Some(keyword @ ("for" | "while" | "until" | "select" | "case")) => {
                if live {
                    self.note(format!("'{keyword}' is not understood: it is left out up to its end"));
                }
                self.skip_block(if keyword == "case" { "esac" } else { "done" }, keyword);
                None
            }
            _ if word.assigned().is_some() => {
                self.assignments(live, false, false);
                Some(true)
            }
            command => {
                if live {
                    let command = command.unwrap_or("this");
                    self.note(format!("'{command}' would have to be run, which is not done"));
                }
                self.skip_command();
                None
            }
        }
    }

    /// `NAME=VALUE` any number of times; with `declared`, names and options without values may be among them.
    fn assignments(&mut self, live: bool, declared: bool, readonly: bool) {
        while let Some(word) = self.peek_word() {
            match word.assigned() {
                Some(_) if live => self.assign(word, readonly),
                Some(_) => {}
                None if declared => {
                    let known = word.plain().filter(|name| is_name(name) && live && readonly);
                    if let Some(variable) = known.and_then(|name| self.variables.0.get_mut(name)) {
                        variable.readonly = true;
                    }
                }
                None => {
                    if live {
                        let text = "a value before a command is for that command alone, which is not run";
                        self.note(text.to_owned());
                    }
                    self.skip_command();
                    return;
                }
            }
            self.at += 1;
        }
        // An array.
        if matches!(self.peek(), Some(Token::Operator('('))) {
            if live {
                self.note("a list between brackets is not understood".to_owned());
            }
            while !matches!(self.peek(), None | Some(Token::Operator(')'))) {
                self.at += 1;
            }
            self.at += 1;
        }
    }

    fn assign(&mut self, word: &Word, readonly: bool) {
        let Some(assigned) = word.assigned() else { return };
        let (name, line) = (assigned.name, self.line());
        let Some(value) = self.expand(word) else {
            let text = format!("the value of {name} would have to be made by a command: it is left out");
            return self.note_at(line, text);
        };
        let mut value = value[assigned.value_at..].to_owned();
        if let Some(before) = self.variables.get(name) {
            if before.readonly {
                let (path, at) = (before.path.display(), before.line);
                let text = format!("{name} is read-only since {path}:{at}: this value is left out");
                return self.note_at(line, text);
            }
            if assigned.appends {
                value.insert_str(0, &before.value);
            }
        } else if self.variables.0.len() >= MOST {
            return self.note_at(line, format!("there are too many variables: {name} is left out"));
        }
        if value.len() > LONGEST {
            return self.note_at(line, format!("the value of {name} is too long: it is left out"));
        }
        let variable = Variable { value, path: self.path.to_owned(), line, readonly };
        self.variables.0.insert(name.to_owned(), variable);
    }

    /// The word with its references replaced; `None` if a part of it can't be known.
    fn expand(&self, word: &Word) -> Option<String> {
        let mut expanded = String::new();
        for piece in &word.pieces {
            match piece {
                Piece::Text { text, .. } => expanded.push_str(text),
                Piece::Variable { name, otherwise, empty_is_none } => {
                    let value = self.variables.get(name).map(|variable| variable.value.as_str());
                    let value = value.filter(|value| !(*empty_is_none && value.is_empty()));
                    expanded.push_str(value.or(otherwise.as_deref()).unwrap_or_default());
                }
                Piece::Unknown => return None,
            }
            if expanded.len() > 2 * LONGEST {
                break;
            }
        }
        Some(expanded)
    }

    /// `if … then … elif … else … fi`.
    fn condition(&mut self, live: bool) {
        let begin = self.line();
        self.depth += 1;
        if self.depth > DEEPEST {
            self.note("conditions are too deep in one another: the rest of the file is left out".to_owned());
            self.at = self.tokens.len();
            return;
        }
        let mut open = live;
        loop {
            // At `if` or `elif`.
            let at = self.line();
            self.at += 1;
            let status = self.list(open);
            if open && status.is_none() {
                self.note_at(at, "this condition is not understood: none of its branches counts".to_owned());
                open = false;
            }
            self.block(false, &["then"]);
            self.at += usize::from(self.keyword() == Some("then"));
            self.block(open && status == Some(true), &["elif", "else", "fi"]);
            open &= status == Some(false);
            if self.returned || self.keyword() != Some("elif") {
                break;
            }
        }
        if !self.returned && self.keyword() == Some("else") {
            self.at += 1;
            self.block(open, &["fi"]);
        }
        if !self.returned {
            match self.keyword() {
                Some("fi") => self.at += 1,
                _ => self.note_at(begin, "this condition has no end ('fi')".to_owned()),
            }
        }
        self.depth -= 1;
    }

    /// To the end of this command.
    fn skip_command(&mut self) {
        while !matches!(self.peek(), None | Some(Token::End | Token::And | Token::Or)) {
            self.at += 1;
        }
    }

    /// Behind the word that ends a loop or choice; others of its kind may be inside.
    fn skip_block(&mut self, end: &str, begin: &str) {
        let mut open = 0_usize;
        while let Some(token) = self.peek() {
            self.at += 1;
            let Token::Word(word) = token else { continue };
            match word.plain() {
                Some(word) if word == end => open -= 1,
                Some(word)
                    if word == begin || (end == "done" && ["for", "while", "until"].contains(&word)) =>
                {
                    open += 1;
                }
                _ => {}
            }
            if open == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
