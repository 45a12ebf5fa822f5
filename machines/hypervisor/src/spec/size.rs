//! Sizes of memory and disks, in whole megabytes (2^20 bytes).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::SpecError;

/// The most: 64 TiB, in megabytes.
const MOST: u64 = 64 << 20;

/// A size in units of 2^20 bytes, at least one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Megabytes(u64);

impl Megabytes {
    /// So many.
    ///
    /// # Errors
    /// [`SpecError::Size`] for none, or more than 64 TiB.
    pub fn new(number: u64) -> Result<Self, SpecError> {
        if number == 0 || number > MOST {
            return Err(SpecError::Size { text: format!("{number}M") });
        }
        Ok(Self(number))
    }

    /// How many megabytes.
    pub fn number(self) -> u64 {
        self.0
    }

    /// How many bytes.
    pub fn bytes(self) -> u64 {
        self.0 << 20
    }
}

impl FromStr for Megabytes {
    type Err = SpecError;

    /// `512M`, `10G`, `1T`, also with `iB` or `B` behind it.
    fn from_str(text: &str) -> Result<Self, SpecError> {
        let wrong =
            || SpecError::Size { text: text.chars().take(40).flat_map(char::escape_default).collect() };
        let unit = text.find(|character: char| !character.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(unit);
        let factor = match unit.trim_end_matches("iB").trim_end_matches('B') {
            "M" | "m" => 1,
            "G" | "g" => 1 << 10,
            "T" | "t" => 1 << 20,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(factor).and_then(|number| Self::new(number).ok()).ok_or_else(wrong)
    }
}

impl fmt::Display for Megabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            number if number % (1 << 20) == 0 => write!(f, "{}T", number >> 20),
            number if number % (1 << 10) == 0 => write!(f, "{}G", number >> 10),
            number => write!(f, "{number}M"),
        }
    }
}

impl TryFrom<u64> for Megabytes {
    type Error = SpecError;

    fn try_from(number: u64) -> Result<Self, SpecError> {
        Self::new(number)
    }
}

impl From<Megabytes> for u64 {
    fn from(size: Megabytes) -> Self {
        size.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, number) in
            [("512M", 512), ("10G", 10 << 10), ("2T", 2 << 20), ("3GiB", 3 << 10), ("1GB", 1024)]
        {
            assert_eq!(text.parse::<Megabytes>().expect("because it is a size").number(), number);
        }
        for text in [
            "",
            "10",
            "G",
            "0M",
            "-1G",
            "1.5G",
            "65T",
            "99999999999999999999G",
            "1G,x=y",
            "18014398509481984M",
        ] {
            assert!(text.parse::<Megabytes>().is_err(), "{text}");
        }
        let shown = |number| Megabytes::new(number).expect("because it is a size").to_string();
        assert_eq!([shown(512), shown(2048), shown(1025), shown(1 << 20)], ["512M", "2G", "1025M", "1T"]);
    }
}
