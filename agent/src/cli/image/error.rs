//! Why a tarball was not checked, not made, or would not become an image.

use std::io;

use afi_image::{CheckError, FailureCode, PackError};
use afi_pcie::Ended;

use crate::output::ErrorReport;
use crate::problem::{Class, Problem, of_io};

/// What goes wrong with tarballs.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImageError {
    /// The archive cannot be opened.
    #[error("cannot open {name}")]
    Open { name: String, source: io::Error },
    /// It cannot be read.
    #[error("cannot check {name}")]
    Check { name: String, source: CheckError },
    /// The tarball cannot be made.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The time was up, or somebody ended it.
    #[error("{what} was not finished")]
    Ended { what: String, source: Ended },
    /// There are errors.
    #[error("no image would be made of {name}: {count}; the first is {code}")]
    Refused {
        name: String,
        count: String,
        code: FailureCode,
    },
    /// There are warnings, and they count.
    #[error("{name} has {count}, which --strict does not let pass")]
    Warned { name: String, count: String },
}

/// The end of a wait, as an error of reading.
pub(super) fn ended(ended: Ended) -> io::Error {
    io::Error::other(ended)
}

/// The end of a wait that a reader reported, if it is one.
fn why(error: &io::Error) -> Option<Ended> {
    error.get_ref()?.downcast_ref::<Ended>().copied()
}

impl ImageError {
    /// Of a check.
    pub(super) fn of_check(name: &str, source: CheckError) -> Self {
        let (CheckError::Read { source: cause, .. } | CheckError::File { source: cause, .. }) =
            &source;
        let name = name.to_owned();
        match why(cause) {
            Some(source) => {
                let what = format!("the check of {name}");
                Self::Ended { what, source }
            }
            None => Self::Check { name, source },
        }
    }

    /// Of packing.
    pub(super) fn of_pack(error: PackError) -> Self {
        let cause = match &error {
            PackError::Read { source, .. } => why(source),
            _ => None,
        };
        match cause {
            Some(source) => {
                let what = "the tarball".to_owned();
                Self::Ended { what, source }
            }
            None => error.into(),
        }
    }
}

impl From<ImageError> for Box<ErrorReport> {
    fn from(error: ImageError) -> Self {
        Self::new(ErrorReport::new(&error))
    }
}

impl Problem for ImageError {
    fn class(&self) -> Class {
        match self {
            Self::Open { source, .. } => of_io(source),
            Self::Check {
                source: CheckError::Read { source, .. } | CheckError::File { source, .. },
                ..
            } => of_io(source),
            Self::Ended { source, .. } => source.class(),
            // What is there is not what was wanted. 1 stays for a check that could not be done.
            Self::Refused { .. } | Self::Warned { .. } => Class::Mismatch,
            Self::Pack(error) => match error {
                PackError::Read { source, .. } | PackError::Write { source, .. } => of_io(source),
                PackError::NoCheckpoint { .. } => Class::NotFound,
                PackError::SeveralCheckpoints { .. }
                | PackError::SeveralManifests { .. }
                | PackError::NotUsable { .. }
                | PackError::Value { .. }
                | PackError::Exists { .. } => Class::Usage,
                PackError::Changed { .. } => Class::Failed,
                PackError::Refused { .. } => Class::Mismatch,
            },
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Open { .. } => {
                "name a tarball or directory that you may read; '-' is standard input"
            }
            Self::Check { .. } | Self::Warned { .. } => return None,
            Self::Ended { source, .. } => return source.remedy(),
            Self::Refused { .. } => {
                "do what each 'fix' above says, and check again; 'afi image pack' writes manifest and \
                 tarball anew"
            }
            Self::Pack(error) => match error {
                PackError::Read { .. } => return None,
                PackError::NoCheckpoint { .. } => {
                    "name the checkpoint itself, or the directory 'to_aws' that it is in"
                }
                PackError::SeveralCheckpoints { .. } => "choose one with --checkpoint NAME",
                PackError::SeveralManifests { .. } => "choose one with --manifest FILE",
                PackError::NotUsable { .. } => "choose another file or name",
                PackError::Value { .. } => {
                    "give the value without control characters and spaces around"
                }
                PackError::Changed { .. } => "wait until Vivado has written it, and pack again",
                PackError::Exists { .. } => {
                    "choose another name with --output, or replace it with --force"
                }
                PackError::Write { .. } => "name a file in a directory that you may write to",
                PackError::Refused { .. } => {
                    "give what is missing as an option, such as --device-id, or in a manifest: 'afi image \
                     pack --help' shows them"
                }
            },
        };
        Some(text.to_owned())
    }
}
