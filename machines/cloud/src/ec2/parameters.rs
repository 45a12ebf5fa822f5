//! The parameters of a request of the Query protocol: `Name=value`, `List.1=value`, `Structure.Member=value`, form-encoded.
//!
//! What an action has taken is gone; what is left when it has taken all that it knows is refused by name. So nothing that
//! somebody asked for is ever ignored in silence.

use std::collections::BTreeMap;

use super::fault::Fault;

/// The most parameters of one request: a thousand of anything, each with a few members.
const MOST: usize = 5000;
/// The longest name of one.
const LONGEST_NAME: usize = 256;

/// Parameters that have not been taken yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// What stands before each name, for messages.
    prefix: String,
    values: BTreeMap<String, String>,
}

impl Parameters {
    /// Reads forms, such as a query string and a body.
    ///
    /// # Errors
    /// If there are too many parameters, or one has two values.
    pub fn read<'a>(forms: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Fault> {
        let mut values = BTreeMap::new();
        for (name, value) in forms.into_iter().flat_map(form_urlencoded::parse) {
            if values.len() >= MOST {
                return Err(Fault::new(
                    "InvalidQueryParameter",
                    format!("A request has at most {MOST} parameters."),
                ));
            }
            if name.len() > LONGEST_NAME {
                return Err(Fault::new("InvalidQueryParameter", "The name of a parameter is too long."));
            }
            if let Some(_other) = values.insert(name.to_string(), value.into_owned()) {
                return Err(Fault::new(
                    "InvalidQueryParameter",
                    format!("The parameter {} has more than one value.", shown(&name)),
                ));
            }
        }
        Ok(Self { prefix: String::new(), values })
    }

    /// Those of the request's signature, which say nothing to an action.
    pub fn forget_signature(&mut self) {
        self.values.retain(|name, _| !name.starts_with("X-Amz-"));
    }

    /// A parameter, if it is there.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    /// A parameter that must be there.
    ///
    /// # Errors
    /// `MissingParameter`.
    pub fn required(&mut self, name: &str) -> Result<String, Fault> {
        self.take(name).filter(|value| !value.is_empty()).ok_or_else(|| self.missing(name))
    }

    /// The fault for a parameter that must be there.
    pub fn missing(&self, name: &str) -> Fault {
        let message = format!("The request must contain the parameter {}{name}", self.prefix);
        Fault::new("MissingParameter", message)
    }

    /// A whole number within bounds.
    ///
    /// # Errors
    /// `InvalidParameterValue`.
    pub fn number(&mut self, name: &str, from: u32, to: u32) -> Result<Option<u32>, Fault> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (from..=to).contains(number));
        number
            .map(Some)
            .ok_or_else(|| self.invalid(name, &text, &format!("It must be a number from {from} to {to}.")))
    }

    /// `true` or `false`; absent is false.
    ///
    /// # Errors
    /// `InvalidParameterValue`.
    pub fn flag(&mut self, name: &str) -> Result<bool, Fault> {
        Ok(self.boolean(name)?.unwrap_or_default())
    }

    /// `true` or `false`, if it is there.
    ///
    /// # Errors
    /// `InvalidParameterValue`.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(text) => Err(self.invalid(name, &text, "It must be true or false.")),
        }
    }

    /// The values of `name.1`, `name.2` …, in the order of their numbers.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        let prefix = format!("{name}.");
        let names: Vec<String> = self
            .values
            .range(prefix.clone()..)
            .map(|(name, _)| name)
            .take_while(|name| name.starts_with(&prefix))
            .cloned()
            .collect();
        for name in names {
            if let Some(number) = number_of(&name[prefix.len()..])
                && let Some(value) = self.values.remove(&name)
            {
                found.push((number, value));
            }
        }
        found.sort_by_key(|(number, _)| *number);
        found.into_iter().map(|(_, value)| value).collect()
    }

    /// The members of `name.…`.
    pub fn structure(&mut self, name: &str) -> Self {
        let prefix = format!("{name}.");
        let mut values = BTreeMap::new();
        let mut rest = self.values.split_off(&prefix);
        while let Some((name, value)) = rest.pop_first() {
            match name.strip_prefix(&prefix) {
                Some(member) => values.insert(member.to_owned(), value),
                None => self.values.insert(name, value),
            };
        }
        Self { prefix: format!("{}{prefix}", self.prefix), values }
    }

    /// The members of `name.1.…`, `name.2.…`, in the order of their numbers.
    pub fn structures(&mut self, name: &str) -> Vec<Self> {
        let mut all = self.structure(name);
        let mut found: BTreeMap<u32, Self> = BTreeMap::new();
        for (name, value) in std::mem::take(&mut all.values) {
            match name.split_once('.').and_then(|(number, member)| Some((number_of(number)?, member))) {
                Some((number, member)) => {
                    let prefix = || format!("{}{number}.", all.prefix);
                    let one =
                        found.entry(number).or_insert_with(|| Self { prefix: prefix(), ..Self::default() });
                    one.values.insert(member.to_owned(), value);
                }
                None => {
                    all.values.insert(name, value);
                }
            }
        }
        // What is no member of any is left, to be refused.
        let base = all.prefix.strip_prefix(&self.prefix).unwrap_or_default().to_owned();
        self.values.extend(all.values.into_iter().map(|(name, value)| (format!("{base}{name}"), value)));
        found.into_values().collect()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Every name and value, for comparing requests.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Refuses what nobody took.
    ///
    /// # Errors
    /// `UnknownParameter`.
    pub fn finish(&self) -> Result<(), Fault> {
        match self.values.keys().next() {
            None => Ok(()),
            Some(name) => Err(Fault::new(
                "UnknownParameter",
                format!("The parameter {}{} is not recognized", self.prefix, shown(name)),
            )),
        }
    }

    /// The fault for a value.
    pub fn invalid(&self, name: &str, value: &str, why: &str) -> Fault {
        let message =
            format!("Value ({}) for parameter {}{name} is invalid. {why}", shown(value), self.prefix);
        Fault::new("InvalidParameterValue", message)
    }
}

