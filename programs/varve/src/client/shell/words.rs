//! The words of a file of shell assignments: quotes, escapes, references, separators, each with its line. Pure; what the
//! words do is decided elsewhere, and nothing is ever run.

use std::iter::Peekable;
use std::str::Chars;

/// A piece of the file.
#[derive(Debug)]
pub(super) enum Token {
    Word(Word),
    /// The end of a command: a new line or `;`.
    End,
    /// `&&`
    And,
    /// `||`
    Or,
    /// An operator that has no place in an assignment.
    Operator(char),
}

/// What stands between blanks.
#[derive(Debug, Default)]
pub(super) struct Word {
    pub(super) pieces: Vec<Piece>,
}

/// A part of a word.
#[derive(Debug)]
pub(super) enum Piece {
    Text {
        text: String,
        quoted: bool,
    },
    /// `$NAME`, `${NAME}`, `${NAME:-otherwise}`, `${NAME-otherwise}`.
    Variable {
        name: String,
        otherwise: Option<String>,
        /// Whether an empty value counts as none.
        empty_is_none: bool,
    },
    /// What would have to be run or computed to be known.
    Unknown,
}

/// A quote, bracket or the like that is opened in this line and never closed.
#[derive(Debug)]
pub(super) struct Unclosed {
    pub(super) line: usize,
}

impl Word {
    /// The word, if it is a single text without quotes, as keywords are.
    pub(super) fn plain(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Text { text, quoted: false }] => Some(text),
            _ => None,
        }
    }

    /// The name before `=`, if this is an assignment, and how many bytes of the first piece it takes with the sign.
    pub(super) fn assigned(&self) -> Option<Assigned<'_>> {
        let Some(Piece::Text { text, quoted: false }) = self.pieces.first() else { return None };
        let (name, _) = text.split_once('=')?;
        let (name, appends) = name.strip_suffix('+').map_or((name, false), |name| (name, true));
        is_name(name).then(|| Assigned { name, appends, value_at: name.len() + usize::from(appends) + 1 })
    }
}

/// The left side of an assignment.
#[derive(Debug)]
pub(super) struct Assigned<'a> {
    pub(super) name: &'a str,
    /// Whether it is `+=`.
    pub(super) appends: bool,
    /// Where the value begins in the first piece.
    pub(super) value_at: usize,
}

/// Whether a variable may be called so.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(is_name_char)
}

