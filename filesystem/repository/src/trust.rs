//! The chain of trust: master key (or certificate authority) → whitelist → certificate → manifest.
//!
//! ```text
//! SignedWhitelist --verify_whitelist--> Whitelist ─┐
//! certificate object ───────────────────────────────┼─ verify_manifest ──> Manifest
//! SignedManifest ──────────────────────────────────┘
//! ```
//!
//! Pure: who fetches the bytes and what happens when they are refused is the business of [`crate::Repository`].

use std::time::SystemTime;

use varve_content::Algorithm;

use crate::authorities::Purpose;
use crate::certificate::CertificateError;
use crate::manifest::ManifestError;
use crate::pkcs7::{Pkcs7, Pkcs7Error};
use crate::signature::{LetterError, Padding, text_of};
use crate::whitelist::{WhitelistError, WhitelistFields};
use crate::{
    Blacklist, Certificate, CertificateAuthorities, Manifest, PublicKeys, RepositoryName, SignedManifest,
    SignedWhitelist, Whitelist, WhitelistVerification,
};

/// Whom somebody who mounts repositories believes.
#[derive(Debug, Default)]
pub struct Trust {
    /// Master keys: any of them may have signed a whitelist.
    pub keys: PublicKeys,
    /// Certificates and revisions that are refused.
    pub blacklist: Blacklist,
    /// Who may stand behind whitelists and certificates that ask for it.
    pub authorities: CertificateAuthorities,
}

/// The bytes that prove a manifest, apart from itself. None of them need to be trusted.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// `.cvmfswhitelist`.
    pub whitelist: &'a [u8],
    /// `.cvmfswhitelist.pkcs7`, where the whitelist asks for it.
    pub pkcs7: Option<&'a [u8]>,
    /// The certificate object that the manifest names, decompressed.
    pub certificate: &'a [u8],
}

impl Trust {
    /// Belief in the holders of these keys, and in nobody else.
    pub fn in_keys(keys: PublicKeys) -> Self {
        Self { keys, ..Self::default() }
    }

    /// Follows the whole chain.
    ///
    /// # Errors
    /// [`TrustError`]: the first link that does not hold.
    pub fn verify(
        &self,
        repository: &RepositoryName,
        manifest: SignedManifest,
        evidence: &Evidence<'_>,
        now: SystemTime,
    ) -> Result<Manifest, TrustError> {
        let whitelist = self.verify_whitelist(repository, evidence.whitelist, evidence.pkcs7, now)?;
        self.verify_manifest(repository, manifest, &whitelist, evidence.certificate, now)
    }

    /// The upper half: the whitelist, by a master key or by PKCS #7, with its name and its expiry.
    ///
    /// # Errors
    /// [`TrustError`]: what does not hold.
    pub fn verify_whitelist(
        &self,
        repository: &RepositoryName,
        whitelist: &[u8],
        pkcs7: Option<&[u8]>,
        now: SystemTime,
    ) -> Result<Whitelist, TrustError> {
        let whitelist = self.verify_signed_whitelist(repository, whitelist, pkcs7, now)?;
        if whitelist.has_expired(now) {
            return Err(TrustError::WhitelistExpired {
                repository: repository.clone(),
                expiry: whitelist.expiry_text(),
            });
        }
        Ok(whitelist)
    }

    /// As [`Self::verify_whitelist`], but it may have expired: for files that were verified when they were kept and are
    /// used again while no server can be reached.
    ///
    /// # Errors
    /// [`TrustError`]: what does not hold.
    pub fn verify_kept_whitelist(
        &self,
        repository: &RepositoryName,
        whitelist: &[u8],
        pkcs7: Option<&[u8]>,
        now: SystemTime,
    ) -> Result<Whitelist, TrustError> {
        self.verify_signed_whitelist(repository, whitelist, pkcs7, now)
    }

    /// The lower half: the certificate by the whitelist, the manifest by the certificate.
    ///
    /// # Errors
    /// [`TrustError`]: what does not hold.
    pub fn verify_manifest(
        &self,
        repository: &RepositoryName,
        manifest: SignedManifest,
        whitelist: &Whitelist,
        certificate: &[u8],
        now: SystemTime,
    ) -> Result<Manifest, TrustError> {
        let repository = || repository.clone();
        if manifest.claims().repository != repository() {
            return Err(TrustError::ManifestName {
                repository: repository(),
                found: manifest.claims().repository.to_string(),
            });
        }
        let certificate = Certificate::from_pem(certificate)
            .map_err(|source| TrustError::Certificate { repository: repository(), source })?;
        let fingerprint = || certificate.fingerprint(Algorithm::Sha1).fingerprint();
        if self.blacklist.refuses_certificate(&certificate) {
            return Err(TrustError::CertificateBlacklisted {
                repository: repository(),
                fingerprint: fingerprint(),
            });
        }
        if !whitelist.names(&certificate) {
            return Err(TrustError::CertificateNotListed {
                repository: repository(),
                fingerprint: fingerprint(),
            });
        }
        if whitelist.demands_ca_chain() {
            self.authorities
                .verify(certificate.der(), &[], Purpose::Manifest, now)
                .map_err(|source| TrustError::CertificateChain { repository: repository(), source })?;
        }
        if !manifest.letter().is_signed_by(certificate.key(), Padding::Sha1) {
            return Err(TrustError::ManifestSignature { repository: repository() });
        }
        let lowest = self.blacklist.lowest_revision(&repository());
        if manifest.claims().revision < lowest {
            return Err(TrustError::RevisionBlacklisted {
                repository: repository(),
                revision: manifest.claims().revision,
                lowest,
            });
        }
        Ok(Manifest::new_verified(manifest))
    }

