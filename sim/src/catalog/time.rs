//! Moments, as the API writes them.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

/// A moment in UTC. Written as EC2 does, `2017-07-26T18:42:42.000Z`; in a catalogue it is a TOML
/// date-time with `Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "toml::value::Datetime")]
pub struct Timestamp(SystemTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_rfc3339_millis(self.0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Timestamp {
    /// The moment that the system's clock calls this, cut to milliseconds as it is written.
    pub fn at(time: SystemTime) -> Self {
        let since = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Self(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds))
    }

    /// So much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.checked_add(time).unwrap_or(self.0))
    }

    /// How long it is from an earlier moment to this one; zero from a later one.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.duration_since(earlier.0).unwrap_or_default()
    }
}

impl From<Timestamp> for SystemTime {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.0
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        match humantime::parse_rfc3339(text) {
            Ok(time) => Ok(Self(time)),
            Err(_) => Err(ParseTimestampError {
                text: text.to_owned(),
            }),
        }
    }
}

impl TryFrom<toml::value::Datetime> for Timestamp {
    type Error = ParseTimestampError;

    fn try_from(value: toml::value::Datetime) -> Result<Self, ParseTimestampError> {
        value.to_string().parse()
    }
}

/// A date-time that is not a moment in UTC.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text} is not a moment in UTC; wanted a date and time since 1970 with 'Z', such as 2017-07-26T18:42:42Z"
)]
pub struct ParseTimestampError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(text: &str) -> Result<Timestamp, ParseTimestampError> {
        text.parse::<toml::value::Datetime>().unwrap().try_into()
    }

    #[test]
    fn it_is_written_as_the_api_does() {
        let written = |text| timestamp(text).unwrap().to_string();
        assert_eq!(written("2017-07-26T18:42:42Z"), "2017-07-26T18:42:42.000Z");
        assert_eq!(
            written("2024-02-29T00:00:00.25Z"),
            "2024-02-29T00:00:00.250Z"
        );
    }

    #[test]
    fn other_times_are_refused() {
        for text in [
            "2017-07-26T18:42:42",
            "2017-07-26",
            "18:42:42",
            "2017-07-26T18:42:42+02:00",
            "1969-12-31T23:59:59Z",
        ] {
            let error = timestamp(text).unwrap_err().to_string();
            assert!(error.contains("with 'Z'"), "{error}");
        }
    }
}
