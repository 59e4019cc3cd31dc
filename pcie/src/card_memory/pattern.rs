//! Contents of memory that can be told from an address: for fills, and to verify them.

use std::fmt;

/// What a fill writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// These bytes, over and over, from the start of the range on. None of them are as one zero.
    Repeated(Vec<u8>),
    /// Each aligned word of 64 bits holds its own address, little endian: what finds address lines
    /// that are mixed up.
    Address,
    /// Numbers that look random, the same for the same seed and address.
    Random(u64),
}

impl Pattern {
    /// What memory from `at` on holds after a fill from `start` on, `start` being at most `at`.
    pub fn put(&self, start: u64, at: u64, data: &mut [u8]) {
        match self {
            Self::Repeated(bytes) => repeat(bytes, at - start, data),
            Self::Address => words(at, data, |address| address),
            Self::Random(seed) => words(at, data, |address| mixed(seed.wrapping_add(address / 8))),
        }
    }

    /// Bytes after which it is the same again; `None` when it is not.
    pub fn period(&self) -> Option<usize> {
        match self {
            Self::Repeated(bytes) => Some(bytes.len().max(1)),
            Self::Address | Self::Random(_) => None,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Bytes that are shown.
        const SHOWN: usize = 8;
        match self {
            Self::Repeated(bytes) => {
                f.write_str("bytes ")?;
                for byte in bytes.iter().take(SHOWN) {
                    write!(f, "{byte:02x}")?;
                }
                f.write_str(if bytes.len() > SHOWN { "…" } else { "" })
            }
            Self::Address => f.write_str("addresses"),
            Self::Random(seed) => write!(f, "random numbers of seed {seed}"),
        }
    }
}

/// Puts the bytes over and over, the first of `data` being number `from`.
fn repeat(bytes: &[u8], from: u64, data: &mut [u8]) {
    let bytes = if bytes.is_empty() { &[0] } else { bytes };
    let period = bytes.len();
    let phase = (from % period as u64) as usize;
    let first = period.min(data.len());
    for (at, byte) in data[..first].iter_mut().enumerate() {
        *byte = bytes[(phase + at) % period];
    }
    // What is there is whole periods, so copies of it go on where it ends.
    let mut done = first;
    while done < data.len() {
        let more = done.min(data.len() - done);
        data.copy_within(..more, done);
        done += more;
    }
}

/// Puts the word that belongs to each aligned address, in parts at both ends.
fn words(at: u64, data: &mut [u8], word: impl Fn(u64) -> u64) {
    let skip = (at % 8) as usize;
    let head = data.len().min((8 - skip) % 8);
    let (head, rest) = data.split_at_mut(head);
    if !head.is_empty() {
        let bytes = word(at - skip as u64).to_le_bytes();
        head.copy_from_slice(&bytes[skip..skip + head.len()]);
    }
    let first = at + head.len() as u64;
    for (chunk, address) in rest.chunks_mut(8).zip((first..).step_by(8)) {
        chunk.copy_from_slice(&word(address).to_le_bytes()[..chunk.len()]);
    }
}

/// The output function of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
/// Generators", 2014) for its n-th state.
const fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern() -> impl Strategy<Value = Pattern> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20).prop_map(Pattern::Repeated),
            Just(Pattern::Address),
            any::<u64>().prop_map(Pattern::Random),
        ]
    }

    proptest! {
        #[test]
        fn a_part_is_what_the_whole_has_there(
            pattern in pattern(),
            start in 0_u64..1 << 40,
            length in 0_usize..300,
            from in 0_usize..300,
        ) {
            let mut whole = vec![0; length];
            pattern.put(start, start, &mut whole);
            let from = from.min(length);
            let mut part = vec![0; length - from];
            pattern.put(start, start + from as u64, &mut part);
            prop_assert_eq!(&part, &whole[from..]);
            if let Some(period) = pattern.period() {
                prop_assert!(whole.iter().zip(whole.iter().skip(period)).all(|(a, b)| a == b));
            }
        }
    }

    #[test]
    fn words_are_their_addresses_and_random_ones_differ() {
        let mut data = [0; 16];
        Pattern::Address.put(0, 0x1_2345_6780, &mut data);
        assert_eq!(data[..8], 0x1_2345_6780_u64.to_le_bytes());
        assert_eq!(data[8..], 0x1_2345_6788_u64.to_le_bytes());
        let random = |seed| {
            let mut data = vec![0; 8 << 10];
            Pattern::Random(seed).put(0, 0, &mut data);
            data
        };
        assert_ne!(random(1), random(2));
        let ones: u32 = random(1).iter().map(|byte| byte.count_ones()).sum();
        assert!((30_000..35_000).contains(&ones), "{ones} of 65536 bits");
    }

    #[test]
    fn a_pattern_is_named_in_few_words() {
        assert_eq!(
            Pattern::Repeated(vec![0xDE, 0xAD]).to_string(),
            "bytes dead"
        );
        let long = Pattern::Repeated(vec![1; 9]).to_string();
        assert_eq!(long, "bytes 0101010101010101…");
        assert_eq!(Pattern::Random(7).to_string(), "random numbers of seed 7");
    }
}
