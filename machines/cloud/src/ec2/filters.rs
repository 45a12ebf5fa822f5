//! Filters of listings: `Filter.1.Name=instance-state-name&Filter.1.Value.1=running`. A filter that isn't known is refused.

use super::fault::Fault;
use super::parameters::{Parameters, shown};
use crate::tag::Tag;

/// The most filters, and the most values of one.
const MOST: usize = 50;
const MOST_VALUES: usize = 200;

/// Filters that all must match.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filters(Vec<Filter>);

#[derive(Clone, Debug)]
struct Filter {
    name: String,
    patterns: Vec<String>,
}

impl Filters {
    /// Takes the filters of a request; `known` are their names beside those of tags.
    pub(crate) fn take(parameters: &mut Parameters, known: &[&str]) -> Result<Self, Fault> {
        let mut filters = Vec::new();
        for mut one in parameters.structures("Filter") {
            let name = one.required("Name")?;
            let patterns = one.list("Value");
            one.finish()?;
            let of_tags = name.starts_with("tag:") || matches!(name.as_str(), "tag-key" | "tag-value");
            if !of_tags && !known.contains(&name.as_str()) {
                let message = format!("The filter '{}' is invalid", shown(&name));
                return Err(Fault::new("InvalidParameterValue", message));
            }
            if patterns.is_empty() {
                return Err(Fault::new(
                    "InvalidParameterValue",
                    format!("The filter '{}' has no values", shown(&name)),
                ));
            }
            if patterns.len() > MOST_VALUES {
                let message = format!(
                    "The maximum number of filter values specified on a single call is {MOST_VALUES}"
                );
                return Err(Fault::new("FilterLimitExceeded", message));
            }
            filters.push(Filter { name, patterns });
        }
        if filters.len() > MOST {
            return Err(Fault::new("FilterLimitExceeded", format!("A request has at most {MOST} filters")));
        }
        Ok(Self(filters))
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something with these tags matches; `field` gives what it has under a name.
    pub(crate) fn match_all(&self, tags: &[Tag], field: impl Fn(&str) -> Vec<String>) -> bool {
        self.0.iter().all(|filter| match filter.name.as_str() {
            "tag-key" => tags.iter().any(|tag| filter.matches(&tag.key)),
            "tag-value" => tags.iter().any(|tag| filter.matches(&tag.value)),
            name => match name.strip_prefix("tag:") {
                Some(key) => tags.iter().any(|tag| tag.key == key && filter.matches(&tag.value)),
                None => field(name).iter().any(|value| filter.matches(value)),
            },
        })
    }
}

impl Filter {
    fn matches(&self, value: &str) -> bool {
        self.patterns.iter().any(|pattern| matches_pattern(pattern.as_bytes(), value.as_bytes()))
    }
}

/// `*` stands for any words, `?` for one character, a backslash takes the meaning off what follows. No pattern takes longer
/// than the product of the lengths.
fn matches_pattern(pattern: &[u8], value: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    // Behind the last star, and where in the value it was tried to begin.
    let mut star: Option<(usize, usize)> = None;
    while seen < value.len() {
        let (step, fits) = match pattern.get(at) {
            Some(b'*') => {
                at += 1;
                star = Some((at, seen));
                continue;
            }
            Some(b'?') => (1, true),
            Some(b'\\') => (2, pattern.get(at + 1) == Some(&value[seen])),
            Some(byte) => (1, *byte == value[seen]),
            None => (0, false),
        };
        if fits {
            at += step;
            seen += 1;
        } else if let Some((behind, tried)) = star {
            star = Some((behind, tried + 1));
            (at, seen) = (behind, tried + 1);
        } else {
            return false;
        }
    }
    pattern[at.min(pattern.len())..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_as_documented() {
        for (pattern, value, expected) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("*", "", true),
            ("a*c", "abbbc", true),
            ("a*c*", "abcbd", true),
            ("a*c", "abcbd", false),
            ("a?c", "abc", true),
            ("?", "", false),
            (r"\*x", "*x", true),
            (r"\*x", "ax", false),
            ("", "", true),
            ("", "a", false),
            (r"a\", "a", false),
        ] {
            assert_eq!(matches_pattern(pattern.as_bytes(), value.as_bytes()), expected, "{pattern} {value}");
        }
        let slow = "*a".repeat(100);
        assert!(!matches_pattern(slow.as_bytes(), "a".repeat(99).as_bytes()));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let take = |form: &str| {
            let mut parameters = Parameters::read([form.as_bytes()]).unwrap();
            Filters::take(&mut parameters, &["state"])
        };
        let filters = take("Filter.1.Name=state&Filter.1.Value.1=on&Filter.1.Value.2=off&Filter.2.Name=tag:a&Filter.2.Value.1=b*").unwrap();
        let tags = [Tag { key: "a".into(), value: "bc".into() }];
        assert!(filters.match_all(&tags, |_| vec!["off".into()]));
        assert!(!filters.match_all(&tags, |_| vec!["x".into()]));
        assert!(!filters.match_all(&[], |_| vec!["off".into()]));
        assert_eq!(
            take("Filter.1.Name=color&Filter.1.Value.1=red").unwrap_err().message(),
            "The filter 'color' is invalid"
        );
        assert!(take("Filter.1.Name=state").is_err());
    }
}
