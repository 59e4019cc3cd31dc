//! Exclusive use of an engine, across processes.
//!
//! An advisory lock (`flock(2)`) on a file in the directory where everybody who uses the bus keeps
//! locks. The kernel releases it however its holder ends.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use afi_proto::Bdf;
use nix::fcntl::OFlag;

use super::error::OpenError;

/// What the owner and the group may do with the directory, where this is the first to need it.
const DIRECTORY_MODE: u32 = 0o770;
/// What they may do with the file.
const FILE_MODE: u32 = 0o660;

/// The lock on an engine, until it is dropped.
#[derive(Debug)]
pub(super) struct EngineLock {
    _file: File,
}

impl EngineLock {
    /// Takes the lock. Does not wait: whoever has an engine has it for long.
    pub(super) fn take(directory: &Path, bdf: Bdf) -> Result<Self, OpenError> {
        let path = directory.join(format!("xdma-{bdf}.lock"));
        let failed = |what| {
            let path = path.clone();
            move |source| OpenError::LockFile { what, path, source }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(directory)
            .map_err(failed("make the directory of"))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&path)
            .map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { bdf, path }),
            Err(TryLockError::Error(source)) => Err(failed("lock")(source)),
        }
    }
}
