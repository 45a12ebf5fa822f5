//! Certificates and revisions that whoever mounts refuses, whatever the whitelist says.

use std::collections::{BTreeMap, BTreeSet};

use varve_content::{Algorithm, ContentHash};

use crate::{Certificate, RepositoryName};

/// What is refused: certificates by fingerprint, and of repositories all revisions below one.
///
/// A line is a fingerprint as in whitelists, or `<NAME REVISION`, or a comment behind `#`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blacklist {
    certificates: BTreeSet<ContentHash>,
    revisions: BTreeMap<RepositoryName, u64>,
    unreadable: Vec<usize>,
}

impl Blacklist {
    /// Reads the lines of a blacklist and adds them. Lines that mean nothing are passed over, as the original does, and
    /// reported by [`Self::unreadable_lines`].
    pub fn add(&mut self, bytes: &[u8]) {
        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let line = String::from_utf8_lossy(line);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if self.add_line(line).is_none() {
                self.unreadable.push(index + 1);
            }
        }
    }

    /// The numbers, from 1, of lines that are neither a rule nor a comment: somebody should be told of them.
    pub fn unreadable_lines(&self) -> &[usize] {
        &self.unreadable
    }

    /// Whether this certificate is refused.
    pub fn refuses_certificate(&self, certificate: &Certificate) -> bool {
        Algorithm::ALL
            .into_iter()
            .any(|algorithm| self.certificates.contains(&certificate.fingerprint(algorithm)))
    }

    /// The lowest revision of a repository that is not refused.
    pub fn lowest_revision(&self, repository: &RepositoryName) -> u64 {
        self.revisions.get(repository).copied().unwrap_or(0)
    }

    fn add_line(&mut self, line: &str) -> Option<()> {
        if let Some(rule) = line.strip_prefix('<') {
            let (name, revision) = rule.split_once([' ', '\t'])?;
            let revision: u64 = revision.trim().parse().ok()?;
            let lowest = self.revisions.entry(name.parse().ok()?).or_insert(0);
            *lowest = revision.max(*lowest);
        } else {
            self.certificates.insert(ContentHash::from_fingerprint(line).ok()?);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_others_reported() {
        let mut blacklist = Blacklist::default();
        let hash = Algorithm::Rmd160.hash(b"a certificate");
        blacklist.add(
            format!(
                "# comment\n{} # stolen\n\n<a.example \t 7\n<a.example 5\nnonsense\n<b.example x\n",
                hash.fingerprint()
            )
            .as_bytes(),
        );
        assert!(blacklist.certificates.contains(&hash));
        assert_eq!(blacklist.lowest_revision(&"a.example".parse().expect("a name")), 7);
        assert_eq!(blacklist.lowest_revision(&"b.example".parse().expect("a name")), 0);
        assert_eq!(blacklist.unreadable_lines(), [6, 7]);
        blacklist.add(b"\xff\xfe\n<\n");
        assert_eq!(blacklist.unreadable_lines(), [6, 7, 1, 2]);
    }
}
