//! Patterns of device aliases: `*`, `?` and `[...]` as in shells. Pure, in linear space.

/// Whether a whole text matches a pattern.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last star took one more byte.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, t));
            p += 1;
        } else if let Some(next) = one(pattern, p, text[t]) {
            (p, t) = (next, t + 1);
        } else if let Some((star, taken)) = retry {
            (p, t) = (star, taken + 1);
            retry = Some((star, taken + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Where the pattern goes on if what stands at `at` takes this byte.
fn one(pattern: &[u8], at: usize, byte: u8) -> Option<usize> {
    match *pattern.get(at)? {
        b'?' => Some(at + 1),
        b'[' => {
            let end = at + 1 + pattern[at + 1..].iter().position(|&byte| byte == b']')?;
            let mut set = &pattern[at + 1..end];
            while let [first, rest @ ..] = set {
                let (last, rest) = match rest {
                    [b'-', last, rest @ ..] => (last, rest),
                    rest => (first, rest),
                };
                if (*first..=*last).contains(&byte) {
                    return Some(end + 1);
                }
                set = rest;
            }
            None
        }
        other => (other == byte).then_some(at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_shells() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*b*c", "a12b3bc", true),
            ("a*b*c", "a12b3b", false),
            ("v?d[0-9A-F]x*", "vzdBx", true),
            ("v?d[0-9A-F]x*", "vzdGx", false),
            ("[abc]", "b", true),
            ("[a", "[a", false),
            ("abc", "abcd", false),
            ("abc*", "abc", true),
            ("", "", true),
            ("", "x", false),
            ("*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