fn is_name_char(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// Cuts a file into tokens with the lines that they begin in, up to where it can't be cut any more.
pub(super) fn tokens(text: &str) -> (Vec<(Token, usize)>, Option<Unclosed>) {
    let mut lexer = Lexer { rest: text.chars().peekable(), line: 1 };
    let mut tokens = Vec::new();
    loop {
        match lexer.next() {
            Ok(Some(token)) => tokens.push(token),
            Ok(None) => return (tokens, None),
            Err(unclosed) => return (tokens, Some(unclosed)),
        }
    }
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<Option<(Token, usize)>, Unclosed> {
        loop {
            let line = self.line;
            let Some(&letter) = self.rest.peek() else { return Ok(None) };
            let token = match letter {
                ' ' | '\t' | '\r' => {
                    self.rest.next();
                    continue;
                }
                '#' => {
                    while self.rest.peek().is_some_and(|letter| *letter != '\n') {
                        self.rest.next();
                    }
                    continue;
                }
                '\n' | ';' => {
                    self.take();
                    match self.rest.peek() {
                        Some(';') if letter == ';' => Token::Operator(';'),
                        _ => Token::End,
                    }
                }
                '&' | '|' => {
                    self.take();
                    let doubled = self.rest.next_if_eq(&letter).is_some();
                    match (letter, doubled) {
                        ('&', true) => Token::And,
                        ('|', true) => Token::Or,
                        _ => Token::Operator(letter),
                    }
                }
                '(' | ')' | '<' | '>' => {
                    self.take();
                    Token::Operator(letter)
                }
                _ => {
                    let word = self.word()?;
                    if word.pieces.is_empty() {
                        // Nothing but a line that goes on in the next.
                        continue;
                    }
                    Token::Word(word)
                }
            };
            return Ok(Some((token, line)));
        }
    }

    /// The next character, counting lines.
    fn take(&mut self) -> Option<char> {
        let letter = self.rest.next()?;
        self.line += usize::from(letter == '\n');
        Some(letter)
    }

    fn word(&mut self) -> Result<Word, Unclosed> {
        let mut word = Word::default();
        while let Some(&letter) = self.rest.peek() {
            match letter {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                '\'' => {
                    let begin = self.line;
                    self.take();
                    let text = self.until('\'', begin)?;
                    word.pieces.push(Piece::Text { text, quoted: true });
                }
                '"' => self.double_quoted(&mut word)?,
                '\\' => {
                    self.take();
                    match self.take() {
                        Some('\n') | None => {}
                        Some(letter) => word.push(letter, true),
                    }
                }
                '$' | '`' => {
                    let piece = self.reference()?;
                    word.pieces.push(piece);
                }
                _ => {
                    self.take();
                    word.push(letter, false);
                }
            }
        }
        Ok(word)
    }

    fn double_quoted(&mut self, word: &mut Word) -> Result<(), Unclosed> {
        let begin = self.line;
        self.take();
        // Also the empty word is one.
        word.pieces.push(Piece::Text { text: String::new(), quoted: true });
        loop {
            match self.rest.peek() {
                None => return Err(Unclosed { line: begin }),
                Some('"') => {
                    self.take();
                    return Ok(());
                }
                Some('$' | '`') => {
                    let piece = self.reference()?;
                    word.pieces.push(piece);
                }
                Some('\\') => {
                    self.take();
                    match self.take() {
                        Some('\n') | None => {}
                        Some(letter @ ('"' | '\\' | '$' | '`')) => word.push(letter, true),
                        Some(letter) => {
                            word.push('\\', true);
                            word.push(letter, true);
                        }
                    }
                }
                Some(&letter) => {
                    self.take();
                    word.push(letter, true);
                }
            }
        }
    }

    /// What follows a `$`, or stands between backticks.
    fn reference(&mut self) -> Result<Piece, Unclosed> {
        let begin = self.line;
        if self.take() == Some('`') {
            self.until('`', begin)?;
            return Ok(Piece::Unknown);
        }
        match self.rest.peek() {
            Some('{') => {
                self.take();
                let inside = self.until('}', begin)?;
                let name: String = inside.chars().take_while(|letter| is_name_char(*letter)).collect();
                let rest = &inside[name.len()..];
                let (otherwise, empty_is_none) = match (rest.strip_prefix(":-"), rest.strip_prefix('-')) {
                    (Some(otherwise), _) => (Some(otherwise), true),
                    (None, Some(otherwise)) => (Some(otherwise), false),
                    (None, None) if rest.is_empty() => (None, false),
                    _ => return Ok(Piece::Unknown),
                };
                // References in there would have to be looked at again.
                if !is_name(&name) || otherwise.is_some_and(|text| text.contains(['$', '`', '\'', '"', '\\']))
                {
                    return Ok(Piece::Unknown);
                }
                Ok(Piece::Variable { name, otherwise: otherwise.map(str::to_owned), empty_is_none })
            }
            Some('(') => {
                let mut open = 0_usize;
                loop {
                    match self.take() {
                        Some('(') => open += 1,
                        Some(')') if open == 1 => return Ok(Piece::Unknown),
                        Some(')') => open -= 1,
                        Some(_) => {}
                        None => return Err(Unclosed { line: begin }),
                    }
                }
            }
            Some(&letter) if is_name_char(letter) && !letter.is_ascii_digit() => {
                let mut name = String::new();
                while let Some(letter) = self.rest.next_if(|letter| is_name_char(*letter)) {
                    name.push(letter);
                }
                Ok(Piece::Variable { name, otherwise: None, empty_is_none: false })
            }
            // `$?`, `$1` and the like.
            Some(letter) if letter.is_ascii_digit() || "?*@#!$-".contains(*letter) => {
                self.take();
                Ok(Piece::Unknown)
            }
            _ => Ok(Piece::Text { text: "$".to_owned(), quoted: true }),
        }
    }

    fn until(&mut self, end: char, begin: usize) -> Result<String, Unclosed> {
        let mut text = String::new();
        loop {
            match self.take() {
                Some(letter) if letter == end => return Ok(text),
                Some(letter) => text.push(letter),
                None => return Err(Unclosed { line: begin }),
            }
        }
    }
}

impl Word {
    fn push(&mut self, letter: char, is_quoted: bool) {
        match self.pieces.last_mut() {
            Some(Piece::Text { text, quoted }) if *quoted == is_quoted => text.push(letter),
            _ => self.pieces.push(Piece::Text { text: letter.to_string(), quoted: is_quoted }),
        }
    }
}
