//! What can be wrong with a capture, and what a capture says went wrong.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use super::file::MOST_BYTES;
use super::format::SCHEMA_VERSION;

/// A file that cannot be used as a capture.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The system does not give its contents.
    #[error("it cannot be read")]
    Read {
        /// What the system said.
        source: io::Error,
    },
    /// It is longer than any capture.
    #[error("it is longer than {MOST_BYTES} bytes, and no capture is")]
    TooLarge,
    /// It is not JSON, or a field holds what it cannot.
    #[error("line {line}, column {column}: {problem}")]
    Malformed {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1; 0 where only the line is known.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A program with another form of the file wrote it.
    #[error("it has the form {found}; this program knows form {SCHEMA_VERSION}")]
    Version {
        /// Its `schema_version`.
        found: u64,
    },
    /// A value is of the right type, and no instance has it.
    #[error("{place}: {problem}")]
    Impossible {
        /// Where, such as `functions[3].config`.
        place: String,
        /// What is wrong there.
        problem: String,
    },
}

/// Something that did not work while a capture was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFailure {
    /// What was tried: `describe slot 0`.
    pub what: String,
    /// The class of the failure, as the program that took the capture names it: `device-gone`.
    pub class: Option<String>,
    /// What went wrong, with its causes.
    pub message: String,
}

impl fmt::Display for RecordedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.what, self.message)
    }
}

impl std::error::Error for RecordedFailure {}
