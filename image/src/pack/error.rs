//! Why no tarball was made.

use std::io;
use std::path::PathBuf;

use crate::CheckError;
use crate::report::Report;

/// Why no tarball was made.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file or directory cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// What it is.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no checkpoint.
    #[error("there is no checkpoint in {}: no file whose name ends with '.dcp'", path.display())]
    NoCheckpoint {
        /// The directory.
        path: PathBuf,
    },
    /// There are several checkpoints.
    #[error("there are several checkpoints in {}: {names}", path.display())]
    SeveralCheckpoints {
        /// The directory.
        path: PathBuf,
        /// Their names.
        names: String,
    },
    /// There are several manifests.
    #[error("there are several manifests in {}: {names}", path.display())]
    SeveralManifests {
        /// The directory.
        path: PathBuf,
        /// Their names.
        names: String,
    },
    /// What should be a file is none, or has a name that cannot be in a manifest.
    #[error("{} {why}", path.display())]
    NotUsable {
        /// What it is.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// A value cannot stand in a manifest.
    #[error("{key} cannot be '{}': a value is one line of text", value.escape_debug())]
    Value {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
    },
    /// A file changed while it was read.
    #[error("{} changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// There is something of the tarball's name.
    #[error("{} is there already", path.display())]
    Exists {
        /// What there is.
        path: PathBuf,
    },
    /// The tarball cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The tarball.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No image would be made of the tarball.
    #[error("{} was not written: no image would be made of it", path.display())]
    Refused {
        /// The tarball that is not there.
        path: PathBuf,
        /// What is wrong.
        report: Box<Report>,
    },
}

impl From<CheckError> for PackError {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::File { path, source } => Self::Read { path, source },
            CheckError::Read { source, .. } => {
                let path = PathBuf::from("the archive");
                Self::Read { path, source }
            }
        }
    }
}
