//! The file of the cache: reading it, and replacing it so that nobody sees a part.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use afi_pcie::{Backoff, Deadline, Ended};
use serde::{Deserialize, Serialize};

use super::{Entry, unix_seconds};

/// The file.
pub(super) const IMAGES: &str = "images.json";
/// Its lock: a file of its own, as the other one is replaced.
const LOCK: &str = "images.lock";
/// The version of the file's form that this program writes and reads.
const SCHEMA_VERSION: u32 = 1;
/// Bytes that are read at most; a full cache is far smaller.
const MOST_BYTES: u64 = 16 << 20;
/// The longest pause between two tries to lock. `flock` can wait, but not with a deadline.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Why the cache could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The system refused an operation on a file.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process was writing all the time.
    #[error("{} stayed locked by another process", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Why the wait ended.
        source: Ended,
    },
    /// The file is not what this program writes.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A newer program wrote the file. It is left alone.
    #[error(
        "{} has the form {found}; this program knows form {SCHEMA_VERSION}",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

/// The part of the file that every version has.
#[derive(Deserialize)]
struct Version {
    schema_version: u32,
}

#[derive(Deserialize)]
struct Contents {
    entries: Vec<Entry>,
}

#[derive(Serialize)]
struct ContentsRef<'a> {
    schema_version: u32,
    entries: &'a [Entry],
}

/// Reads the entries. A file that is not there has none.
pub(super) fn read(directory: &Path) -> Result<Vec<Entry>, CacheError> {
    let path = directory.join(IMAGES);
    let mut text = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut text));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(io_error("read", &path, source)),
        Ok(_) => {}
    }
    let damaged = |problem: String| CacheError::Damaged {
        path: path.clone(),
        problem,
    };
    if text.len() as u64 > MOST_BYTES {
        return Err(damaged(format!("it is longer than {MOST_BYTES} bytes")));
    }
    let version: Version =
        serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    match version.schema_version {
        SCHEMA_VERSION => {}
        found if found > SCHEMA_VERSION => return Err(CacheError::Newer { path, found }),
        found => return Err(damaged(format!("there is no form {found}"))),
    }
    let contents: Contents =
        serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    Ok(contents.entries)
}

/// Changes the entries while no other process does. A damaged file is set aside first.
pub(super) fn update(
    directory: &Path,
    deadline: &Deadline,
    change: impl FnOnce(&mut Vec<Entry>),
) -> Result<(), CacheError> {
    fs::create_dir_all(directory).map_err(|source| io_error("make", directory, source))?;
    let _lock = lock(directory, deadline)?;
    let mut entries = match read(directory) {
        Err(error @ CacheError::Damaged { .. }) => {
            set_aside(directory, &error)?;
            Vec::new()
        }
        other => other?,
    };
    change(&mut entries);
    write(directory, &entries)
}

/// Takes the writers' lock; closing the file releases it.
fn lock(directory: &Path, deadline: &Deadline) -> Result<File, CacheError> {
    let path = directory.join(LOCK);
    let file = open_lock(&path).map_err(|source| io_error("open", &path, source))?;
    let mut backoff = Backoff::up_to(LONGEST_PAUSE);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &path, source)),
        }
        if let Err(source) = backoff.wait(deadline) {
            return Err(CacheError::Locked { path, source });
        }
    }
}

/// Opening it for reading is enough to lock it, and works where another user made it.
fn open_lock(path: &Path) -> io::Result<File> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path),
        other => other,
    }
}

/// Renames a damaged file, so that it can be looked at and is not in the way.
fn set_aside(directory: &Path, why: &CacheError) -> Result<(), CacheError> {
    let path = directory.join(IMAGES);
    let aside = directory.join(format!("{IMAGES}.damaged-{}", unix_seconds()));
    fs::rename(&path, &aside).map_err(|source| io_error("set aside", &path, source))?;
    tracing::warn!(aside = %aside.display(), "{why}; it was set aside");
    Ok(())
}

/// Replaces the file: the new one is complete and on the disk before it takes the name.
fn write(directory: &Path, entries: &[Entry]) -> Result<(), CacheError> {
    let path = directory.join(IMAGES);
    let failed = |source| io_error("write", &path, source);
    let contents = ContentsRef {
        schema_version: SCHEMA_VERSION,
        entries,
    };
    let text = serde_json::to_vec(&contents).map_err(|error| failed(error.into()))?;
    let mut file = tempfile::Builder::new()
        .prefix(".images-")
        // Every user may read it, as far as the umask allows: there are no secrets in it.
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(directory)
        .map_err(failed)?;
    file.write_all(&text).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    // The rename, too, is on the disk once the directory is.
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed)
}

fn io_error(what: &'static str, path: &Path, source: io::Error) -> CacheError {
    CacheError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}
