//! Texts of stanzas, `Field: value` with continuation lines and an empty line behind each stanza: Debian's indexes, and apt's
//! `.sources` files. What the fields mean is not known here.

/// The stanzas of a text, without the empty lines between them.
pub(crate) fn stanzas(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(['\n', '\r']);
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memmem::find(rest.as_bytes(), b"\n\n").map_or(rest.len(), |end| end + 1);
        let (stanza, after) = rest.split_at(end);
        rest = after;
        Some(stanza)
    })
}

/// The fields of a stanza: name and value, continuation lines with their line feeds. Comment lines are left out.
pub(crate) fn fields(stanza: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = stanza;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let bytes = rest.as_bytes();
            let mut end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
            // Lines that go on begin with a blank.
            while matches!(bytes.get(end + 1), Some(b' ' | b'\t')) {
                end = memchr::memchr(b'\n', &bytes[end + 1..]).map_or(bytes.len(), |more| end + 1 + more);
            }
            let field = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or("");
            if field.starts_with('#') {
                continue;
            }
            if let Some((name, value)) = field.split_once(':') {
                return Some((name, value.trim()));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_go_on_after_blanks() {
        let text = "\nA: 1\nB:\n x\n y\n# no\nC: 2\n\n\nA: 3";
        let all: Vec<Vec<(&str, &str)>> = stanzas(text).map(|stanza| fields(stanza).collect()).collect();
        assert_eq!(all, [vec![("A", "1"), ("B", "x\n y"), ("C", "2")], vec![("A", "3")]]);
        assert_eq!(fields("no field\n ").count(), 0);
    }
}
