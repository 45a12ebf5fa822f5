//! PINs: eight letters that make no words and aren't mistaken for each other, as RFC 8628 proposes; 34 bits.

use std::fmt;
use std::str::FromStr;

const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LENGTH: usize = 8;

/// A PIN.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pin(String);

/// Text that is no PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a PIN has eight letters, such as BCDF-GHJK")]
pub struct PinError;

impl Pin {
    /// A new one.
    pub fn generate() -> Self {
        Self(crate::ids::random_of(LETTERS, LENGTH))
    }

    /// As it is kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pin {
    type Err = PinError;

    /// As people type it.
    fn from_str(text: &str) -> Result<Self, PinError> {
        let letters = text.chars().take(40).filter(|c| !c.is_whitespace() && !matches!(c, '-' | '.' | '_'));
        let letters: String = letters.map(|c| c.to_ascii_uppercase()).collect();
        let sound = letters.len() == LENGTH && letters.bytes().all(|byte| LETTERS.contains(&byte));
        if sound { Ok(Self(letters)) } else { Err(PinError) }
    }
}

impl fmt::Display for Pin {
    /// As it is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at(LENGTH / 2);
        write!(f, "{first}-{second}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_as_it_is_typed() {
        let pin = Pin::generate();
        assert_eq!(pin.to_string().parse(), Ok(pin.clone()));
        assert_eq!(pin.to_string().to_lowercase().replace('-', " ").parse(), Ok(pin));
        for text in ["", "AEIO-UAEI", "BCDF-GHJ", "BCDF-GHJK-L", "12345678"] {
            assert_eq!(text.parse::<Pin>(), Err(PinError), "{text}");
        }
    }
}
