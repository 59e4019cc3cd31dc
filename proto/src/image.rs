//! Names of FPGA images and shells.

use std::fmt;
use std::str::FromStr;

use crate::text::{hex, serde_as_text};

/// Hexadecimal digits after the prefix of an AFI or AGFI id.
const ID_DIGITS: usize = 17;

/// A global FPGA image id, `agfi-` and 17 hexadecimal digits: the same in every region, and what a
/// slot loads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgfiId(u128);

impl AgfiId {
    /// The id with this number in the cached-AGFI table of the metrics, which holds the 16 digits
    /// after `agfi-0`.
    pub const fn from_cached(number: u64) -> Self {
        Self(number as u128)
    }

    /// The number of this id in the cached-AGFI table; `None` when its first digit is not 0.
    pub fn to_cached(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }
}

/// A regional FPGA image id, `afi-` and 17 hexadecimal digits: it names an image in one region.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AfiId(u128);

macro_rules! image_id {
    ($name:ident, $prefix:literal, $what:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    concat!($prefix, "{:0width$x}"),
                    self.0,
                    width = ID_DIGITS
                )
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseImageIdError;

            fn from_str(text: &str) -> Result<Self, ParseImageIdError> {
                text.strip_prefix($prefix)
                    .filter(|digits| digits.len() == ID_DIGITS)
                    .and_then(|digits| hex(digits, ID_DIGITS))
                    .map(Self)
                    .ok_or_else(|| ParseImageIdError {
                        text: text.to_owned(),
                        wanted: $what,
                        prefix: $prefix,
                        note: note(text, $prefix),
                    })
            }
        }

        serde_as_text!($name);
    };
}

image_id!(AgfiId, "agfi-", "an AGFI id");
image_id!(AfiId, "afi-", "an AFI id");

/// A text that is not the image id that was wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {wanted}; wanted '{prefix}' and {ID_DIGITS} hexadecimal digits{note}")]
pub struct ParseImageIdError {
    text: String,
    wanted: &'static str,
    prefix: &'static str,
    note: String,
}

/// What, in particular, is wrong with an id: people mix up the two kinds, and lose digits.
fn note(text: &str, prefix: &str) -> String {
    let other = if prefix == "agfi-" { "afi-" } else { "agfi-" };
    if text.starts_with(other) {
        return format!(
            " (this is an {} id)",
            other.trim_end_matches('-').to_uppercase()
        );
    }
    let Some(digits) = text.strip_prefix(prefix) else {
        return String::new();
    };
    match digits.chars().find(|c| !c.is_ascii_hexdigit()) {
        Some(c) => format!(" (it has '{}')", c.escape_default()),
        None => format!(" (it has {} digits)", digits.len()),
    }
}

/// The version of a shell, the part of the FPGA that the cloud provides, as its version register
/// and the EC2 API tell it. Written `0x04261818`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShellVersion(pub u32);

impl fmt::Display for ShellVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

impl fmt::Debug for ShellVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ShellVersion {
    type Err = ParseShellVersionError;

    fn from_str(text: &str) -> Result<Self, ParseShellVersionError> {
        text.strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .and_then(|digits| hex(digits, 8))
            .map(|version| Self(version as u32))
            .ok_or_else(|| ParseShellVersionError {
                text: text.to_owned(),
            })
    }
}

serde_as_text!(ShellVersion);

/// A text that is not a shell version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is not a shell version; wanted '0x' and up to 8 hexadecimal digits, such as 0x04261818"
)]
pub struct ParseShellVersionError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_agfi_id_survives_its_text() {
        let text = "agfi-0fedcba9876543210";
        let id: AgfiId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(id.to_cached(), Some(0xfedc_ba98_7654_3210));
        assert_eq!(AgfiId::from_cached(0xfedc_ba98_7654_3210), id);
    }

    #[test]
    fn capital_digits_are_the_same_id() {
        let id: AgfiId = "agfi-0FEDCBA9876543210".parse().unwrap();
        assert_eq!(id.to_string(), "agfi-0fedcba9876543210");
    }

    #[test]
    fn an_id_of_the_other_kind_is_named() {
        let error = "afi-0fedcba9876543210".parse::<AgfiId>().unwrap_err();
        assert!(error.to_string().contains("this is an AFI id"), "{error}");
        let error = "agfi-0fedcba9876543210".parse::<AfiId>().unwrap_err();
        assert!(error.to_string().contains("this is an AGFI id"), "{error}");
    }

    #[test]
    fn lost_digits_and_wrong_letters_are_named() {
        let error = "agfi-0fedcba987654321".parse::<AgfiId>().unwrap_err();
        assert!(error.to_string().contains("it has 16 digits"), "{error}");
        let error = "agfi-0fedcba98765432g0".parse::<AgfiId>().unwrap_err();
        assert!(error.to_string().contains("it has 'g'"), "{error}");
    }

    #[test]
    fn an_id_beyond_64_bits_has_no_place_in_the_cache_table() {
        let id: AgfiId = "agfi-1fedcba9876543210".parse().unwrap();
        assert_eq!(id.to_cached(), None);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text: String) {
            let _ = text.parse::<AgfiId>();
            let _ = text.parse::<AfiId>();
            let _ = text.parse::<ShellVersion>();
        }

        #[test]
        fn a_shell_version_survives_its_text(version: u32) {
            let version = ShellVersion(version);
            prop_assert_eq!(version.to_string().parse(), Ok(version));
        }
    }
}
