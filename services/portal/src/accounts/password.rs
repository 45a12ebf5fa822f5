//! Passwords: hashed by argon2id, which takes memory and time on purpose.

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

/// The fewest characters of a password.
const SHORTEST: usize = 10;
/// The most bytes.
const LONGEST: usize = 1000;

/// A password that may be chosen.
#[derive(Clone)]
pub struct Password(String);

/// Why a password can't be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It is too short.
    #[error("a password has at least {SHORTEST} characters")]
    Short,
    /// It is too long.
    #[error("a password has at most {LONGEST} bytes")]
    Long,
    /// Whoever guesses begins with it.
    #[error("that password is the name, or the same character again and again")]
    Obvious,
}

impl Password {
    /// One that somebody chooses for their account.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub fn choose(text: &str, name: &str) -> Result<Self, PasswordError> {
        let first = text.chars().next();
        if text.chars().count() < SHORTEST {
            return Err(PasswordError::Short);
        }
        if text.len() > LONGEST {
            return Err(PasswordError::Long);
        }
        if text.eq_ignore_ascii_case(name) || text.chars().all(|c| Some(c) == first) {
            return Err(PasswordError::Obvious);
        }
        Ok(Self(text.to_owned()))
    }

    /// One that somebody signs in with.
    pub fn tried(text: &str) -> Self {
        Self(text.chars().take(LONGEST).collect())
    }

    /// Its hash; takes tens of milliseconds.
    pub fn hash(&self) -> PasswordHash {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).expect("because the operating system has random numbers");
        let salt = SaltString::encode_b64(&salt).expect("because 16 bytes are a salt");
        let hash = hasher().hash_password(self.0.as_bytes(), &salt);
        PasswordHash(hash.expect("because the parameters are sound").to_string())
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// One that was kept.
    pub fn kept(text: String) -> Self {
        Self(text)
    }

    /// As it is kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is of this password; takes tens of milliseconds.
    pub fn is_of(&self, password: &Password) -> bool {
        let Ok(hash) = argon2::PasswordHash::new(&self.0) else { return false };
        hasher().verify_password(password.0.as_bytes(), &hash).is_ok()
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// As OWASP has it: 19 MiB, two passes.
fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_fits_its_hash() {
        let password = Password::choose("correct horse", "ada").unwrap();
        let hash = password.hash();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        assert!(hash.is_of(&Password::tried("correct horse")));
        assert!(!hash.is_of(&Password::tried("correct hors")));
        assert!(!PasswordHash::kept("nonsense".into()).is_of(&password));
    }

    #[test]
    fn what_everybody_guesses_is_refused() {
        let refused = |text: &str| Password::choose(text, "ada.lovelace").unwrap_err();
        assert_eq!(refused("short"), PasswordError::Short);
        assert_eq!(refused("Ada.Lovelace"), PasswordError::Obvious);
        assert_eq!(refused("aaaaaaaaaaaaa"), PasswordError::Obvious);
        assert_eq!(refused(&"ab".repeat(600)), PasswordError::Long);
    }
}
