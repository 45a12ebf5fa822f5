//! `.cvmfsdirtab`: patterns of directories that become nested catalogs, with the meaning that CernVM-FS gives them.
//!
//! One pattern per line; blanks around it don't count. `#` begins a comment line, `!` a pattern that vetoes. `*` stands for
//! any characters, `?` for one, `\` takes the special meaning from the next character; nothing else is special. A plain
//! pattern must be absolute, and its `*` ends at a `/`. The `*` of a veto goes across `/`, and `?` never does.

/// The file's name, in the root of a repository.
pub(crate) const DIRTAB_NAME: &[u8] = b".cvmfsdirtab";

/// The patterns of a dirtab.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dirtab {
    chosen: Vec<Vec<Token>>,
    vetoed: Vec<Vec<Token>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// Any number of bytes.
    Any,
    /// One byte but `/`.
    One,
}

/// A line that is no pattern.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(".cvmfsdirtab, line {line}: {reason}")]
pub struct DirtabError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: &'static str,
}

impl Dirtab {
    /// Reads the text of a dirtab.
    ///
    /// # Errors
    /// [`DirtabError`] names the first line that can't be understood.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, DirtabError> {
        let mut dirtab = Self::default();
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let error = |reason| DirtabError { line: index + 1, reason };
            let line = line.trim_ascii();
            let (veto, pattern) = match line.first() {
                None | Some(b'#') => continue,
                Some(b'!') => (true, line[1..].trim_ascii_start()),
                Some(_) => (false, line),
            };
            if pattern.is_empty() {
                continue;
            }
            if !veto && pattern[0] != b'/' {
                return Err(error("a pattern must begin with '/'"));
            }
            let tokens = tokens(pattern).map_err(error)?;
            let other = if veto { &dirtab.chosen } else { &dirtab.vetoed };
            if other.contains(&tokens) {
                return Err(error("the same pattern is chosen and vetoed"));
            }
            if veto { dirtab.vetoed.push(tokens) } else { dirtab.chosen.push(tokens) }
        }
        Ok(dirtab)
    }

    /// Whether the directory at `path` (beginning with `/`) shall become a nested catalog.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        self.chosen.iter().any(|pattern| matches(pattern, path, false))
            && !self.vetoed.iter().any(|pattern| matches(pattern, path, true))
    }
}

/// Takes a pattern apart; repeated and trailing slashes are dropped.
fn tokens(pattern: &[u8]) -> Result<Vec<Token>, &'static str> {
    let mut tokens = Vec::new();
    let mut bytes = pattern.iter();
    while let Some(&byte) = bytes.next() {
        tokens.push(match byte {
            b'*' => Token::Any,
            b'?' => Token::One,
            b'\\' => match bytes.next() {
                Some(&special @ (b'*' | b'?' | b'\\')) => Token::Byte(special),
                _ => return Err("'\\' must be followed by '*', '?' or '\\'"),
            },
            b'/' if tokens.last() == Some(&Token::Byte(b'/')) => continue,
            byte => Token::Byte(byte),
        });
    }
    if tokens.len() > 1 && tokens.last() == Some(&Token::Byte(b'/')) {
        tokens.pop();
    }
    if tokens == [Token::Byte(b'/')] {
        return Err("the root directory is no nested catalog");
    }
    Ok(tokens)
}

/// Glob matching with one point of return: linear in practice, quadratic at worst.
fn matches(pattern: &[Token], path: &[u8], across: bool) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let advanced = match (pattern.get(token), path.get(at)) {
            (None, None) => return true,
            (Some(Token::Any), _) => {
                retry = Some((token + 1, at));
                token += 1;
                continue;
            }
            (Some(Token::Byte(expected)), Some(byte)) => expected == byte,
            (Some(Token::One), Some(&byte)) => byte != b'/',
            _ => false,
        };
        if advanced {
            token += 1;
            at += 1;
            continue;
        }
        // Let the last `*` take one byte more. An earlier one need not be tried again: where `*` ends at `/`, the slashes
        // of pattern and path have to meet one by one; where it doesn't, the later one can take what the earlier could.
        match retry {
            Some((behind, from)) if path.get(from).is_some_and(|&byte| across || byte != b'/') => {
                retry = Some((behind, from + 1));
                (token, at) = (behind, from + 1);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(text: &str, path: &str) -> bool {
        Dirtab::parse(text.as_bytes()).expect("a valid dirtab").matches(path.as_bytes())
    }

    #[test]
    fn stars_end_at_slashes() {
        let text = "# releases\n\n /software/*/x86_* \n/data/run?\n/lit\\*eral\n/brackets[ab]/*\n";
        for path in [
            "/software/a/x86_64",
            "/software/.b/x86_",
            "/data/run1",
            "/lit*eral",
            "/brackets[ab]/x",
            "/software//x86_",
        ] {
            assert!(matching(text, path), "{path}");
        }
        for path in [
            "/software/a/b/x86_64",
            "/software/a/x86_64/c",
            "/software/a",
            "/data/run",
            "/data/run/",
            "/data/run12",
            "/literal",
            "/bracketsa/x",
            "",
            "/",
        ] {
            assert!(!matching(text, path), "{path}");
        }
    }

    #[test]
    fn vetoes_cross_slashes() {
        let text = "/sw/*/*\n! *.git\n!/sw/old/*\n";
        assert!(matching(text, "/sw/a/b"));
        assert!(!matching(text, "/sw/a/b.git"));
        assert!(!matching(text, "/sw/old/b"));
    }

    #[test]
    fn repeated_and_trailing_slashes_do_not_count() {
        assert!(matching("//a///b*/\n", "/a/bc"));
    }

    #[test]
    fn wrong_lines_are_named() {
        for (text, line) in [("/a\nb\n", 2), ("/a\\b\n", 1), ("/\n", 1), ("/a\n\n!/a\n", 3), ("/a\\", 1)] {
            assert_eq!(Dirtab::parse(text.as_bytes()).expect_err(text).line, line, "{text}");
        }
    }

    #[test]
    fn many_stars_end() {
        let pattern = format!("/{}b\n", "a*".repeat(60));
        assert!(!matching(&pattern, &format!("/{}", "a".repeat(5000))));
    }
}
