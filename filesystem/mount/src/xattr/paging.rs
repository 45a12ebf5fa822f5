//! Long values in pages: `name~2` is page 2 for programs, `name@2` the same for people, `name~?` and `name@?` say how many
//! there are. Without any of it page 0.

/// A page becomes at most one entry longer than this, in bytes; values can't exceed 64 KiB.
pub(super) const LONGEST_PAGE: usize = 40_000;

/// Which part of a value is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// A page as it is.
    Machine(usize),
    /// A page with a line that explains it.
    Human(usize),
    /// How many there are.
    MachineCount,
    /// How many there are, explained.
    HumanCount,
}

impl Page {
    /// The attribute's name and the page asked for; no page if what stands behind the name is none.
    pub(super) fn split(name: &[u8]) -> (&[u8], Option<Self>) {
        for (separator, count, page) in [
            (b'@', Self::HumanCount, Self::Human as fn(usize) -> Self),
            (b'~', Self::MachineCount, Self::Machine),
        ] {
            if let Some(last) = name.iter().rposition(|&byte| byte == separator) {
                let first = name.iter().position(|&byte| byte == separator).unwrap_or(last);
                let asked = match &name[last + 1..] {
                    b"?" => Some(count),
                    digits if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
                        std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).map(page)
                    }
                    _ => None,
                };
                return (&name[..first], asked);
            }
        }
        (name, Some(Self::Machine(0)))
    }

    /// What is asked for of a value, `None` if there is no such page.
    pub(super) fn of(self, pages: &[Vec<u8>]) -> Option<Vec<u8>> {
        let count = pages.len();
        match self {
            Self::Machine(page) => pages.get(page).cloned(),
            Self::MachineCount => Some(format!("num_pages, {count}").into_bytes()),
            Self::HumanCount => Some(
                format!("{count} pages: append ~N to the name for page N, or @N for the page with a heading")
                    .into_bytes(),
            ),
            Self::Human(page) => match pages.get(page) {
                Some(content) => {
                    let mut text =
                        format!("# page {page} of {count}, counted from 0 (others: append ~N or @N)\n")
                            .into_bytes();
                    text.extend_from_slice(content);
                    Some(text)
                }
                None => Some(format!("there is no page {page}, only {count} counted from 0").into_bytes()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_asked_for_by_name() {
        let pages = [b"first".to_vec(), b"second".to_vec()];
        let ask = |name: &str| Page::split(name.as_bytes()).1.and_then(|page| page.of(&pages));
        assert_eq!(ask("user.chunk_list"), Some(b"first".to_vec()));
        assert_eq!(ask("user.chunk_list~1"), Some(b"second".to_vec()));
        assert_eq!(ask("user.chunk_list~2"), None);
        assert_eq!(ask("user.chunk_list~x"), None);
        assert_eq!(ask("user.chunk_list~?"), Some(b"num_pages, 2".to_vec()));
        assert!(ask("user.chunk_list@1").unwrap().ends_with(b"\nsecond"));
        assert!(ask("user.chunk_list@9").is_some());
        assert_eq!(Page::split(b"user.a~1~2"), (&b"user.a"[..], Some(Page::Machine(2))));
    }
}
