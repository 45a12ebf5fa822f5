//! RPM's dependencies: names with ranges of versions, and boolean ones such as `(a or b)` and `(a if b)`.

use std::cmp::Ordering;

use crate::version::Evr;

/// A name, and which versions of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) version: Option<(Sense, String)>,
}

/// The sides of a version that are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sense {
    less: bool,
    equal: bool,
    greater: bool,
}

impl Sense {
    /// From what the lists write, or what people do.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let of = |less, equal, greater| Some(Self { less, equal, greater });
        match text {
            "LT" | "<" => of(true, false, false),
            "LE" | "<=" => of(true, true, false),
            "EQ" | "=" | "==" => of(false, true, false),
            "GE" | ">=" => of(false, true, true),
            "GT" | ">" => of(false, false, true),
            _ => None,
        }
    }

    fn symbol(self) -> &'static str {
        match (self.less, self.equal, self.greater) {
            (true, false, _) => "<",
            (true, true, _) => "<=",
            (false, true, true) => ">=",
            (false, _, true) => ">",
            (false, _, false) => "=",
        }
    }
}

impl Dependency {
    /// Whether a dependency on `self` is met by what `provided` stands for: their ranges overlap.
    pub(crate) fn is_met_by(&self, provided: &Self) -> bool {
        let (Some((wanted, version)), Some((offered, other))) = (&self.version, &provided.version) else {
            // Without a version on one side there is nothing to compare.
            return true;
        };
        match Evr::parse(other).compare_in_relation(&Evr::parse(version)) {
            Ordering::Less => offered.greater || wanted.less,
            Ordering::Greater => offered.less || wanted.greater,
            Ordering::Equal => {
                (offered.equal && wanted.equal)
                    || (offered.less && wanted.less)
                    || (offered.greater && wanted.greater)
            }
        }
    }

    /// As people write it.
    pub(crate) fn text(&self) -> String {
        match &self.version {
            None => self.name.clone(),
            Some((sense, version)) => format!("{} {} {version}", self.name, sense.symbol()),
        }
    }
}

/// A boolean dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Formula {
    Simple(Dependency),
    All(Vec<Formula>),
    Any(Vec<Formula>),
    /// What the first means and the second means too.
    With(Box<Formula>, Box<Formula>),
    /// What the first means and the second doesn't.
    Without(Box<Formula>, Box<Formula>),
    /// The first if the second holds, else the third.
    If(Box<Formula>, Box<Formula>, Option<Box<Formula>>),
    /// The first unless the second holds, else the third.
    Unless(Box<Formula>, Box<Formula>, Option<Box<Formula>>),
}

/// Deeper ones are a mistake or worse.
const DEPTH: usize = 20;

impl Formula {
    /// Reads a dependency whose text begins with a parenthesis.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let words = words(text)?;
        let mut parser = Parser { words: &words, at: 0 };
        let formula = parser.group(0)?;
        (parser.at == words.len()).then_some(formula)
    }
}

/// Splits at blanks and at the parentheses that are not part of a name.
fn words(text: &str) -> Option<Vec<&str>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if words.len() > 1000 {
            return None;
        }
        let length = match rest.as_bytes()[0] {
            b'(' | b')' => 1,
            _ => {
                // Parentheses in a name come in pairs: `perl(Foo)`.
                let mut depth = 0_i32;
                let end = rest.bytes().position(|byte| {
                    match byte {
                        b'(' => depth += 1,
                        b')' if depth == 0 => return true,
                        b')' => depth -= 1,
                        _ => return byte.is_ascii_whitespace() && depth == 0,
                    }
                    false
                });
                end.unwrap_or(rest.len())
            }
        };
        let (word, after) = rest.split_at_checked(length)?;
        words.push(word);
        rest = after.trim_start();
    }
    Some(words)
}

