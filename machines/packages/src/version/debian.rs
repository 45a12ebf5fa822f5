//! Debian's order of versions: `[epoch:]upstream[-revision]`, see deb-version(7).

use std::cmp::Ordering;

/// Compares two versions.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    let (one, other) = (split(one), split(other));
    compare_numbers(one.0.as_bytes(), other.0.as_bytes())
        .then_with(|| compare_part(one.1.as_bytes(), other.1.as_bytes()))
        .then_with(|| compare_part(one.2.as_bytes(), other.2.as_bytes()))
}

/// Epoch, upstream's version, revision.
fn split(version: &str) -> (&str, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// By turns what is no digit, letters before all else and `~` before even the end, and numbers.
fn compare_part(mut one: &[u8], mut other: &[u8]) -> Ordering {
    while !one.is_empty() || !other.is_empty() {
        let (text, rest) = split_while(one, |byte| !byte.is_ascii_digit());
        let (other_text, other_rest) = split_while(other, |byte| !byte.is_ascii_digit());
        let longest = text.len().max(other_text.len());
        for at in 0..longest {
            let order = weight(text.get(at)).cmp(&weight(other_text.get(at)));
            if order != Ordering::Equal {
                return order;
            }
        }
        let (digits, rest) = split_while(rest, |byte| byte.is_ascii_digit());
        let (other_digits, other_rest) = split_while(other_rest, |byte| byte.is_ascii_digit());
        let order = compare_numbers(digits, other_digits);
        if order != Ordering::Equal {
            return order;
        }
        (one, other) = (rest, other_rest);
    }
    Ordering::Equal
}

fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

/// Numbers of any length.
pub(super) fn compare_numbers(one: &[u8], other: &[u8]) -> Ordering {
    let (one, other) = (without_zeros(one), without_zeros(other));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    &digits[zeros..]
}

pub(super) fn split_while(bytes: &[u8], holds: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !holds(*byte)).unwrap_or(bytes.len());
    bytes.split_at(end)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_manuals_examples() {
        let ascending = ["~~", "~~a", "~", "", "a"];
        for pair in ascending.windows(2) {
            assert_eq!(compare_part(pair[0].as_bytes(), pair[1].as_bytes()), Ordering::Less, "{pair:?}");
        }
        let ascending =
            ["1.0~beta1~svn1245", "1.0~beta1", "1.0", "1.0-1", "1.0-1+b1", "1.0.1", "1.10", "1:0"];
        for pair in ascending.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
        for (one, other) in [("0:1", "1"), ("1.00", "1.0"), ("1-0", "1"), ("1.a01", "1.a1")] {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} {other}");
        }
    }

    fn dpkg(one: &str, relation: &str, other: &str) -> Option<bool> {
        let status = Command::new("dpkg").args(["--compare-versions", one, relation, other]).status().ok()?;
        Some(status.success())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Where there is a dpkg, it says the same.
        #[test]
        fn dpkg_agrees(
            one in "([0-2]:)?[0-9]([0-9a-cA+.~-]{0,8}[0-9a])?",
            other in "([0-2]:)?[0-9]([0-9a-cA+.~-]{0,8}[0-9a])?",
        ) {
            let Some(less) = dpkg(&one, "lt", &other) else { return Ok(()) };
            let greater = dpkg(&one, "gt", &other) == Some(true);
            let expected = match (less, greater) {
                (true, _) => Ordering::Less,
                (_, true) => Ordering::Greater,
                _ => Ordering::Equal,
            };
            prop_assert_eq!(compare(&one, &other), expected);
        }

        #[test]
        fn it_is_an_order(texts in proptest::collection::vec("[0-9a:.~+-]{0,6}", 3)) {
            let [one, two, three] = &texts[..] else { return Ok(()) };
            prop_assert_eq!(compare(one, two), compare(two, one).reverse());
            if compare(one, two).is_le() && compare(two, three).is_le() {
                prop_assert!(compare(one, three).is_le());
            }
        }
    }
}
