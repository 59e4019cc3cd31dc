//! Durations and sizes as people write them.

use std::time::Duration;

/// `20 ms`, `1.5 s`, `2 min 5 s`: three digits that matter, no more.
pub fn duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", (micros + 500) / 1000),
        1_000_000..60_000_000 => {
            let tenths = (micros + 50_000) / 100_000;
            match tenths % 10 {
                0 => format!("{} s", tenths / 10),
                tenth => format!("{}.{tenth} s", tenths / 10),
            }
        }
        _ => {
            let seconds = duration.as_secs();
            format!("{} min {} s", seconds / 60, seconds % 60)
        }
    }
}

/// `64 KiB`, `128 GiB`; a size that is no whole number of units is written in bytes.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    UNITS
        .iter()
        .find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(
            || format!("{bytes} B"),
            |(name, unit)| format!("{} {name}", bytes / unit),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_digits_that_matter() {
        for (micros, text) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_250, "1.2 ms"),
            (20_400, "20 ms"),
            (999_900, "1000 ms"),
            (1_000_000, "1 s"),
            (1_549_000, "1.5 s"),
            (60_000_000, "1 min 0 s"),
            (125_900_000, "2 min 5 s"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn sizes_are_whole_numbers_of_the_largest_unit() {
        assert_eq!(bytes(128 << 30), "128 GiB");
        assert_eq!(bytes(16 << 10), "16 KiB");
        assert_eq!(bytes((1 << 20) + 1), "1048577 B");
        assert_eq!(bytes(0), "0 B");
    }
}
