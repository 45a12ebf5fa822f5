//! Many small files in one answer: how a batch is asked for and how it is answered. Pure; client and server share it.
//!
//! The request names the objects in its address, so that every cache on the way can keep the answer under it:
//!
//! ```text
//! GET REPOSITORY/api/v1/batch/sha1/DIGESTS      DIGESTS: the objects' digests one after the other, base64url unpadded
//! ```
//!
//! The answer has a frame per object, in the order of the request: its stored size in four bytes, little endian, and its
//! stored bytes; the size 0xffffffff and no bytes for one that is not to be had this way.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use varve_content::{Algorithm, ContentHash, ObjectKind, ObjectName};

/// The path below a repository that batches have.
const PREFIX: &str = "api/v1/batch/";

/// Bytes of a digest.
const DIGEST: usize = 20;

/// The size that stands for an object which does not come.
const ABSENT: u32 = u32::MAX;

/// What a batch may be, and how it is written.
pub struct Batch;

impl Batch {
    /// The most objects of a batch: its address stays below 4 KiB.
    pub const MOST_OBJECTS: usize = 128;

    /// The most stored bytes of an answer without its frames; what doesn't fit is left out.
    pub const MOST_BYTES: usize = 8 << 20;

    /// The most bytes of an answer.
    pub(crate) const LIMIT: u64 = (Self::MOST_BYTES + 4 * Self::MOST_OBJECTS) as u64;

    /// The address of these objects below their repository; `None` unless they are 1 to [`Self::MOST_OBJECTS`] whole files
    /// named by one algorithm.
    pub fn address(names: &[ObjectName]) -> Option<String> {
        let algorithm = names.first()?.hash.algorithm();
        let alike = |name: &ObjectName| name.kind == ObjectKind::File && name.hash.algorithm() == algorithm;
        if names.len() > Self::MOST_OBJECTS || !names.iter().all(alike) {
            return None;
        }
        let digests: Vec<u8> = names.iter().flat_map(|name| *name.hash.digest()).collect();
        Some(format!("{PREFIX}{}/{}", algorithm.name(), URL_SAFE_NO_PAD.encode(digests)))
    }

    /// The objects that an address below a repository asks for, the inverse of [`Self::address`].
    pub fn parse_address(path: &str) -> Option<Vec<ObjectName>> {
        let (algorithm, digests) = path.strip_prefix(PREFIX)?.split_once('/')?;
        let algorithm = Algorithm::ALL.into_iter().find(|known| known.name() == algorithm)?;
        if digests.len() > (Self::MOST_OBJECTS * DIGEST).div_ceil(3) * 4 {
            return None;
        }
        let digests = URL_SAFE_NO_PAD.decode(digests).ok()?;
        let (digests, rest) = digests.as_chunks::<DIGEST>();
        if digests.is_empty() || !rest.is_empty() || digests.len() > Self::MOST_OBJECTS {
            return None;
        }
        let name = |digest: &[u8; DIGEST]| {
            ObjectName::new(ContentHash::from_digest(algorithm, *digest), ObjectKind::File)
        };
        Some(digests.iter().map(name).collect())
    }

    /// Appends the frame of an object, `None` for one that does not come.
    pub fn write_frame(answer: &mut Vec<u8>, stored: Option<&[u8]>) {
        let size = stored.and_then(|stored| u32::try_from(stored.len()).ok()).unwrap_or(ABSENT);
        answer.extend_from_slice(&size.to_le_bytes());
        if size != ABSENT {
            answer.extend_from_slice(stored.unwrap_or_default());
        }
    }

    /// The stored bytes of `count` objects, unverified; `None` if these bytes are no answer to such a batch.
    pub(crate) fn parse_answer(answer: &[u8], count: usize) -> Option<Vec<Option<&[u8]>>> {
        let mut objects = Vec::with_capacity(count);
        let mut rest = answer;
        for _ in 0..count {
            let (size, after) = rest.split_first_chunk::<4>()?;
            let size = u32::from_le_bytes(*size);
            let (stored, after) = match size {
                ABSENT => (None, after),
                size => after.split_at_checked(size as usize).map(|(stored, after)| (Some(stored), after))?,
            };
            objects.push(stored);
            rest = after;
        }
        rest.is_empty().then_some(objects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize, algorithm: Algorithm) -> Vec<ObjectName> {
        (0..count)
            .map(|number| ObjectName::new(algorithm.hash(&number.to_le_bytes()), ObjectKind::File))
            .collect()
    }

    #[test]
    fn addresses_are_read_as_they_were_written() {
        for algorithm in Algorithm::ALL {
            for count in [1, 2, 3, Batch::MOST_OBJECTS] {
                let names = names(count, algorithm);
                let address = Batch::address(&names).expect("it is a batch");
                assert!(address.len() < 4096, "{}", address.len());
                assert_eq!(Batch::parse_address(&address), Some(names));
            }
        }
    }

    #[test]
    fn what_is_no_batch() {
        assert_eq!(Batch::address(&[]), None);
        assert_eq!(Batch::address(&names(Batch::MOST_OBJECTS + 1, Algorithm::Sha1)), None);
        let mut mixed = names(2, Algorithm::Sha1);
        mixed[1].kind = ObjectKind::Chunk;
        assert_eq!(Batch::address(&mixed), None);
        mixed[1] = names(1, Algorithm::Rmd160)[0];
        assert_eq!(Batch::address(&mixed), None);
        let long = format!("api/v1/batch/sha1/{}", URL_SAFE_NO_PAD.encode(vec![7; DIGEST * 129]));
        for path in [
            "",
            "api/v1/batch/",
            "api/v1/batch/sha1/",
            "api/v1/batch/md5/qZk-NkcGgWq6PiVxeFDCbJzQ2J0",
            "api/v1/batch/sha1/qZk-NkcGgWq6PiVxeFDCbJzQ2J0=",
            "api/v1/batch/sha1/qZk-NkcGgWq6PiVxeFDCbJzQ2A",
            "api/v1/batch/sha1/../../x",
            &long,
        ] {
            assert_eq!(Batch::parse_address(path), None, "{path}");
        }
    }

    #[test]
    fn answers_are_read_as_they_were_written_and_nothing_else_is() {
        let objects: [Option<&[u8]>; 4] = [Some(b"abc"), None, Some(b""), Some(b"d")];
        let mut answer = Vec::new();
        for object in objects {
            Batch::write_frame(&mut answer, object);
        }
        assert_eq!(Batch::parse_answer(&answer, 4), Some(objects.to_vec()));
        assert_eq!(Batch::parse_answer(&answer, 3), None);
        assert_eq!(Batch::parse_answer(&answer, 5), None);
        for length in 0..answer.len() {
            assert_eq!(Batch::parse_answer(&answer[..length], 4), None, "{length}");
        }
        assert_eq!(Batch::parse_answer(b"<html>no such page</html>", 1), None);
    }
}
