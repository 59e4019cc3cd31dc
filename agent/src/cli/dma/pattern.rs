//! What memory is filled with, on the command line.

use afi_pcie::card_memory::Pattern;
use clap::Args;

use crate::cli::registers::Width;
use crate::cli::values;

/// What memory is filled with.
#[derive(Debug, Args)]
pub(super) struct PatternArgs {
    /// What memory holds: 'zeros', 'ones', 'address' (each 64-bit word its own address), 'random',
    /// 'random:SEED', or bytes as 'hex:DEADBEEF', over and over
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    pattern: Option<Pattern>,
    /// A number that memory holds over and over, little endian, such as 0xdeadbeef
    #[arg(long, value_name = "NUMBER", conflicts_with = "pattern")]
    #[arg(value_parser = values::number)]
    value: Option<u64>,
    /// Bits of the number
    #[arg(
        long,
        value_name = "BITS",
        value_enum,
        default_value = "32",
        requires = "value"
    )]
    width: Width,
}

impl PatternArgs {
    /// The pattern that was asked for; `None` when none was.
    pub(super) fn get(&self) -> Result<Option<Pattern>, crate::cli::registers::AccessError> {
        let Some(value) = self.value else {
            return Ok(self.pattern.clone());
        };
        if value > self.width.ones() {
            let bits = self.width.bits();
            return Err(crate::cli::registers::AccessError::TooWide { value, bits });
        }
        let bytes = &value.to_le_bytes()[..self.width.bytes() as usize];
        Ok(Some(Pattern::Repeated(bytes.to_vec())))
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    let found = match text.split_once(':') {
        None => match text {
            "zeros" => Some(Pattern::Repeated(vec![0])),
            "ones" => Some(Pattern::Repeated(vec![0xFF])),
            "address" => Some(Pattern::Address),
            "random" => Some(Pattern::Random(0)),
            _ => None,
        },
        Some(("random", seed)) => values::number(seed).ok().map(Pattern::Random),
        Some(("hex", digits)) => bytes(digits).map(Pattern::Repeated),
        Some(_) => None,
    };
    found.ok_or_else(|| {
        format!(
            "'{text}' is no pattern; wanted 'zeros', 'ones', 'address', 'random', 'random:SEED', \
             or bytes such as 'hex:DEADBEEF'"
        )
    })
}

/// Pairs of hexadecimal digits, at least one.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| Some(value(pair[0])? << 4 | value(pair[1])?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_have_names() {
        assert_eq!(pattern("zeros"), Ok(Pattern::Repeated(vec![0])));
        assert_eq!(pattern("address"), Ok(Pattern::Address));
        assert_eq!(pattern("random:0x10"), Ok(Pattern::Random(16)));
        assert_eq!(
            pattern("hex:dEadBEEF"),
            Ok(Pattern::Repeated(vec![0xDE, 0xAD, 0xBE, 0xEF]))
        );
        for text in [
            "", "zero", "random:", "random:x", "hex:", "hex:123", "hex:zz", "hex:é",
        ] {
            assert!(
                pattern(text).unwrap_err().contains("is no pattern"),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_pattern_never_panics(text: String) {
            let _ = pattern(&text);
            let _ = pattern(&format!("hex:{text}"));
        }
    }
}
