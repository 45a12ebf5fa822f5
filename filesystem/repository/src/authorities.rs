//! Certificate authorities that whoever mounts trusts, and their revocation lists.
//!
//! They matter only to whitelists that say `Vpkcs7` or `Wcachain`; all others are signed with a master key. Following a
//! chain is left to the library that also checks the web's certificates.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pki_types::pem::{PemObject as _, SectionKind};
use pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage,
    OwnedCertRevocationList, RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
};

/// The most bytes of a file of certificates.
const FILE_LIMIT: u64 = 16 << 20;

/// The purpose "e-mail protection", which signers of PKCS #7 must have if they are limited to any.
const EMAIL_PROTECTION: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 4];

/// Trusted certificates and revocation lists.
#[derive(Debug, Default)]
pub struct CertificateAuthorities {
    certificates: Vec<CertificateDer<'static>>,
    revocations: Vec<CertRevocationList<'static>>,
}

/// What a certificate is to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To sign a PKCS #7 whitelist.
    Pkcs7,
    /// To sign a manifest: no purpose is asked for.
    Manifest,
}

impl ExtendedKeyUsageValidator for Purpose {
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        match self {
            Self::Pkcs7 => KeyUsage::required_if_present(EMAIL_PROTECTION).validate(usages),
            Self::Manifest => Ok(()),
        }
    }
}

impl CertificateAuthorities {
    /// Adds all certificates and revocation lists of a PEM text; those that can't be used are passed over, as in every
    /// system's collection there are some.
    pub fn add_pem(&mut self, text: &[u8]) {
        for (kind, der) in <(SectionKind, Vec<u8>)>::pem_slice_iter(text).flatten() {
            match kind {
                SectionKind::Certificate => {
                    let certificate = CertificateDer::from(der);
                    if webpki::anchor_from_trusted_cert(&certificate).is_ok() {
                        self.certificates.push(certificate);
                    }
                }
                SectionKind::Crl => {
                    if let Ok(list) = OwnedCertRevocationList::from_der(&der) {
                        self.revocations.push(list.into());
                    }
                }
                _ => {}
            }
        }
    }

    /// Adds what is in files, and in all files of directories.
    ///
    /// # Errors
    /// [`AuthoritiesError`] for the first file or directory that can't be read.
    pub fn load<P: AsRef<Path>>(paths: &[P]) -> Result<Self, AuthoritiesError> {
        let mut authorities = Self::default();
        for path in paths {
            let path = path.as_ref();
            let wrap = |source| AuthoritiesError { path: path.to_owned(), source };
            if path.is_dir() {
                for entry in fs::read_dir(path).map_err(wrap)? {
                    let file = entry.map_err(wrap)?.path();
                    // Collections hold links to files that are gone, and README files: neither is an error.
                    if fs::metadata(&file).is_ok_and(|data| data.is_file() && data.len() <= FILE_LIMIT)
                        && let Ok(text) = fs::read(&file)
                    {
                        authorities.add_pem(&text);
                    }
                }
            } else {
                authorities.add_pem(&fs::read(path).map_err(wrap)?);
            }
        }
        Ok(authorities)
    }

    /// Whether there is none: then no chain can be followed.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// Whether an authority stands behind the certificate, now. A certificate whose authority has a revocation list here
    /// must not be on it; without a list that is not asked.
    pub(crate) fn verify(
        &self,
        certificate: &[u8],
        intermediates: &[CertificateDer<'_>],
        purpose: Purpose,
        now: SystemTime,
    ) -> Result<(), Error> {
        let certificate = CertificateDer::from(certificate);
        let certificate = EndEntityCert::try_from(&certificate)?;
        let anchors: Vec<TrustAnchor<'_>> =
            self.certificates.iter().flat_map(webpki::anchor_from_trusted_cert).collect();
        let lists: Vec<_> = self.revocations.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Allow)
                .build()
        });
        let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        certificate.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            intermediates,
            UnixTime::since_unix_epoch(since),
            purpose,
            revocation,
            None,
        )?;
        Ok(())
    }
}

/// A file or directory of authorities that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read certificate authorities from {path}")]
pub struct AuthoritiesError {
    path: PathBuf,
    #[source]
    source: io::Error,
}
