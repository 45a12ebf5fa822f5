//! Signs whitelist and manifest again: before the whitelist expires, or with a new repository key.

use std::time::{Duration, SystemTime};

use varve_repository::WHITELIST_VALIDITY;
use varve_store::RepositoryFile;

use crate::error::PublishError;
use crate::head::{Expiry, Head, NewHead, Publisher};
use crate::local::LocalRepository;

/// What was signed.
#[derive(Clone, Debug)]
pub struct Resigned {
    /// When the whitelist ends, for people.
    pub expiry: String,
    /// The newest revision.
    pub revision: u64,
}

/// Signs the whitelist for `validity` from `now` on, 30 days unless told otherwise, and the manifest with the key that is
/// there. Certificates of other publishers stay in the whitelist.
///
/// # Errors
/// [`PublishError::Signing`] if the master key is not on this machine; any other [`PublishError`].
pub fn resign(
    local: &LocalRepository,
    validity: Option<Duration>,
    now: SystemTime,
) -> Result<Resigned, PublishError> {
    let publisher = Publisher::open(local, Expiry::Ignored, now)?;
    let head = &publisher.head;
    let expires = now + validity.unwrap_or(WHITELIST_VALIDITY);
    let algorithm = head.settings.algorithm;
    let others = head.whitelist.certificates();
    let whitelist = publisher.keys.sign_whitelist(now, expires, others, algorithm)?;
    head.store.put_file(RepositoryFile::Whitelist, &whitelist)?;
    let new =
        NewHead { root: head.published(), history: head.history.clone(), meta_info: head.manifest.meta_info };
    publisher.commit(new, || Ok(()))?;
    let signed = Head::open(local, Expiry::Refused, now)?;
    Ok(Resigned { expiry: signed.whitelist.expiry_text(), revision: signed.manifest.revision })
}
