//! Checked pieces of text. Each type says where its values may be written without harm: a config file's line, a word, a
//! path. The one constructor of each is `parse`; deserializing goes through it, so that errors have a place.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::place::shown;

/// Text that is not what its type allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} is not {wanted}")]
pub struct TextError {
    text: String,
    wanted: &'static str,
}

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $wanted:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Checks `text`.
            pub fn parse(text: impl Into<String>) -> Result<Self, TextError> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(TextError { text: shown(&text), wanted: $wanted }) }
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> {
                Self::parse(text)
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).and_then(|text| Self::parse(text).map_err(de::Error::custom))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": concat!("Text that is ", $wanted) })
            }
        }
    };
}

checked_text!(
    /// One line of text: no control characters. Safe wherever a line is what a file is made of, and nothing in the line has
    /// a meaning of its own.
    Line,
    "one line without control characters",
    |text| text.len() <= 65_536 && !text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
);

checked_text!(
    /// Printable ASCII without blanks, quotes and anything that a shell or a configuration file may take for its own.
    /// Addresses, versions, sizes and most settings are of this kind.
    Word,
    "a word: letters, digits and . _ : / @ % + = , ~ - ? & * [ ] ^ ! |",
    |text| !text.is_empty()
        && text.len() <= 4096
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:/@%+=,~-?&*[]^!|".contains(&byte))
);

checked_text!(
    /// The name of a user or a group.
    AccountName,
    "an account name: at most 32 letters, digits, . _ and -, beginning with a letter or _",
    |text| text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
);

checked_text!(
    /// The name of a machine, with or without its domain.
    HostName,
    "a host name: letters, digits and -, parts separated by dots",
    |text| {
        let part = |part: &str| {
            (1..=63).contains(&part.len())
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        text.len() <= 253 && text.split('.').all(part)
    }
);

checked_text!(
    /// The name of a repository, such as `software.example.org`.
    RepositoryName,
    "a repository name such as software.example.org",
    |text| text.len() <= 253
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.contains("..")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
);

checked_text!(
    /// The name of a systemd unit; without a suffix, a service is meant.
    UnitName,
    "a unit's name such as ssh.service",
    |text| (1..=200).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:@-\\".contains(&byte))
);

checked_text!(
    /// The name of a variable.
    VariableName,
    "a variable's name: letters, digits and _, not beginning with a digit",
    |text| text.len() <= 256
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
);

checked_text!(
    /// A plain name: a package, a file's own name, a key of the kernel.
    Name,
    "a name: letters, digits and . _ + : ~ @ -, beginning with a letter or a digit",
    |text| (1..=255).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && !text.contains("..")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+:~@-".contains(&byte))
);

checked_text!(
    /// A path in the machine: absolute, without `.`, `..` and control characters.
    TargetPath,
    "an absolute path without .. and control characters",
    |text| text.len() <= 4095
        && text.starts_with('/')
        && text.len() > 1
        && !text.chars().any(char::is_control)
        && text[1..].split('/').all(|part| !part.is_empty() && part != "." && part != ".." && part.len() <= 255)
);

checked_text!(
    /// A path in the machine that needs no quotes in any file.
    PlainPath,
    "an absolute path of letters, digits and . _ - + @ : without ..",
    |text| TargetPath::parse(text).is_ok()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@:".contains(&byte))
);

impl UnitName {
    /// The name with its suffix.
    #[must_use]
    pub fn with_suffix(&self) -> Self {
        const SUFFIXES: [&str; 10] =
            ["service", "socket", "target", "timer", "path", "mount", "automount", "swap", "device", "slice"];
        match self.rsplit_once('.') {
            Some((_, suffix)) if SUFFIXES.contains(&suffix) => self.clone(),
            _ => Self(format!("{}.service", self.0)),
        }
    }
}

impl TargetPath {
    /// A path that the code itself names.
    pub(crate) fn of(path: impl Into<String>) -> Self {
        let path = path.into();
        debug_assert!(Self::parse(path.clone()).is_ok(), "{path}");
        Self(path)
    }

    /// As people write it: blanks around it, doubled and trailing slashes are forgiven.
    pub fn lenient(text: &str) -> Result<Self, TextError> {
        let mut path = String::new();
        for part in text.trim().split('/').filter(|part| !part.is_empty() && *part != ".") {
            path.push('/');
            path += part;
        }
        Self::parse(if text.trim().starts_with('/') { path } else { text.to_owned() })
    }
}

/// Permission bits: `0644` in octal, or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mode(pub(crate) u32);

impl Mode {
    /// Octal digits, as `chmod` takes them.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let digits = text.trim().trim_start_matches("0o");
        match u32::from_str_radix(digits, 8) {
            Ok(bits) if bits <= 0o7777 && !digits.starts_with(['+', '-']) => Ok(Self(bits)),
            _ => Err(TextError { text: shown(text), wanted: "permissions in octal such as 0644" }),
        }
    }

    /// The bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Mode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("permissions in octal such as \"0644\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Mode, E> {
                Mode::parse(text).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, bits: i64) -> Result<Mode, E> {
                u32::try_from(bits)
                    .ok()
                    .filter(|bits| *bits <= 0o7777)
                    .map(Mode)
                    .ok_or_else(|| E::custom("permissions above 07777"))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Mode {
    fn schema_name() -> Cow<'static, str> {
        "Mode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Permission bits in octal, such as \"0644\"",
            "anyOf": [{ "type": "string", "pattern": "^(0o?)?[0-7]{1,4}$" }, { "type": "integer", "minimum": 0, "maximum": 4095 }]
        })
    }
}

