//! Why an image fails: the state message of the service, in what is kept of an image.

use std::fmt;

use afi_image::FailureCode;
use serde::{Deserialize, Serialize};

/// A reason for the state `failed`, known by its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Failure(FailureCode);

impl Failure {
    /// An object that cannot be read.
    pub const INACCESSIBLE_INPUT: Self = Self(FailureCode::InaccessibleInput);
    /// A bitstream that could not be made, for a reason that has no code.
    pub const UNKNOWN: Self = Self(FailureCode::UnknownBitstreamGenerateError);
    /// The source of a copy is not there, or somebody else's.
    pub const SOURCE_NOT_FOUND: Self = Self(FailureCode::NotFound);
    /// The source of a copy is not available.
    pub const SOURCE_STATE: Self = Self(FailureCode::InvalidState);

    /// The codes with which a creation can fail.
    pub fn creation_codes() -> impl Iterator<Item = &'static str> {
        let of_copies = [FailureCode::NotFound, FailureCode::InvalidState];
        FailureCode::ALL
            .into_iter()
            .filter(move |code| !of_copies.contains(code))
            .map(FailureCode::name)
    }
}

impl From<FailureCode> for Failure {
    fn from(code: FailureCode) -> Self {
        Self(code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.state_message())
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        failure.0.name().to_owned()
    }
}

impl TryFrom<String> for Failure {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut codes = FailureCode::ALL.into_iter();
        codes
            .find(|code| code.name() == text)
            .map(Self)
            .ok_or_else(|| format!("'{text}' is no code of a failure"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_its_text() {
        for code in FailureCode::ALL {
            let failure = Failure::from(code);
            let text = serde_json::to_string(&failure).unwrap();
            assert_eq!(serde_json::from_str::<Failure>(&text).unwrap(), failure);
        }
        assert!(serde_json::from_str::<Failure>("\"SOMETHING\"").is_err());
    }

    #[test]
    fn a_creation_fails_with_every_code_but_those_of_copies() {
        let codes: Vec<&str> = Failure::creation_codes().collect();
        assert_eq!(codes.len(), 17);
        assert!(codes.contains(&"DCP_CORRUPT") && !codes.contains(&"NOT_FOUND"));
    }
}
