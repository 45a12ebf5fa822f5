//! A small generator of reproducible pseudo-random numbers (SplitMix64). Not for secrets.

/// The same seed gives the same numbers, on every machine and in every version.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, 0 if that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        // The slight preference for small numbers does not matter here.
        self.number().checked_rem(limit).unwrap_or(0)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Bytes that don't compress.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend(self.number().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    /// Bytes that compress to about a third, as programs and texts do.
    pub fn text(&mut self, length: usize) -> Vec<u8> {
        const WORDS: [&[u8]; 8] =
            [b"layer ", b"of ", b"sediment ", b"a ", b"lake ", b"year\n", b"lays ", b"down "];
        let mut bytes = Vec::with_capacity(length + 16);
        while bytes.len() < length {
            let number = self.number();
            bytes.extend_from_slice(WORDS[(number % 8) as usize]);
            if number & 0x18 == 0 {
                bytes.extend((number >> 32).to_string().bytes());
            }
        }
        bytes.truncate(length);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_reproducible() {
        let mut random = Random::new(0);
        // The first value of SplitMix64 for seed 0, as published with it.
        assert_eq!(random.number(), 0xe220_a839_7b1d_cdaf);
        assert_eq!((random.bytes(13).len(), random.text(100).len(), random.below(0)), (13, 100, 0));
        assert!((0..100).all(|_| random.below(7) < 7));
    }
}
