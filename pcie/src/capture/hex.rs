//! Numbers and bytes as hexadecimal text.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::format::Bytes;

impl Serialize for Bytes {
    /// Two digits for each byte.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let text: String = nibbles
            .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
            .collect();
        to.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes = pairs
            .iter()
            .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
        bytes
            .collect::<Option<Vec<u8>>>()
            .filter(|_| rest.is_empty())
            .map(Self)
            .ok_or_else(|| D::Error::custom("wanted bytes as pairs of hexadecimal digits"))
    }
}

/// Understands `0x` and one to `most` hexadecimal digits.
fn number(text: &str, most: usize) -> Option<u32> {
    let digits = text.strip_prefix("0x")?;
    let fits = (1..=most).contains(&digits.len());
    (fits && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| u32::from_str_radix(digits, 16).ok())
        .flatten()
}

/// 16 bits, as `0x1d0f`.
pub(super) mod word16 {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(word: &u16, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{word:#06x}"))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<u16, D::Error> {
        let text = String::deserialize(from)?;
        number(&text, 4)
            .and_then(|word| word.try_into().ok())
            .ok_or_else(|| D::Error::custom("wanted a 16-bit number such as 0x1d0f"))
    }
}

/// 32 bits, as `0x04261818`, or null.
pub(super) mod optional_word32 {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        word: &Option<u32>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match word {
            Some(word) => to.collect_str(&format_args!("{word:#010x}")),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<u32>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        let word = number(&text, 8);
        let wanted = || D::Error::custom("wanted a 32-bit number such as 0x04261818");
        word.map(Some).ok_or_else(wanted)
    }
}
