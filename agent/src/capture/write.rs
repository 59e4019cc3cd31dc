//! Writing the file of a capture: whole or not at all, and for its owner only.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::problem::{Class, Problem, of_io};

/// Who may read the file: its owner.
const MODE: u32 = 0o600;

/// Why a capture was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There is a file of this name.
    #[error("{} is there already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is something of this name that is not to be replaced.
    #[error("{} is no plain file", path.display())]
    NotAFile {
        /// What there is.
        path: PathBuf,
    },
    /// The system refused it.
    #[error("cannot write the capture {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Sees whether a capture can take this name, before the work of taking it.
///
/// # Errors
/// When there is something that is not to be replaced: anything, or with `force` anything but a
/// plain file.
pub fn check_target(path: &Path, force: bool) -> Result<(), WriteError> {
    let path = path.to_owned();
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(WriteError::Io { path, source }),
        Ok(data) if !data.is_file() => Err(WriteError::NotAFile { path }),
        Ok(_) if force => Ok(()),
        Ok(_) => Err(WriteError::Exists { path }),
    }
}

/// Writes the text of a capture. The file takes its name when it is complete.
///
/// # Errors
/// As [`check_target`], and when the system refuses.
pub fn write(path: &Path, text: &str, force: bool) -> Result<(), WriteError> {
    check_target(path, force)?;
    let failed = |source| WriteError::Io {
        path: path.to_owned(),
        source,
    };
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".afi-capture-")
        .permissions(Permissions::from_mode(MODE))
        .tempfile_in(directory)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    let persisted = if force {
        file.persist(path)
    } else {
        file.persist_noclobber(path)
    };
    match persisted {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            let path = path.to_owned();
            Err(WriteError::Exists { path })
        }
        Err(error) => Err(failed(error.error)),
    }
}

impl Problem for WriteError {
    fn class(&self) -> Class {
        match self {
            Self::Exists { .. } | Self::NotAFile { .. } => Class::Usage,
            Self::Io { source, .. } => of_io(source),
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Exists { .. } => "choose another name, or replace it with --force",
            Self::NotAFile { .. } => "choose another name; '-' is standard output",
            Self::Io { .. } => "name a file in a directory that you may write to",
        };
        Some(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_for_its_owner_and_replaced_only_on_request() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        write(&path, "one", false).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = write(&path, "two", false).unwrap_err();
        assert!(matches!(error, WriteError::Exists { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        write(&path, "two", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn what_is_no_plain_file_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        for path in [&link, directory.path()] {
            let error = write(path, "text", true).unwrap_err();
            assert!(matches!(error, WriteError::NotAFile { .. }), "{error}");
        }
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("/dev/null"));
    }

    #[test]
    fn a_directory_that_is_not_there_is_told() {
        let error = write(Path::new("/nonexistent/report.json"), "text", false).unwrap_err();
        assert_eq!(error.class(), Class::NotFound);
    }
}