/// Who owns a file: `user`, `user:group`; names or numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user, a name or a number.
    pub user: String,
    /// The group; the user's own where it is not given.
    pub group: Option<String>,
}

impl Owner {
    /// The superuser.
    pub fn root() -> Self {
        Self { user: "root".to_owned(), group: Some("root".to_owned()) }
    }

    /// A user and their own group.
    pub fn user(name: &AccountName) -> Self {
        Self { user: name.to_string(), group: None }
    }

    /// `user`, `user:group` or `user:`.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let fits = |part: &str| {
            AccountName::parse(part).is_ok()
                || (!part.is_empty() && part.len() <= 10 && part.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let (user, group) = match text.trim().split_once(':') {
            Some((user, "")) => (user, None),
            Some((user, group)) => (user, Some(group)),
            None => (text.trim(), None),
        };
        if fits(user) && group.is_none_or(fits) {
            return Ok(Self { user: user.to_owned(), group: group.map(str::to_owned) });
        }
        Err(TextError { text: shown(text), wanted: "an owner such as root:root" })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.user)?;
        match &self.group {
            Some(group) => write!(f, ":{group}"),
            None => Ok(()),
        }
    }
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).and_then(|text| Self::parse(&text).map_err(de::Error::custom))
    }
}

impl JsonSchema for Owner {
    fn schema_name() -> Cow<'static, str> {
        "Owner".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "Who owns a file: user, or user:group; names or numbers" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for bad in ["etc", "/", "/a/../b", "/a\nb", "/a//b", "/./a", ""] {
            assert!(TargetPath::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(TargetPath::lenient(" //etc//motd/ ").unwrap().as_str(), "/etc/motd");
        assert!(TargetPath::lenient("/etc/../x").is_err());
    }

    #[test]
    fn lines_and_words_hold_no_surprises() {
        assert!(Line::parse("a = \"$b\" # c").is_ok());
        assert!(
            Line::parse("a\nb").is_err() && Line::parse("a\u{2028}b").is_err() && Line::parse("a\0").is_err()
        );
        assert!(Word::parse("http://[::1]:8000/a?b=c&d").is_ok());
        for bad in ["", "a b", "-rf", "a'b", "a\"b", "$x", "a`b", "a;b", "a\\b", "a#b", "é"] {
            assert!(Word::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_of_accounts_modes_and_owners() {
        assert!(AccountName::parse("ada.l-1").is_ok() && AccountName::parse("1st").is_err());
        assert!(AccountName::parse("a:b").is_err() && AccountName::parse("").is_err());
        assert_eq!(Mode::parse("0o600").unwrap().bits(), 0o600);
        assert!(Mode::parse("888").is_err() && Mode::parse("17777").is_err());
        assert_eq!(Owner::parse("ada:").unwrap(), Owner { user: "ada".into(), group: None });
        assert!(Owner::parse("a b:c").is_err() && Owner::parse(":x").is_err());
    }

    #[test]
    fn a_unit_without_suffix_is_a_service() {
        assert_eq!(UnitName::parse("ssh").unwrap().with_suffix().as_str(), "ssh.service");
        assert_eq!(UnitName::parse("user@1000.2").unwrap().with_suffix().as_str(), "user@1000.2.service");
        assert_eq!(UnitName::parse("a.timer").unwrap().with_suffix().as_str(), "a.timer");
    }
}