struct Parser<'a> {
    words: &'a [&'a str],
    at: usize,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.at).copied()?;
        self.at += 1;
        Some(word)
    }

    /// `( operand operator operand … )`
    fn group(&mut self, depth: usize) -> Option<Formula> {
        if depth > DEPTH || self.next()? != "(" {
            return None;
        }
        let first = self.operand(depth)?;
        let operator = self.next()?;
        let boxed = |formula| Box::new(formula);
        Some(match operator {
            ")" => first,
            "and" | "or" => {
                let mut all = vec![first, self.operand(depth)?];
                loop {
                    match self.next()? {
                        ")" => break,
                        word if word == operator => all.push(self.operand(depth)?),
                        _ => return None,
                    }
                }
                if operator == "and" { Formula::All(all) } else { Formula::Any(all) }
            }
            "with" | "without" => {
                let second = self.operand(depth)?;
                let mut formula = match operator {
                    "with" => Formula::With(boxed(first), boxed(second)),
                    _ => Formula::Without(boxed(first), boxed(second)),
                };
                loop {
                    match self.next()? {
                        ")" => break formula,
                        "with" if operator == "with" => {
                            formula = Formula::With(boxed(formula), boxed(self.operand(depth)?));
                        }
                        _ => return None,
                    }
                }
            }
            "if" | "unless" => {
                let condition = boxed(self.operand(depth)?);
                let otherwise = match self.next()? {
                    ")" => None,
                    "else" => {
                        let otherwise = self.operand(depth)?;
                        if self.next()? != ")" {
                            return None;
                        }
                        Some(boxed(otherwise))
                    }
                    _ => return None,
                };
                match operator {
                    "if" => Formula::If(boxed(first), condition, otherwise),
                    _ => Formula::Unless(boxed(first), condition, otherwise),
                }
            }
            _ => return None,
        })
    }

    fn operand(&mut self, depth: usize) -> Option<Formula> {
        if *self.words.get(self.at)? == "(" {
            return self.group(depth + 1);
        }
        let name = self.next().filter(|name| *name != ")")?.to_owned();
        let mut version = None;
        if let Some(sense) = self.words.get(self.at).copied().and_then(Sense::parse) {
            self.at += 1;
            version = Some((sense, self.next()?.to_owned()));
        }
        Some(Formula::Simple(Dependency { name, version }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(name: &str, sense: &str, version: &str) -> Dependency {
        Dependency {
            name: name.to_owned(),
            version: Sense::parse(sense).map(|sense| (sense, version.to_owned())),
        }
    }

    #[test]
    fn ranges_overlap_or_not() {
        let meets = |sense, version, other_sense, other| {
            dependency("a", sense, version).is_met_by(&dependency("a", other_sense, other))
        };
        assert!(
            meets(">=", "1.0", "=", "1.0-5") && meets("=", "1.0", "=", "1.0-5") && meets("", "", "=", "3")
        );
        assert!(
            !meets("=", "1.0-4", "=", "1.0-5") && !meets("<", "1", "=", "1") && !meets(">", "1:0", "=", "9")
        );
        assert!(meets(">=", "2", ">=", "1") && meets("=", "2", "", "") && !meets("<", "1", ">", "1"));
        assert_eq!(dependency("a", "GE", "1:2-3").text(), "a >= 1:2-3");
    }

    #[test]
    fn boolean_dependencies_are_read() {
        let simple = |name: &str| Formula::Simple(dependency(name, "", ""));
        let boxed = |name| Box::new(simple(name));
        assert_eq!(
            Formula::parse("(a or b or perl(C::D))"),
            Some(Formula::Any(vec![simple("a"), simple("b"), simple("perl(C::D)")]))
        );
        assert_eq!(
            Formula::parse("(a if (b and c) else d)"),
            Some(Formula::If(
                boxed("a"),
                Box::new(Formula::All(vec![simple("b"), simple("c")])),
                Some(boxed("d"))
            ))
        );
        let range = Formula::parse("(x >= 1 with x < 2)");
        let bounds =
            [dependency("x", ">=", "1"), dependency("x", "<", "2")].map(|one| Box::new(Formula::Simple(one)));
        let [lower, upper] = bounds;
        assert_eq!(range, Some(Formula::With(lower, upper)));
        for wrong in [
            "",
            "(",
            "()",
            "(a",
            "(a or)",
            "(a or b and c)",
            "(a b)",
            "a",
            "(a) b",
            "(a if b else)",
            "((((a)",
        ] {
            assert_eq!(Formula::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Formula::parse(&"(".repeat(5000)), None);
    }
}
