//! RPM's order of versions: `[epoch:]version[-release]`, each part compared as `rpmvercmp` does, with `~` before and `^` behind.

use std::cmp::Ordering;

use super::debian::{compare_numbers, split_while};

/// Epoch, version and release; what is missing can match anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evr<'a> {
    pub(crate) epoch: &'a str,
    pub(crate) version: &'a str,
    pub(crate) release: Option<&'a str>,
}

impl<'a> Evr<'a> {
    /// Any text can be taken apart.
    pub(crate) fn parse(text: &'a str) -> Self {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) if epoch.bytes().all(|byte| byte.is_ascii_digit()) => (epoch, rest),
            _ => ("", text),
        };
        let (version, release) = match rest.rsplit_once('-') {
            Some((version, release)) => (version, Some(release)),
            None => (rest, None),
        };
        Self { epoch, version, release }
    }

    /// The order of whole versions: none is smaller than any release.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.compare_start(other).then_with(|| match (self.release, other.release) {
            (Some(one), Some(other)) => compare_part(one.as_bytes(), other.as_bytes()),
            (one, other) => one.is_some().cmp(&other.is_some()),
        })
    }

    /// The order in dependencies: a release that one side doesn't name doesn't matter.
    pub(crate) fn compare_in_relation(&self, other: &Self) -> Ordering {
        self.compare_start(other).then_with(|| match (self.release, other.release) {
            (Some(one), Some(other)) => compare_part(one.as_bytes(), other.as_bytes()),
            _ => Ordering::Equal,
        })
    }

    fn compare_start(&self, other: &Self) -> Ordering {
        compare_numbers(self.epoch.as_bytes(), other.epoch.as_bytes())
            .then_with(|| compare_part(self.version.as_bytes(), other.version.as_bytes()))
    }
}

fn compare_part(mut one: &[u8], mut other: &[u8]) -> Ordering {
    loop {
        let separates = |byte: u8| !byte.is_ascii_alphanumeric() && byte != b'~' && byte != b'^';
        one = split_while(one, separates).1;
        other = split_while(other, separates).1;
        match (one.first(), other.first()) {
            (Some(b'~'), Some(b'~')) | (Some(b'^'), Some(b'^')) => {
                (one, other) = (&one[1..], &other[1..]);
                continue;
            }
            (Some(b'~'), _) => return Ordering::Less,
            (_, Some(b'~')) => return Ordering::Greater,
            (None, None) => return Ordering::Equal,
            (Some(b'^'), None) => return Ordering::Greater,
            (None, Some(b'^')) => return Ordering::Less,
            (Some(b'^'), Some(_)) => return Ordering::Less,
            (Some(_), Some(b'^')) => return Ordering::Greater,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(first), Some(second)) => {
                let order = match (first.is_ascii_digit(), second.is_ascii_digit()) {
                    (true, true) => {
                        let (digits, rest) = split_while(one, |byte| byte.is_ascii_digit());
                        let (other_digits, other_rest) = split_while(other, |byte| byte.is_ascii_digit());
                        (one, other) = (rest, other_rest);
                        compare_numbers(digits, other_digits)
                    }
                    (false, false) => {
                        let (letters, rest) = split_while(one, |byte| byte.is_ascii_alphabetic());
                        let (other_letters, other_rest) =
                            split_while(other, |byte| byte.is_ascii_alphabetic());
                        (one, other) = (rest, other_rest);
                        letters.cmp(other_letters)
                    }
                    // Numbers are newer than letters.
                    (digit, _) => return if digit { Ordering::Greater } else { Ordering::Less },
                };
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn compare(one: &str, other: &str) -> Ordering {
        Evr::parse(one).compare(&Evr::parse(other))
    }

    #[test]
    fn the_documented_cases() {
        use Ordering::{Equal, Greater, Less};
        for (one, other, order) in [
            ("1.0", "1.0", Equal),
            ("1.0", "2.0", Less),
            ("2.0.1", "2.0.1a", Less),
            ("5.5p1", "5.5p2", Less),
            ("5.5p10", "5.5p1", Greater),
            ("10xyz", "10.1xyz", Less),
            ("xyz10", "xyz10.1", Less),
            ("xyz.4", "8", Less),
            ("5.5p2", "5.6p1", Less),
            ("6.0.rc1", "6.0", Greater),
            ("10b2", "10a1", Greater),
            ("7.4.0", "7.4", Greater),
            ("1.0~rc1", "1.0", Less),
            ("1.0~rc1", "1.0~rc2", Less),
            ("1.0~rc1~git123", "1.0~rc1", Less),
            ("1.0^", "1.0", Greater),
            ("1.0^git1", "1.0^git2", Less),
            ("1.0^git1", "1.01", Less),
            ("1.0^20160101", "1.0.1", Less),
            ("1.0^20160102", "1.0^20160101^git1", Greater),
            ("1.0~rc1^git1", "1.0~rc1", Greater),
            ("1.0^git1~pre", "1.0^git1", Less),
            ("2_0", "2.0", Equal),
            ("a+", "a_", Equal),
            ("1:1", "2", Greater),
            ("0:1-1", "1-1", Equal),
            ("1-2", "1-10", Less),
        ] {
            assert_eq!(compare(one, other), order, "{one} {other}");
            assert_eq!(compare(other, one), order.reverse(), "{other} {one}");
        }
    }

    #[test]
    fn a_release_that_is_not_named_matches_any() {
        let relation = |one, other| Evr::parse(one).compare_in_relation(&Evr::parse(other));
        assert_eq!(relation("1.0-5", "1.0"), Ordering::Equal);
        assert_eq!(relation("1.1-5", "1.0"), Ordering::Greater);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Where there is an rpm, it says the same.
        #[test]
        fn rpm_agrees(
            pairs in proptest::collection::vec(("[0-9a-c.~^_]{1,6}", "[0-9a-c.~^_]{1,6}"), 8),
        ) {
            let eval: String = pairs
                .iter()
                .map(|(one, other)| format!("%{{lua: print(rpm.vercmp('{one}', '{other}'), ' ')}}"))
                .collect();
            let Ok(output) = Command::new("rpm").args(["--eval", &eval]).output() else { return Ok(()) };
            let text = String::from_utf8_lossy(&output.stdout);
            let orders: Vec<i32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            prop_assert_eq!(orders.len(), pairs.len(), "{}", text);
            for ((one, other), order) in pairs.iter().zip(orders) {
                prop_assert_eq!(compare_part(one.as_bytes(), other.as_bytes()), order.cmp(&0), "{} {}", one, other);
            }
        }
    }
}
