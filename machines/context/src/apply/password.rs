//! Passwords in shadow(5). A password that was set once is not set again: by then its user may have chosen another.
//!
//! `/var/lib/varve/context/passwords` keeps what was set, by user, as hashes that only root can read.

use sha_crypt::{PasswordHasher as _, PasswordVerifier as _, ShaCrypt};

use super::ActionError;
use super::accounts::Accounts;
use super::files::unavailable;
use super::root::{Metadata, Root};
use crate::plan::STATE;
use crate::secret::Secret;
use crate::text::AccountName;

/// Sets a password, dated by the day `changed`; 0 means that a new one must be chosen.
pub(super) fn set(
    root: &Root,
    user: &AccountName,
    password: &Secret,
    locked: bool,
    changed: u32,
) -> Result<bool, ActionError> {
    let text = password.plain().ok_or_else(|| unavailable(&format!("the password of {user}"), password))?;
    let mut accounts = Accounts::read(root)?;
    if accounts.account(user).is_none() {
        return Err(ActionError::Refused(format!("there is no user {user} in the machine")));
    }
    let path = format!("{STATE}/passwords");
    let record = root.read(&path)?.map(|existing| existing.bytes).unwrap_or_default();
    let record = String::from_utf8_lossy(&record).into_owned();
    let mut lines: Vec<&str> = record.lines().filter(|line| !line.is_empty()).collect();
    let start = format!("{user}:");
    if lines.iter().filter_map(|line| line.strip_prefix(&start)).any(|hash| is_password(text, hash)) {
        return Ok(false);
    }
    let hash = if is_hash(text) { text.to_owned() } else { hash(text)? };
    let field = if locked { format!("!{hash}") } else { hash.clone() };
    accounts.shadow.set(user, 1, field.as_bytes());
    accounts.shadow.set(user, 2, changed.to_string().as_bytes());
    accounts.write()?;
    lines.retain(|line| !line.starts_with(&start));
    let line = format!("{user}:{hash}");
    lines.push(&line);
    root.replace(&path, format!("{}\n", lines.join("\n")).as_bytes(), Metadata::root(0o600))?;
    Ok(true)
}

/// Whether text is a hash as crypt(5) makes them, and no password.
pub(crate) fn is_hash(text: &str) -> bool {
    let mut parts = text.split('$');
    let kind = ["1", "2a", "2b", "2y", "5", "6", "y", "7", "gy", "sha1"];
    parts.next() == Some("")
        && parts.next().is_some_and(|id| kind.contains(&id))
        && parts.clone().count() >= 2
        && parts.all(|part| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./=,".contains(&byte)))
}

fn is_password(text: &str, hash: &str) -> bool {
    text == hash || (!is_hash(text) && ShaCrypt::SHA512.verify_password(text.as_bytes(), hash).is_ok())
}

fn hash(password: &str) -> Result<String, ActionError> {
    let failed = |why: String| ActionError::Refused(format!("cannot hash a password: {why}"));
    // What crypt(3) takes of a salt: 16 characters, which 12 bytes become.
    let mut salt = [0; 12];
    getrandom::fill(&mut salt).map_err(|error| failed(error.to_string()))?;
    let hash = ShaCrypt::SHA512
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|error| failed(error.to_string()))?;
    Ok(hash.to_string())
}
