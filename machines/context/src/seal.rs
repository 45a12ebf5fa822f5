//! Sealing secrets to keys, by age: X25519, one recipient or several, in ASCII armor.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::str::FromStr;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::ExposeSecret as _;
use age::{Decryptor, Encryptor, x25519};

use crate::document::Document;
use crate::secret::Secret;

/// A longer secret is none.
const MAX_BYTES: u64 = 1 << 20;

/// Why a secret could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Text that is no public key.
    #[error("{0:?} is no public key of age, which begins with age1")]
    Recipient(String),
    /// A file without a secret key.
    #[error("no secret key of age, which begins with AGE-SECRET-KEY-1")]
    Identity,
    /// None of the keys opens it, or it isn't what was sealed.
    #[error("a sealed secret can't be opened by any of the keys")]
    Open,
    /// It is not text, or longer than any secret.
    #[error("what was sealed is no text of at most {MAX_BYTES} bytes")]
    Text,
    /// The library failed.
    #[error("cannot seal a secret: {0}")]
    Seal(String),
}

/// The public half of a key: whom a secret is sealed to.
#[derive(Clone)]
pub struct Recipient(x25519::Recipient);

/// The secret half of a key: what opens what is sealed.
pub struct Identity(x25519::Identity);

impl FromStr for Recipient {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        text.trim().parse().map(Self).map_err(|_| SealError::Recipient(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.0)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.recipient())
    }
}

impl Identity {
    /// A new key.
    pub fn generate() -> Self {
        Self(x25519::Identity::generate())
    }

    /// Its public half.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// What a file keeps of it, as `age-keygen` writes it.
    pub fn to_file(&self) -> String {
        format!("# public key: {}\n{}\n", self.recipient(), self.0.to_string().expose_secret())
    }

    /// The keys in such a file.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, SealError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let identities: Vec<Self> = lines
            .map(|line| line.parse().map(Self).map_err(|_| SealError::Identity))
            .collect::<Result<_, _>>()?;
        if identities.is_empty() { Err(SealError::Identity) } else { Ok(identities) }
    }
}

impl Secret {
    /// The same secret, for these only. One that is sealed or elsewhere stays as it is.
    pub fn seal(&self, recipients: &[Recipient]) -> Result<Self, SealError> {
        let Self::Plain(text) = self else { return Ok(self.clone()) };
        let failed = |error: &dyn fmt::Display| SealError::Seal(error.to_string());
        let recipients = recipients.iter().map(|recipient| &recipient.0 as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(recipients).map_err(|error| failed(&error))?;
        let mut sealed = Vec::new();
        let armor =
            ArmoredWriter::wrap_output(&mut sealed, Format::AsciiArmor).map_err(|error| failed(&error))?;
        let mut writer = encryptor.wrap_output(armor).map_err(|error| failed(&error))?;
        writer
            .write_all(text.as_bytes())
            .and_then(|()| writer.finish())
            .and_then(ArmoredWriter::finish)
            .map_err(|error| failed(&error))?;
        String::from_utf8(sealed).map(Self::Sealed).map_err(|error| failed(&error))
    }

    /// The secret in plain, opened by one of the keys. One that is elsewhere stays so.
    pub fn unseal(&self, identities: &[Identity]) -> Result<Self, SealError> {
        let Self::Sealed(sealed) = self else { return Ok(self.clone()) };
        let decryptor = Decryptor::new(ArmoredReader::new(sealed.as_bytes())).map_err(|_| SealError::Open)?;
        let identities = identities.iter().map(|identity| &identity.0 as &dyn age::Identity);
        let reader = decryptor.decrypt(identities).map_err(|_| SealError::Open)?;
        let mut text = String::new();
        let mut reader = reader.take(MAX_BYTES + 1);
        reader.read_to_string(&mut text).map_err(|_| SealError::Text)?;
        if text.len() as u64 > MAX_BYTES { Err(SealError::Text) } else { Ok(Self::Plain(text)) }
    }
}

impl Document {
    /// Seals every secret that is in plain; then none is left.
    pub fn seal(&mut self, recipients: &[Recipient]) -> Result<(), SealError> {
        self.replace_secrets(|secret| secret.seal(recipients))
    }

    /// Opens every secret that is sealed.
    pub fn unseal(&mut self, identities: &[Identity]) -> Result<(), SealError> {
        self.replace_secrets(|secret| secret.unseal(identities))
    }

    fn replace_secrets(
        &mut self,
        by: impl Fn(&Secret) -> Result<Secret, SealError>,
    ) -> Result<(), SealError> {
        let mut result = Ok(());
        self.secrets(&mut |secret| match by(secret) {
            Ok(new) => *secret = new,
            Err(error) => result = Err(error),
        });
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_a_key_reads_a_secret() {
        let (one, two, other) = (Identity::generate(), Identity::generate(), Identity::generate());
        let secret = Secret::Plain("correct horse".to_owned());
        let sealed = secret.seal(&[one.recipient(), two.recipient()]).unwrap();
        assert!(
            matches!(&sealed, Secret::Sealed(text) if text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"))
        );
        assert!(sealed.unseal(std::slice::from_ref(&one)).unwrap() == secret);
        assert!(sealed.unseal(&[other, two]).unwrap() == secret);
        assert!(matches!(sealed.unseal(&[]), Err(SealError::Open)));
        let Secret::Sealed(text) = sealed else { panic!("sealed") };
        assert!(Secret::Sealed(text.replace('A', "B")).unseal(&[one]).is_err());
    }

    #[test]
    fn keys_are_read_from_what_was_written() {
        let identity = Identity::generate();
        let read = Identity::parse_file(&identity.to_file()).unwrap();
        assert_eq!(read[0].recipient().to_string(), identity.recipient().to_string());
        assert!(Identity::parse_file("# nothing\n").is_err() && Identity::parse_file("age1x").is_err());
        assert!("age1nonsense".parse::<Recipient>().is_err());
    }
}
