//! Numbers as the tools read them.

/// Reads a number as `strtol(3)` with base 0 does: decimal, hexadecimal after `0x`, octal after
/// `0`, with spaces before it and a sign. `None` when that leaves a rest, when there is no digit,
/// and when it does not fit into 32 bits without a sign.
///
/// The tools then go on with the value that they had before (`string_to_uint` in `utils/io.c`).
pub(super) fn parse(text: &str) -> Option<u32> {
    let space = |c: char| c == ' ' || ('\t'..='\r').contains(&c);
    let text = text.trim_start_matches(space);
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let hexadecimal = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = match hexadecimal {
        Some(rest) => (rest, 16),
        None if digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    // A second sign is no digit, but `from_str_radix` takes one.
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = u32::from_str_radix(digits, radix).ok()?;
    (!negative || value == 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn numbers_are_read_as_strtol_reads_them() {
        for (text, value) in [
            ("0", 0),
            ("7", 7),
            ("+7", 7),
            (" \t\n7", 7),
            ("0x1F", 31),
            ("0X1f", 31),
            ("010", 8),
            ("-0", 0),
            ("4294967295", u32::MAX),
        ] {
            assert_eq!(parse(text), Some(value), "{text:?}");
        }
        for text in [
            "",
            " ",
            "-",
            "+",
            "x",
            "7 ",
            "7s",
            "-1",
            "08",
            "0x",
            "0xg",
            "--1",
            "+-1",
            "0b1",
            "4294967296",
            "99999999999999999999",
            "1_0",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
