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

/// As [`duration`], with nanoseconds below a millisecond: `480 ns`, `12.3 µs`.
pub fn short_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..100_000 => format!("{:.1} µs", nanos as f64 / 1e3),
        100_000..1_000_000 => format!("{:.0} µs", nanos as f64 / 1e3),
        _ => self::duration(duration),
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

/// A size at a glance, to a tenth: `1.5 GiB`. For where the last byte does not matter.
pub fn about(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    let tenths = if unit == "B" || value.fract() == 0.0 {
        0
    } else {
        1
    };
    format!("{value:.tenths$} {unit}")
}

/// Bytes in a second, in powers of ten, as links and memories are described: `12.3 GB/s`.
pub fn rate(bytes_per_second: f64) -> String {
    const UNITS: [(&str, f64); 3] = [("GB/s", 1e9), ("MB/s", 1e6), ("kB/s", 1e3)];
    let found = UNITS.iter().find(|(_, unit)| bytes_per_second >= *unit);
    let (name, value) = found.map_or(("B/s", bytes_per_second), |(name, unit)| {
        (*name, bytes_per_second / unit)
    });
    // Three digits that matter.
    let digits = if value < 10.0 {
        2
    } else {
        usize::from(value < 100.0)
    };
    format!("{value:.digits$} {name}")
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
    fn short_durations_have_nanoseconds() {
        for (nanos, text) in [
            (0, "0 ns"),
            (480, "480 ns"),
            (12_340, "12.3 µs"),
            (250_400, "250 µs"),
            (2_500_000, "2.5 ms"),
        ] {
            assert_eq!(short_duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn rates_and_sizes_at_a_glance_have_the_digits_that_matter() {
        for (value, text) in [
            (0.0, "0.00 B/s"),
            (999.4, "999 B/s"),
            (1_234.0, "1.23 kB/s"),
            (45_670_000.0, "45.7 MB/s"),
            (12_340_000_000.0, "12.3 GB/s"),
            (123_400_000_000.0, "123 GB/s"),
        ] {
            assert_eq!(rate(value), text);
        }
        assert_eq!(about(1023), "1023 B");
        assert_eq!(about(256 << 20), "256 MiB");
        assert_eq!(about((3 << 30) + (1 << 29)), "3.5 GiB");
        assert_eq!(about(u64::MAX), "16777216 TiB");
    }

    #[test]
    fn sizes_are_whole_numbers_of_the_largest_unit() {
        assert_eq!(bytes(128 << 30), "128 GiB");
        assert_eq!(bytes(16 << 10), "16 KiB");
        assert_eq!(bytes((1 << 20) + 1), "1048577 B");
        assert_eq!(bytes(0), "0 B");
    }
}
