//! Reading the file of a capture. It comes from somebody else: nothing in it is believed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use afi_proto::mailbox::MAX_MESSAGE;
use afi_proto::{BarIndex, config_space};
use nix::fcntl::OFlag;
use serde::Deserialize;

use super::error::CaptureError;
use super::format::{Capture, SCHEMA_VERSION};

/// Bytes that are read at most. A capture of eight slots has about 300 KB.
pub const MOST_BYTES: u64 = 16 << 20;
/// Functions that an instance has at most: two of each of 256 slots.
const MOST_FUNCTIONS: usize = 512;

/// The part of the file that every version has.
#[derive(Deserialize)]
struct Version {
    schema_version: u64,
}

impl Capture {
    /// Reads a capture from its file.
    ///
    /// # Errors
    /// When the file cannot be read, or is no capture.
    pub fn read(path: &Path) -> Result<Self, CaptureError> {
        let mut text = Vec::new();
        open(path)
            .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut text))
            .map_err(|source| CaptureError::Read { source })?;
        Self::parse(&text)
    }

    /// Understands the contents of a capture's file.
    ///
    /// # Errors
    /// When they are too long, no JSON, of another version, or what no instance has.
    pub fn parse(text: &[u8]) -> Result<Self, CaptureError> {
        if text.len() as u64 > MOST_BYTES {
            return Err(CaptureError::TooLarge);
        }
        let version: Version = serde_json::from_slice(text).map_err(malformed)?;
        if version.schema_version != u64::from(SCHEMA_VERSION) {
            let found = version.schema_version;
            return Err(CaptureError::Version { found });
        }
        let capture: Self = serde_json::from_slice(text).map_err(malformed)?;
        capture.check()?;
        Ok(capture)
    }

    /// Looks for what no instance has, and the rest of the program relies on.
    fn check(&self) -> Result<(), CaptureError> {
        let count = self.functions.len();
        if count > MOST_FUNCTIONS {
            let problem = format!("{count} functions; an instance has at most {MOST_FUNCTIONS}");
            return Err(impossible("functions", problem));
        }
        let mut seen = BTreeSet::new();
        for (index, function) in self.functions.iter().enumerate() {
            let place = format!("functions[{index}]");
            if !seen.insert(function.bdf) {
                let problem = format!("a second function at {}", function.bdf);
                return Err(impossible(place, problem));
            }
            let bytes = function.config.0.len();
            if bytes > config_space::SIZE {
                let problem = format!("{bytes} bytes; there are at most {}", config_space::SIZE);
                return Err(impossible(place + ".config", problem));
            }
            if let Some(bar) = function
                .bars
                .keys()
                .find(|bar| BarIndex::new(**bar).is_none())
            {
                let problem = format!("there is no BAR {bar}; wanted 0 to 5");
                return Err(impossible(place + ".bars", problem));
            }
        }
        self.check_mailboxes()
    }

    fn check_mailboxes(&self) -> Result<(), CaptureError> {
        let mut seen = BTreeSet::new();
        for (index, mailbox) in self.mailboxes.iter().enumerate() {
            if !seen.insert(mailbox.bdf) {
                let problem = format!("a second mailbox at {}", mailbox.bdf);
                return Err(impossible(format!("mailboxes[{index}]"), problem));
            }
            for (number, exchange) in mailbox.exchanges.iter().enumerate() {
                let responses = exchange.responses.iter().map(|response| &response.message);
                let longest = responses
                    .chain([&exchange.payload])
                    .map(|bytes| bytes.0.len());
                if let Some(bytes) = longest.max().filter(|bytes| *bytes > MAX_MESSAGE) {
                    let problem =
                        format!("a message of {bytes} bytes; there are at most {MAX_MESSAGE}");
                    let place = format!("mailboxes[{index}].exchanges[{number}]");
                    return Err(impossible(place, problem));
                }
            }
        }
        Ok(())
    }
}

/// Opens a plain file: of what else a path can lead to, a pipe for example, the end may never come.
fn open(path: &Path) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        let problem = "it is no plain file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    Ok(file)
}

/// The error of the parser, which ends its text with the place; that is told first here.
fn malformed(error: serde_json::Error) -> CaptureError {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let place = format!(" at line {line} column {column}");
    CaptureError::Malformed {
        line,
        column,
        problem: text.strip_suffix(&place).unwrap_or(&text).to_owned(),
    }
}

fn impossible(place: impl Into<String>, problem: String) -> CaptureError {
    CaptureError::Impossible {
        place: place.into(),
        problem,
    }
}
