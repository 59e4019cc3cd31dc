//! Values on the command line: times, numbers, switches.

use std::time::Duration;

use crate::settings::timeout_from_seconds;

/// A time limit: a number, which may have a fraction, and a unit, which may be left out: `ms`, `s`,
/// `min`, `h`.
pub(super) fn time_limit(text: &str) -> Result<Duration, String> {
    let wanted = || {
        format!(
            "'{text}' is no time limit; wanted a number and perhaps a unit, such as 30, 0.5, 500ms or 2min"
        )
    };
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit.trim_start() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "min" | "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wanted()),
    };
    let number: f64 = number.parse().map_err(|_| wanted())?;
    timeout_from_seconds(number * seconds)
}

/// A whole number: decimal, or hexadecimal with `0x`, or binary with `0b`. Underscores between
/// digits are for people.
pub(super) fn number(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.split_at_checked(2) {
        Some(("0x", digits)) => (digits, 16),
        Some(("0b", digits)) => (digits, 2),
        _ => (lower.as_str(), 10),
    };
    let plain = digits.replace('_', "");
    // A sign is no digit, but `from_str_radix` takes one.
    let well_formed = !digits.starts_with('_') && plain.chars().all(|c| c.is_digit(radix));
    let value = well_formed.then(|| u64::from_str_radix(&plain, radix).ok());
    value.flatten().ok_or_else(|| {
        format!("'{text}' is no number of at most 64 bits; wanted one such as 1280, 0x500 or 0b101")
    })
}

/// A number of bytes: a whole number, and perhaps a unit, which is a power of two: `K`, `M`, `G` or
/// `T`, with or without `iB` or `B` behind it. Hexadecimal ones have no unit.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let value = || {
        if let Ok(value) = number(text) {
            return Some(value);
        }
        let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '_')?;
        let (digits, unit) = text.split_at(unit_at);
        let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
            "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            _ => return None,
        };
        number(digits).ok()?.checked_mul(1 << shift)
    };
    value().ok_or_else(|| {
        format!("'{text}' is no number of bytes; wanted one such as 4096, 0x1000, 4K, 256M or 1G")
    })
}

/// Sixteen switches: as sixteen digits 0 and 1, the highest first, with `-` anywhere between, or as
/// a number.
pub(super) fn switches(text: &str) -> Result<u16, String> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let binary = digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0' | b'1'));
    let value = if binary {
        u64::from_str_radix(&digits, 2).ok()
    } else {
        number(text).ok()
    };
    value.and_then(|value| value.try_into().ok()).ok_or_else(|| {
        format!(
            "'{text}' are no 16 switches; wanted 16 digits 0 and 1 such as 0000-1111-0000-1111, \
             or a number up to 0xffff"
        )
    })
}

/// Sixteen lights or switches in groups of four, the highest first, as the public tools print
/// them.
pub(crate) fn in_fours(bits: u16) -> String {
    let group = |shift: u32| format!("{:04b}", (bits >> shift) & 0xF);
    [12, 8, 4, 0].map(group).join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_have_fractions_and_units() {
        for (text, millis) in [
            ("30", 30_000),
            ("0.5", 500),
            (".5", 500),
            ("250ms", 250),
            ("1.5 s", 1500),
            ("2min", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(
                time_limit(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for text in [
            "", "s", "-1", "1d", "1.2.3", "0", "1e3", "inf", "nan", "9999h",
        ] {
            assert!(
                time_limit(text).unwrap_err().contains("time limit"),
                "{text}"
            );
        }
    }

    #[test]
    fn numbers_are_decimal_hexadecimal_or_binary() {
        for (text, value) in [
            ("0", 0),
            ("1280", 1280),
            ("0x500", 0x500),
            ("0XdeadBEEF", 0xDEAD_BEEF),
            ("0b101", 5),
            ("0x1_0000_0000", 1 << 32),
            ("0xffffffffffffffff", u64::MAX),
        ] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
        for text in [
            "",
            "0x",
            "x",
            "-1",
            "+1",
            "0x+1",
            "1.0",
            "0b2",
            "_1",
            "18446744073709551616",
        ] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_units_that_are_powers_of_two() {
        for (text, value) in [
            ("0", 0),
            ("4096", 4096),
            ("0x1000", 4096),
            ("0x1B", 27),
            ("4K", 4096),
            ("64 KiB", 65536),
            ("256m", 256 << 20),
            ("1GB", 1 << 30),
            ("2t", 2 << 40),
            ("7B", 7),
            ("1_000K", 1_024_000),
        ] {
            assert_eq!(size(text), Ok(value), "{text}");
        }
        for text in [
            "",
            "K",
            "1.5G",
            "-1",
            "4KK",
            "0x10K",
            "16777216T",
            "1 0",
            "4e3",
        ] {
            assert!(
                size(text).unwrap_err().contains("no number of bytes"),
                "{text}"
            );
        }
    }

    #[test]
    fn switches_are_sixteen_digits_or_a_number() {
        assert_eq!(switches("0000000000000001"), Ok(1));
        assert_eq!(switches("1010-1101-1101-1110"), Ok(0xADDE));
        assert_eq!(switches("1010"), Ok(1010));
        assert_eq!(switches("0xffff"), Ok(0xFFFF));
        for text in ["65536", "0x10000", "", "-", "2222222222222222"] {
            assert!(switches(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn switches_survive_their_text(bits: u16) {
            prop_assert_eq!(switches(&in_fours(bits)), Ok(bits));
        }

        #[test]
        fn values_never_panic(text: String) {
            let _ = time_limit(&text);
            let _ = number(&text);
            let _ = size(&text);
            let _ = switches(&text);
        }
    }
}
