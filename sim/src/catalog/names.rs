//! Names of accounts and regions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An account of the cloud: a number of 12 digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(u64);

impl AccountId {
    /// The account of the simulated instance, which cannot be mistaken for a real one.
    pub const SIMULATED: Self = Self(0);
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AccountId {
    type Err = ParseAccountIdError;

    fn from_str(text: &str) -> Result<Self, ParseAccountIdError> {
        let well_formed = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        let number = well_formed.then(|| text.parse().ok()).flatten();
        number.map(Self).ok_or_else(|| ParseAccountIdError {
            text: text.to_owned(),
        })
    }
}

impl TryFrom<String> for AccountId {
    type Error = ParseAccountIdError;

    fn try_from(text: String) -> Result<Self, ParseAccountIdError> {
        text.parse()
    }
}

impl From<AccountId> for String {
    fn from(account: AccountId) -> Self {
        account.to_string()
    }
}

/// A text that is not an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an account; wanted 12 digits")]
pub struct ParseAccountIdError {
    text: String,
}

/// A region of the cloud, such as `us-east-1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(String);

impl Region {
    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Region {
    type Err = ParseRegionError;

    fn from_str(text: &str) -> Result<Self, ParseRegionError> {
        let mut parts: Vec<&str> = text.split('-').collect();
        let number = parts.pop().unwrap_or_default();
        let words = parts.len() >= 2
            && parts
                .iter()
                .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()));
        let numbered =
            (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        if words && numbered && text.len() <= 32 {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseRegionError {
                text: text.to_owned(),
            })
        }
    }
}

impl TryFrom<String> for Region {
    type Error = ParseRegionError;

    fn try_from(text: String) -> Result<Self, ParseRegionError> {
        text.parse()
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.0
    }
}

/// A text that is not a region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a region; wanted a name such as us-east-1")]
pub struct ParseRegionError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_keeps_its_zeros() {
        let account: AccountId = "095707098027".parse().unwrap();
        assert_eq!(account.to_string(), "095707098027");
        assert_eq!(AccountId::SIMULATED.to_string(), "000000000000");
        for text in ["", "95707098027", "0957070980270", "+95707098027", "self"] {
            assert!(text.parse::<AccountId>().is_err(), "{text}");
        }
    }

    #[test]
    fn regions_are_told_from_zones_and_other_words() {
        for text in ["us-east-1", "ap-southeast-3", "us-gov-west-1", "cn-north-1"] {
            assert_eq!(text.parse::<Region>().unwrap().as_str(), text);
        }
        for text in [
            "",
            "us-east-1a",
            "us-east",
            "east-1",
            "US-EAST-1",
            "us--1",
            "us-east-123",
        ] {
            assert!(text.parse::<Region>().is_err(), "{text}");
        }
    }
}
