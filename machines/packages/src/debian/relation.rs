//! Debian's relations between packages, as in `Depends: a (>= 1) | b:any, c`.

use std::cmp::Ordering;

use crate::family::Family;
use crate::version::compare_versions;

/// One alternative: a name, and which versions of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Relation<'a> {
    pub(crate) name: &'a str,
    /// `any`, `native` or an architecture.
    pub(crate) qualifier: Option<&'a str>,
    pub(crate) version: Option<(Operator, &'a str)>,
}

/// How a version compares to the one that is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Less,
    LessEqual,
    Equal,
    GreaterEqual,
    Greater,
}

impl Operator {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "<<" => Self::Less,
            // The single ones are what old packages say.
            "<=" | "<" => Self::LessEqual,
            "=" => Self::Equal,
            ">=" | ">" => Self::GreaterEqual,
            ">>" => Self::Greater,
            _ => return None,
        })
    }

    pub(crate) fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::GreaterEqual => order.is_ge(),
            Self::Greater => order.is_gt(),
        }
    }
}

impl<'a> Relation<'a> {
    /// Reads `name[:qualifier] [(operator version)]`.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (name, version) = match text.split_once('(') {
            None => (text, None),
            Some((name, rest)) => {
                let rest = rest.strip_suffix(')')?.trim();
                let end = rest.find(|c: char| !"<>=".contains(c))?;
                let version = rest[end..].trim();
                if version.is_empty() || version.contains([' ', '(', ')']) {
                    return None;
                }
                (name.trim_end(), Some((Operator::parse(&rest[..end])?, version)))
            }
        };
        let (name, qualifier) = match name.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (name, None),
        };
        let valid = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
        };
        (valid(name) && qualifier.is_none_or(valid)).then_some(Self { name, qualifier, version })
    }

    /// Whether a version of the package that is named will do.
    pub(crate) fn admits(&self, version: &str) -> bool {
        self.version.is_none_or(|(operator, wanted)| {
            operator.holds(compare_versions(Family::Debian, version, wanted))
        })
    }

    /// Whether a package that provides the name, at a version or at none, will do.
    pub(crate) fn admits_provided(&self, version: Option<&str>) -> bool {
        match version {
            Some(version) => self.admits(version),
            None => self.version.is_none(),
        }
    }
}

/// The parts of a field between commas, empty ones left out.
pub(crate) fn parts(field: &str) -> impl Iterator<Item = &str> {
    field.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// The alternatives of a part.
pub(crate) fn alternatives(part: &str) -> impl Iterator<Item = Option<Relation<'_>>> {
    part.split('|').map(Relation::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_read() {
        let relation = Relation::parse(" libc6:any (>= 2.36-9) ").expect("because it is one");
        assert_eq!((relation.name, relation.qualifier), ("libc6", Some("any")));
        assert!(relation.admits("2.36-9+deb12u1") && !relation.admits("2.36-8"));
        assert!(relation.admits_provided(Some("3")) && !relation.admits_provided(None));
        assert_eq!(
            Relation::parse("a(<<1)").map(|relation| relation.version),
            Some(Some((Operator::Less, "1")))
        );
        for wrong in
            ["", "a b", "a (1)", "a (>= )", "a (>= 1", "a (=> 1)", "a [amd64]", "a:", ":any", "a (= 1 2)"]
        {
            assert_eq!(Relation::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn fields_are_split() {
        assert_eq!(parts("a, b | c ,, d").collect::<Vec<_>>(), ["a", "b | c", "d"]);
        assert_eq!(alternatives("b | c (= 1)").flatten().count(), 2);
    }
}
