//! A directory, as the archive that would be made of it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::archive::{Entry, Kind};
use crate::contents::{Contents, Role, role};
use crate::finding::Finding;
use crate::{CheckError, FailureCode, limits};

/// The directory whose contents are uploaded.
pub(crate) const DIRECTORY: &str = "to_aws";

/// A file that belongs into an archive.
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) base: OsString,
    pub(crate) role: Role,
    pub(crate) kind: Kind,
    pub(crate) size: u64,
}

/// Reads the files of a directory into `contents`, in the order of their names.
pub(crate) fn read(
    path: &Path,
    contents: &mut Contents,
    progress: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<(), CheckError> {
    let mut buffer = vec![0; limits::BUFFER];
    for found in select(path)? {
        if contents.is_full() {
            let fix = "name the 'to_aws' of one build";
            let message = "the directory has too many files that belong into an archive";
            let found = Finding::error(FailureCode::CorruptArchive, message);
            contents.report.add(found.fix(fix));
            return Ok(());
        }
        let mut name = format!("{DIRECTORY}/").into_bytes();
        name.extend_from_slice(found.base.as_bytes());
        contents.begin(&Entry {
            name,
            kind: found.kind,
            size: found.size,
            at: None,
        });
        if found.kind == Kind::File {
            let failed = |source| CheckError::File {
                path: found.path.clone(),
                source,
            };
            copy(&found, &mut buffer, contents, progress).map_err(failed)?;
            contents.report.bytes += found.size;
        }
        contents.end();
    }
    Ok(())
}

/// Reads one file: as many bytes as it had when it was found.
fn copy(
    found: &Found,
    buffer: &mut [u8],
    contents: &mut Contents,
    progress: &mut dyn FnMut(u64) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = File::open(&found.path)?.take(found.size);
    while file.limit() > 0 {
        let length = match file.read(buffer) {
            Ok(0) => {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "it became shorter",
                ));
            }
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        progress(length as u64)?;
        contents.data(&buffer[..length]);
    }
    Ok(())
}

/// The files of a directory, or of the `to_aws` in it, that belong into an archive: manifests,
/// checkpoints and debug probes, in the order of their names. What a symbolic link points to counts.
pub(crate) fn select(path: &Path) -> Result<Vec<Found>, CheckError> {
    let inner = path.join(DIRECTORY);
    let root = if inner.is_dir() { &inner } else { path };
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CheckError::File { path, source }
    };
    let mut selected = Vec::new();
    for entry in fs::read_dir(root).map_err(failed(root))? {
        let entry = entry.map_err(failed(root))?;
        let base = entry.file_name();
        let role = role(base.as_bytes());
        if !matches!(role, Role::Manifest | Role::Checkpoint | Role::Probes) {
            continue;
        }
        let path = entry.path();
        let metadata = fs::metadata(&path).map_err(failed(&path))?;
        let kind = if metadata.is_file() {
            Kind::File
        } else if metadata.is_dir() {
            Kind::Directory
        } else {
            Kind::Special
        };
        selected.push(Found {
            path,
            base,
            role,
            kind,
            size: if kind == Kind::File {
                metadata.len()
            } else {
                0
            },
        });
        // One more than are taken, so that there are too many.
        if selected.len() > limits::MEMBERS {
            break;
        }
    }
    selected.sort_by(|one, other| one.base.cmp(&other.base));
    Ok(selected)
}