fn number_of(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Foreign words in a message.
pub(crate) fn shown(words: &str) -> String {
    words.chars().take(100).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: &str) -> Parameters {
        Parameters::read([form.as_bytes()]).unwrap()
    }

    #[test]
    fn lists_and_structures_are_taken_apart() {
        let mut parameters = read(
            "Id.2=b&Id.10=c&Id.1=a&Tag.1.Key=k&Tag.1.Value=v%2Bw&Tag.2.Key=l&Place.Zone=x&Idx=1&Tag.x=1&Tag.=2",
        );
        assert_eq!(parameters.list("Id"), ["a", "b", "c"]);
        let mut tags = parameters.structures("Tag");
        assert_eq!(tags.len(), 2);
        assert_eq!(tags[0].take("Value").unwrap(), "v+w");
        assert_eq!(
            tags[1].required("Value").unwrap_err().message(),
            "The request must contain the parameter Tag.2.Value"
        );
        assert_eq!(parameters.structure("Place").take("Zone").unwrap(), "x");
        let mut left: Vec<_> = parameters.pairs().map(|(name, _)| name.to_owned()).collect();
        left.sort();
        assert_eq!(left, ["Idx", "Tag.", "Tag.x"]);
        assert_eq!(parameters.finish().unwrap_err().code(), "UnknownParameter");
    }

    #[test]
    fn values_are_checked() {
        let mut parameters = read("a=5&b=maybe&c=TRUE&d=5");
        assert_eq!(parameters.number("a", 1, 5).unwrap(), Some(5));
        assert_eq!(parameters.number("d", 6, 7).unwrap_err().code(), "InvalidParameterValue");
        assert_eq!(parameters.flag("b").unwrap_err().code(), "InvalidParameterValue");
        assert!(parameters.flag("c").unwrap());
        assert!(!parameters.flag("e").unwrap());
        assert!(parameters.finish().is_ok());
        assert!(Parameters::read([&b"a=1"[..], b"a=2"]).is_err());
        let many = "a=1&".repeat(10) + &(0..6000).map(|number| format!("x{number}=1&")).collect::<String>();
        assert!(Parameters::read([many.as_bytes()]).is_err());
    }
}