    fn verify_signed_whitelist(
        &self,
        repository: &RepositoryName,
        whitelist: &[u8],
        pkcs7: Option<&[u8]>,
        now: SystemTime,
    ) -> Result<Whitelist, TrustError> {
        let malformed = |source| TrustError::Whitelist { repository: repository.clone(), source };
        let signed = SignedWhitelist::parse(whitelist).map_err(malformed)?;
        // The name first: a whitelist of another repository is a mistake that deserves its own message.
        Self::check_name(repository, signed.fields())?;
        let fields = match (signed.verification(), signed.letter()) {
            (WhitelistVerification::MasterKey, Some(letter)) => {
                if self.keys.is_empty() {
                    return Err(TrustError::NoKeys { repository: repository.clone() });
                }
                if !self.keys.iter().any(|key| letter.is_signed_by(key, Padding::Unprefixed)) {
                    return Err(TrustError::WhitelistSignature {
                        repository: repository.clone(),
                        keys: self.keys.len(),
                    });
                }
                signed.fields().clone()
            }
            _ => self.verify_pkcs7(repository, pkcs7, now)?,
        };
        Ok(Whitelist::new_verified(fields))
    }

    fn verify_pkcs7(
        &self,
        repository: &RepositoryName,
        pkcs7: Option<&[u8]>,
        now: SystemTime,
    ) -> Result<WhitelistFields, TrustError> {
        if self.authorities.is_empty() {
            return Err(TrustError::NoAuthorities { repository: repository.clone() });
        }
        let wrap = |source| TrustError::Pkcs7 { repository: repository.clone(), source };
        let bytes = pkcs7.ok_or_else(|| TrustError::Pkcs7Missing { repository: repository.clone() })?;
        let pkcs7 = Pkcs7::parse(bytes).map_err(wrap)?;
        let (content, uris) = pkcs7.verify(&self.authorities, now).map_err(wrap)?;
        if !uris.contains(&format!("cvmfs:{repository}")) {
            return Err(TrustError::Pkcs7Signer { repository: repository.clone() });
        }
        let malformed = |source| TrustError::Whitelist { repository: repository.clone(), source };
        let text = text_of(content).map_err(|source| malformed(source.into()))?;
        let fields = WhitelistFields::parse(text).map_err(malformed)?;
        Self::check_name(repository, &fields)?;
        Ok(fields)
    }

    fn check_name(repository: &RepositoryName, fields: &WhitelistFields) -> Result<(), TrustError> {
        if fields.repository() == repository.as_str() {
            return Ok(());
        }
        Err(TrustError::WhitelistName {
            repository: repository.clone(),
            found: fields.repository().chars().take(80).collect(),
        })
    }
}

