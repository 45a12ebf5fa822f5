//! Session tokens of metadata, version 2: a time and a proof that this server said so, for one machine.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::id::InstanceId;

/// The longest that a token can be good for, in seconds.
pub(super) const LONGEST: u64 = 21_600;

/// What makes and knows the tokens of a server. A new one knows none.
#[derive(Clone)]
pub struct Sessions {
    key: [u8; 32],
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Default for Sessions {
    fn default() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("because the kernel has random numbers");
        Self { key }
    }
}

impl Sessions {
    /// A token for a machine that is good until then, in seconds since 1970.
    pub fn token(&self, machine: &InstanceId, until: u64) -> String {
        let mut bytes = until.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.mac(machine, until).finalize().into_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether a token is good for a machine at a time.
    pub fn is_good(&self, token: &[u8], machine: &InstanceId, now: u64) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else { return false };
        let Some((until, proof)) = bytes.split_first_chunk::<8>() else { return false };
        let until = u64::from_be_bytes(*until);
        until > now && self.mac(machine, until).verify_slice(proof).is_ok()
    }

    fn mac(&self, machine: &InstanceId, until: u64) -> Hmac<Sha256> {
        let mut mac: Hmac<Sha256> =
            Hmac::new_from_slice(&self.key).expect("because any length is good for HMAC");
        mac.update(&until.to_be_bytes());
        mac.update(machine.as_str().as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_machine_and_time() {
        let (sessions, machine) = (Sessions::default(), InstanceId::new());
        let token = sessions.token(&machine, 100);
        assert!(sessions.is_good(token.as_bytes(), &machine, 99));
        assert!(!sessions.is_good(token.as_bytes(), &machine, 100));
        assert!(!sessions.is_good(token.as_bytes(), &InstanceId::new(), 99));
        assert!(!Sessions::default().is_good(token.as_bytes(), &machine, 99));
        for wrong in ["", "a", &token[1..], &"A".repeat(54)] {
            assert!(!sessions.is_good(wrong.as_bytes(), &machine, 0), "{wrong}");
        }
    }
}
