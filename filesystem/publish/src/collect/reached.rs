//! The names of all objects that are needed, as small as exact knowledge of them can be.
//!
//! 20 bytes for each: the digest without its first byte, which tells the part of the set, and one byte for algorithm and
//! kind. A part is a sorted list, and an unsorted one of new names which is merged into it when it has an eighth of its
//! length. With what that leaves free it is 23 bytes for each object: 10 million take 230 MB.

use parking_lot::Mutex;
use varve_content::{ObjectKind, ObjectName};

/// How many names a part takes before it sorts them, at least.
const UNSORTED: usize = 512;

type Record = [u8; 20];

/// The set while it grows, from many threads.
pub(super) struct Reached {
    parts: Vec<Mutex<Part>>,
}

/// The set when nothing is added any more.
pub(super) struct Sealed {
    parts: Vec<Vec<Record>>,
}

#[derive(Default)]
struct Part {
    sorted: Vec<Record>,
    new: Vec<Record>,
}

impl Reached {
    pub(super) fn new() -> Self {
        Self { parts: (0..=u8::MAX).map(|_| Mutex::default()).collect() }
    }

    /// Adds a name; adding it again is nothing.
    pub(super) fn insert(&self, name: &ObjectName) {
        let (part, record) = split(name);
        self.parts[part].lock().insert(record);
    }

    pub(super) fn seal(self) -> Sealed {
        let sealed = |part: Mutex<Part>| {
            let mut part = part.into_inner();
            part.merge();
            part.sorted
        };
        Sealed { parts: self.parts.into_iter().map(sealed).collect() }
    }
}

impl Sealed {
    pub(super) fn contains(&self, name: &ObjectName) -> bool {
        let (part, record) = split(name);
        self.parts[part].binary_search(&record).is_ok()
    }

    pub(super) fn len(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64).sum()
    }
}

impl Part {
    fn insert(&mut self, record: Record) {
        let limit = UNSORTED.max(self.sorted.len() / 8);
        if self.new.len() >= limit {
            self.merge();
        }
        if self.new.len() == self.new.capacity() {
            let wanted = limit.min(self.new.len().max(16));
            self.new.reserve_exact(wanted);
        }
        self.new.push(record);
    }

    /// Moves the new names to their places among the sorted ones.
    fn merge(&mut self) {
        let Self { sorted, new } = self;
        new.sort_unstable();
        new.dedup();
        new.retain(|record| sorted.binary_search(record).is_err());
        let (mut from, mut to) = (sorted.len(), sorted.len() + new.len());
        sorted.reserve_exact(new.len());
        sorted.resize(to, [0; 20]);
        while let Some(record) = new.last() {
            to -= 1;
            if from > 0 && sorted[from - 1] > *record {
                from -= 1;
                sorted[to] = sorted[from];
            } else {
                sorted[to] = *record;
                new.pop();
            }
        }
    }
}

fn split(name: &ObjectName) -> (usize, Record) {
    let digest = name.hash.digest();
    let mut record = [0; 20];
    record[..19].copy_from_slice(&digest[1..]);
    let kind = match name.kind {
        ObjectKind::File => 0,
        ObjectKind::Chunk => 1,
        ObjectKind::Catalog => 2,
        ObjectKind::History => 3,
        ObjectKind::Certificate => 4,
        ObjectKind::MetaInfo => 5,
    };
    // Three bits for the algorithm, as in catalogs.
    record[19] = (kind << 3) | (name.hash.algorithm().catalog_code() as u8 & 7);
    (usize::from(digest[0]), record)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use varve_content::{Algorithm, ContentHash};
    use varve_testkit::Random;

    use super::*;

    #[test]
    fn it_holds_what_was_added_and_nothing_else() {
        let mut random = Random::new(7);
        let mut expected = HashSet::new();
        let reached = Reached::new();
        let mut name = |first: u64| {
            let mut digest = [0; 20];
            digest[0] = random.below(first) as u8;
            digest[12] = random.below(200) as u8;
            digest[19] = random.below(40) as u8;
            let algorithm = Algorithm::ALL[random.below(3) as usize];
            ObjectName::new(
                ContentHash::from_digest(algorithm, digest),
                ObjectKind::ALL[random.below(6) as usize],
            )
        };
        for _ in 0..60_000 {
            let name = name(3);
            expected.insert(name);
            reached.insert(&name);
        }
        let sealed = reached.seal();
        assert_eq!(sealed.len(), expected.len() as u64);
        assert!(expected.iter().all(|name| sealed.contains(name)));
        for _ in 0..60_000 {
            let name = name(4);
            assert_eq!(sealed.contains(&name), expected.contains(&name));
        }
    }

    #[test]
    fn an_object_takes_less_than_thirty_bytes() {
        let reached = Reached::new();
        for number in 0..400_000_u64 {
            let hash = Algorithm::Sha1.hash(&number.to_le_bytes());
            reached.insert(&ObjectName::new(hash, ObjectKind::Chunk));
        }
        let bytes: usize = reached
            .parts
            .iter()
            .map(|part| {
                let part = part.lock();
                (part.sorted.capacity() + part.new.capacity()) * size_of::<Record>()
            })
            .sum();
        assert!(bytes < 30 * 400_000, "{bytes}");
    }
}