/// Which link of the chain does not hold. Every one of these is about integrity: nothing of it may be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// What came is no manifest.
    #[error("manifest of {repository} is unusable")]
    Manifest {
        /// The repository asked for.
        repository: RepositoryName,
        /// What is wrong with it.
        #[source]
        source: ManifestError,
    },
    /// Another repository's manifest.
    #[error("manifest that came for {repository} belongs to '{found}'")]
    ManifestName {
        /// The repository asked for.
        repository: RepositoryName,
        /// The name in it.
        found: String,
    },
    /// The manifest names no certificate.
    #[error("manifest of {repository} names no certificate")]
    NoCertificate {
        /// The repository asked for.
        repository: RepositoryName,
    },
    /// Somebody else signed the manifest, or it was changed.
    #[error("manifest of {repository} is not signed by the certificate that it names")]
    ManifestSignature {
        /// The repository asked for.
        repository: RepositoryName,
    },
    /// What came is no whitelist.
    #[error("whitelist of {repository} is unusable")]
    Whitelist {
        /// The repository asked for.
        repository: RepositoryName,
        /// What is wrong with it.
        #[source]
        source: WhitelistError,
    },
    /// Another repository's whitelist.
    #[error("whitelist that came for {repository} belongs to '{found}'")]
    WhitelistName {
        /// The repository asked for.
        repository: RepositoryName,
        /// The name in it.
        found: String,
    },
    /// It was not signed again in time.
    #[error("whitelist of {repository} expired at {expiry}")]
    WhitelistExpired {
        /// The repository asked for.
        repository: RepositoryName,
        /// When, for people.
        expiry: String,
    },
    /// None of the keys signed the whitelist.
    #[error("whitelist of {repository} is signed by none of the {keys} configured public keys")]
    WhitelistSignature {
        /// The repository asked for.
        repository: RepositoryName,
        /// How many keys were tried.
        keys: usize,
    },
    /// There is no key to verify with.
    #[error("no public key is configured for {repository}")]
    NoKeys {
        /// The repository asked for.
        repository: RepositoryName,
    },
    /// There is no authority to verify with.
    #[error("whitelist of {repository} needs a certificate authority and none is configured")]
    NoAuthorities {
        /// The repository asked for.
        repository: RepositoryName,
    },
    /// The second file of the whitelist was not had.
    #[error("whitelist of {repository} comes without its PKCS #7 file")]
    Pkcs7Missing {
        /// The repository asked for.
        repository: RepositoryName,
    },
    /// The second file of the whitelist is not accepted.
    #[error("PKCS #7 whitelist of {repository} is not accepted")]
    Pkcs7 {
        /// The repository asked for.
        repository: RepositoryName,
        /// Why.
        #[source]
        source: Pkcs7Error,
    },
    /// The signer may not speak for this repository.
    #[error("signer of the PKCS #7 whitelist of {repository} does not bear the name 'cvmfs:{repository}'")]
    Pkcs7Signer {
        /// The repository asked for.
        repository: RepositoryName,
    },
    /// What came is no certificate.
    #[error("certificate of {repository} is unusable")]
    Certificate {
        /// The repository asked for.
        repository: RepositoryName,
        /// What is wrong with it.
        #[source]
        source: CertificateError,
    },
    /// The whitelist does not name the certificate.
    #[error("certificate {fingerprint} is not on the whitelist of {repository}")]
    CertificateNotListed {
        /// The repository asked for.
        repository: RepositoryName,
        /// Its SHA-1 fingerprint.
        fingerprint: String,
    },
    /// The certificate is refused here.
    #[error("certificate {fingerprint} of {repository} is blacklisted")]
    CertificateBlacklisted {
        /// The repository asked for.
        repository: RepositoryName,
        /// Its SHA-1 fingerprint.
        fingerprint: String,
    },
    /// The whitelist demands an authority behind the certificate, and there is none.
    #[error("no trusted certificate authority stands behind the certificate of {repository}")]
    CertificateChain {
        /// The repository asked for.
        repository: RepositoryName,
        /// What following the chain found.
        #[source]
        source: webpki::Error,
    },
    /// The revision is refused here.
    #[error("revision {revision} of {repository} is blacklisted, {lowest} is the lowest that is not")]
    RevisionBlacklisted {
        /// The repository asked for.
        repository: RepositoryName,
        /// The manifest's revision.
        revision: u64,
        /// The lowest that is accepted.
        lowest: u64,
    },
}

impl TrustError {
    /// Whether a web page came in place of a file: most likely somebody between here and the server made it.
    pub fn is_web_page(&self) -> bool {
        matches!(
            self,
            Self::Manifest { source: ManifestError::Letter(LetterError::WebPage), .. }
                | Self::Whitelist { source: WhitelistError::Letter(LetterError::WebPage), .. }
        )
    }

    /// What whoever reads the message can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Manifest { .. } | Self::Whitelist { .. } | Self::Certificate { .. } => {
                "check that the server's address is right and no proxy replaces its answers; then try another server"
            }
            Self::ManifestName { .. } | Self::WhitelistName { .. } => {
                "check the repository's name and the server's address"
            }
            Self::ManifestSignature { .. } | Self::NoCertificate { .. } => {
                "try another server; if all say the same, tell the repository's maintainers"
            }
            Self::WhitelistExpired { .. } => {
                "check this machine's clock; otherwise the repository's maintainers have to sign the whitelist again"
            }
            Self::WhitelistSignature { .. } => {
                "get the repository's current public key from its maintainers and configure it"
            }
            Self::NoKeys { .. } => "get the repository's public key from its maintainers and configure it",
            Self::NoAuthorities { .. } | Self::CertificateChain { .. } => {
                "configure the certificate authorities that the repository's maintainers name"
            }
            Self::Pkcs7Missing { .. } | Self::Pkcs7 { .. } | Self::Pkcs7Signer { .. } => {
                "check the configured certificate authorities; otherwise tell the repository's maintainers"
            }
            Self::CertificateNotListed { .. } => {
                "if the publisher changed its certificate, its maintainers have to sign a whitelist that names it"
            }
            Self::CertificateBlacklisted { .. } | Self::RevisionBlacklisted { .. } => {
                "the blacklist of this machine refuses it; ask whoever wrote the blacklist"
            }
        }
    }
}
