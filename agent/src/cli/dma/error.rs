//! What can go wrong beside the memory of the card: files, and what was asked for.

use std::io;
use std::path::PathBuf;

use afi_pcie::Ended;
use afi_pcie::card_memory::Verdict;
use afi_proto::SlotIndex;

use super::report::mismatch;
use crate::output::ErrorReport;
use crate::problem::{Class, Problem, of_io};

/// Something that was asked for and cannot be, or did not work.
#[derive(Debug, thiserror::Error)]
pub(super) enum DmaCommandError {
    /// The system refused an operation on a file.
    #[error("cannot {what} {name}")]
    File {
        what: &'static str,
        name: String,
        source: io::Error,
    },
    /// A file has fewer bytes than were asked for.
    #[error("{name} has {length} bytes; wanted {wanted}")]
    Short {
        name: String,
        length: u64,
        wanted: u64,
    },
    /// The wait for a file that is a pipe or a terminal ended.
    #[error("waiting for {name}")]
    Wait { name: String, source: Ended },
    /// Memory does not hold what it should.
    #[error("the memory of slot {slot} differs in {} of {} bytes{}", verdict.differing, verdict.checked, mismatch(verdict))]
    Differs { slot: SlotIndex, verdict: Verdict },
    /// Too much to be shown on a terminal.
    #[error("{size} bytes are too many to be shown; at most {most} are")]
    TooManyToShow { size: u64, most: u64 },
    /// What was read in a measurement is not what was written.
    #[error(
        "slot {slot}: {size} bytes that were read at {address:#x} are not those that were written{}",
        mismatch(verdict)
    )]
    Corrupted {
        slot: SlotIndex,
        size: u64,
        address: u64,
        verdict: Verdict,
    },
    /// The plot cannot be drawn.
    #[error("cannot draw {}", path.display())]
    Plot { path: PathBuf, reason: String },
}

impl DmaCommandError {
    pub(super) fn file(what: &'static str, name: &str) -> impl FnOnce(io::Error) -> Self {
        let name = name.to_owned();
        move |source| Self::File { what, name, source }
    }
}

impl Problem for DmaCommandError {
    fn class(&self) -> Class {
        match self {
            Self::File { source, .. } => of_io(source),
            Self::Short { .. } | Self::TooManyToShow { .. } => Class::Usage,
            Self::Wait { source, .. } => source.class(),
            Self::Differs { .. } | Self::Corrupted { .. } => Class::Mismatch,
            Self::Plot { .. } => Class::Failed,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Short { .. } => "ask for fewer bytes with --size, or leave it out",
            Self::TooManyToShow { .. } => "name a file with --file, or '-' for standard output",
            Self::Wait { source, .. } => return source.remedy(),
            Self::Plot { reason, .. } => return Some(reason.clone()),
            Self::Corrupted { .. } => {
                "see that nothing else writes there, and what 'afi describe SLOT --metrics' counts"
            }
            Self::File { .. } | Self::Differs { .. } => return None,
        };
        Some(text.to_owned())
    }
}

impl From<DmaCommandError> for Box<ErrorReport> {
    fn from(error: DmaCommandError) -> Self {
        Self::new(ErrorReport::new(&error))
    }
}
