//! Fields of forms, as browsers send them.

/// The first field of that name.
pub(crate) fn field(body: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let mut fields = text.split('&').filter_map(|pair| pair.split_once('='));
    fields.find(|(found, _)| *found == name).map(|(_, value)| decoded(value))
}

/// What stands behind `%` and `+`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits =
                    [rest.next(), rest.next()].map(|digit| char::from(digit.unwrap_or(b'x')).to_digit(16));
                match digits {
                    [Some(high), Some(low)] => (high * 16 + low) as u8,
                    _ => b'?',
                }
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A place to go on at after signing in: a path of this hub's.
pub(crate) fn next(text: &str) -> &str {
    let local = text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains(['\\', '\r', '\n', '\t'])
        && text.len() < 500
        && text.is_ascii();
    if local { text } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded() {
        assert_eq!(field(b"a=1&csrf=x%2Fy+z&csrf=2", "csrf").as_deref(), Some("x/y z"));
        assert_eq!(field(b"a=%zz%4", "a").as_deref(), Some("??"));
        assert_eq!(field(b"a=1", "b"), None);
    }

    #[test]
    fn nobody_is_led_elsewhere() {
        assert_eq!(next("/contexts?q=1"), "/contexts?q=1");
        for text in ["", "//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb"] {
            assert_eq!(next(text), "/", "{text}");
        }
    }
}
