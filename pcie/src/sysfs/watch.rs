//! Waits for functions that come and go.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use super::uevent::Uevents;
use crate::bus::Watch;
use crate::{Backoff, Deadline, Ended};

/// How long a change that the kernel told nobody about, or a cancelled wait, may go unseen. In a
/// container messages can be permitted and never come.
const LOOK: Duration = Duration::from_millis(20);

/// Watches the directory with an entry for each function.
///
/// The listing is compared first, and the kernel asked for messages only by a wait that has to
/// sleep: a rescan returns when it is done, so that most waits find their function at once. A
/// message says that something happened; what, the listing tells.
#[derive(Debug)]
pub(super) struct ListingWatch {
    directory: PathBuf,
    is_kernel: bool,
    seen: Listing,
    source: Source,
}

/// What wakes up a wait.
#[derive(Debug)]
enum Source {
    /// The kernel has not been asked yet.
    NotAsked,
    /// Its messages.
    Kernel(Uevents),
    /// Nothing but time.
    Pauses(Backoff),
}

/// Names, and what tells an entry from one of the same name that was there before it: its number,
/// and in a tree of files, where numbers are used again, when it was last changed.
type Listing = BTreeSet<(OsString, u64, (i64, i64))>;

impl ListingWatch {
    /// A watch of `directory`, which is the kernel's own or not, from now on.
    pub(super) fn new(directory: PathBuf, is_kernel: bool) -> io::Result<Self> {
        let seen = list(&directory, is_kernel)?;
        let source = if is_kernel {
            Source::NotAsked
        } else {
            Source::Pauses(Backoff::up_to(LOOK))
        };
        Ok(Self {
            directory,
            is_kernel,
            seen,
            source,
        })
    }

    /// Whether the listing is not what it was; takes what it is for seen.
    fn is_different(&mut self) -> bool {
        // A directory that is gone has changed for good: the caller finds out what that means.
        let Ok(now) = list(&self.directory, self.is_kernel) else {
            return true;
        };
        let before = std::mem::replace(&mut self.seen, now);
        before != self.seen
    }
}

impl Watch for ListingWatch {
    fn changed(&mut self, deadline: &Deadline) -> Result<(), Ended> {
        if let Source::Pauses(backoff) = &mut self.source {
            *backoff = Backoff::up_to(LOOK);
        }
        while !self.is_different() {
            deadline.check()?;
            match &mut self.source {
                // Look once more after it: something may have changed before the messages began.
                Source::NotAsked => {
                    self.source = Uevents::subscribe().map_or_else(pauses, Source::Kernel);
                }
                Source::Kernel(uevents) => {
                    if let Err(errno) = wait(uevents, deadline) {
                        self.source = pauses(errno);
                    }
                }
                Source::Pauses(backoff) => backoff.wait(deadline)?,
            }
        }
        Ok(())
    }
}

fn pauses(errno: nix::errno::Errno) -> Source {
    tracing::debug!(%errno, "the kernel's messages cannot be had; looking now and then instead");
    Source::Pauses(Backoff::up_to(LOOK))
}

/// Waits until there is reason to look at the listing again.
fn wait(uevents: &Uevents, deadline: &Deadline) -> nix::Result<()> {
    let look = deadline.at_most(LOOK);
    while look.check().is_ok() && !uevents.wait(look.remaining())? {}
    Ok(())
}

fn list(directory: &Path, is_kernel: bool) -> io::Result<Listing> {
    let mut listing = Listing::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let changed = if is_kernel {
            (0, 0)
        } else {
            match fs::symlink_metadata(entry.path()) {
                Ok(data) => (data.ctime(), data.ctime_nsec()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
        };
        listing.insert((entry.file_name(), entry.ino(), changed));
    }
    Ok(listing)
}
