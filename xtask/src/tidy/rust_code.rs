//! Takes Rust source apart into code, strings and comments, as far as the rules need it. No parser.

/// One file in three layers of equal line numbers: what belongs to another layer is blanked out.
pub(crate) struct RustCode {
    /// Without comments, and with empty strings.
    pub(crate) code: String,
    /// Only what stands in string and byte string literals.
    pub(crate) strings: String,
    /// Only comments.
    pub(crate) comments: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Layer {
    Code,
    String,
    Comment,
}

impl RustCode {
    pub(crate) fn of(text: &str) -> Self {
        let mut layers = Self { code: String::new(), strings: String::new(), comments: String::new() };
        let mut rest = text;
        let mut before = ' ';
        while let Some(first) = rest.chars().next() {
            let (layer, length) = next_piece(rest, before);
            let (piece, tail) = rest.split_at(length.max(first.len_utf8()).min(rest.len()));
            layers.push(layer, piece);
            before = piece.chars().next_back().unwrap_or(' ');
            rest = tail;
        }
        layers
    }

    /// The code before the unit tests, which stand last in a file.
    pub(crate) fn before_tests(&self) -> &str {
        before_tests(&self.code, &self.code)
    }

    /// The strings before the unit tests.
    pub(crate) fn strings_before_tests(&self) -> &str {
        before_tests(&self.code, &self.strings)
    }

    fn push(&mut self, layer: Layer, piece: &str) {
        for (own, text) in [
            (Layer::Code, &mut self.code),
            (Layer::String, &mut self.strings),
            (Layer::Comment, &mut self.comments),
        ] {
            if own == layer {
                text.push_str(piece);
            } else {
                text.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            }
        }
    }
}

/// The numbered lines, from 1, in which one of `words` stands with no identifier's letter around it.
pub(crate) fn lines_with<'a>(text: &'a str, words: &'a [&'a str]) -> impl Iterator<Item = (usize, &'a str)> {
    text.lines().enumerate().flat_map(move |(at, line)| {
        words.iter().filter(move |word| has_word(line, word)).map(move |word| (at + 1, *word))
    })
}

fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !(before.ends_with(part_of_name) && word.starts_with(part_of_name)
            || after.starts_with(part_of_name) && word.ends_with(part_of_name))
    })
}

fn before_tests<'a>(code: &str, layer: &'a str) -> &'a str {
    let lines = code.lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
    let end = layer.match_indices('\n').nth(lines.saturating_sub(1)).map_or(layer.len(), |(at, _)| at);
    if lines == 0 { "" } else { &layer[..end] }
}

/// The layer of what comes next, and its length in bytes.
fn next_piece(rest: &str, before: char) -> (Layer, usize) {
    if rest.starts_with("//") {
        return (Layer::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Layer::Comment, block_comment(rest));
    }
    if !(before.is_alphanumeric() || before == '_')
        && let Some(length) = raw_string(rest)
    {
        return (Layer::String, length);
    }
    if rest.starts_with('"') {
        return (Layer::String, quoted(rest, '"'));
    }
    if rest.starts_with('\'') {
        // A character, or else a lifetime: that has no second quote behind one (possibly escaped) character.
        let mut chars = rest.chars().skip(1);
        let is_character = match chars.next() {
            Some('\\') => true,
            Some(_) => chars.next() == Some('\''),
            None => false,
        };
        return if is_character { (Layer::String, quoted(rest, '\'')) } else { (Layer::Code, 1) };
    }
    (Layer::Code, 1)
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let tail = &rest.as_bytes()[at..];
        if tail.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if tail.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let start = ["r", "br", "cr"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = start.len() - start.trim_start_matches('#').len();
    let body = start[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let head = rest.len() - body.len();
    Some(body.find(&end).map_or(rest.len(), |at| head + at + end.len()))
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r###"//! head "not a string"
fn f<'a>(x: &'a str) -> char { /* block /* nested */ still */ g("text \" // no comment"); '"' }
let raw = r#"raw " string"#; let b = b"bytes"; let r = 'r'; variable"###;

    #[test]
    fn layers_are_told_apart() {
        let layers = RustCode::of(SOURCE);
        for text in [&layers.code, &layers.strings, &layers.comments] {
            assert_eq!(text.lines().count(), 3);
        }
        for code in ["fn f<'a>(x: &'a str)", "g(", "let b", "variable"] {
            assert!(layers.code.contains(code), "{code} in {}", layers.code);
        }
        for string in ["text \\\" // no comment", "raw \" string", "bytes"] {
            assert!(layers.strings.contains(string), "{string} in {}", layers.strings);
        }
        for comment in ["head \"not a string\"", "still */"] {
            assert!(layers.comments.contains(comment), "{comment} in {}", layers.comments);
        }
        assert!(!layers.code.contains("text") && !layers.code.contains("still"));
    }

    #[test]
    fn unfinished_source_is_no_panic() {
        for end in 0..SOURCE.len() {
            RustCode::of(&SOURCE[..end]);
        }
        for odd in ["'", "\"é\\", "r#", "/*", "'\\", "'é'"] {
            RustCode::of(odd);
        }
    }

    #[test]
    fn words_have_bounds() {
        let found: Vec<_> = lines_with("my_clap::x\nuse clap;\nclapper\nclap::X", &["clap"]).collect();
        assert_eq!(found, [(2, "clap"), (4, "clap")]);
    }

    #[test]
    fn unit_tests_are_left_out() {
        let layers = RustCode::of("a(\"x\")\nb\n#[cfg(test)]\nmod tests { c(\"y\") }\n");
        assert_eq!(layers.before_tests().lines().map(str::trim).collect::<Vec<_>>(), ["a(   )", "b"]);
        assert_eq!(layers.strings_before_tests().trim(), "\"x\"");
        assert_eq!(RustCode::of("#[cfg(test)]\nmod tests {}").before_tests(), "");
    }
}
