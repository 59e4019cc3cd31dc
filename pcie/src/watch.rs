//! Waits for entries of a directory that come and go: each stands for a function.

mod uevent;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::bus::Watch;
use crate::{Backoff, Deadline, Ended};
use uevent::Uevents;

/// How long a change that nobody was told about, or a cancelled wait, may go unseen. In a container
/// the kernel's messages can be permitted and never come.
const LOOK: Duration = Duration::from_millis(20);

/// Whose directory it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The kernel's own, in sysfs: it tells of changes by messages about devices.
    Kernel,
    /// One of files that are replaced and never changed in place. Those whose names begin with a dot
    /// are being written, and not there yet.
    Files,
}

/// Watches a directory.
///
/// The listing is compared first, and the kernel asked to tell of changes only by a wait that has to
/// sleep: most waits find their function at once, and to end a request for events of files costs the
/// kernel 10 to 20 ms (it waits for a grace period of SRCU in `fsnotify_destroy_group`). An event says
/// that something happened; what, the listing tells.
#[derive(Debug)]
pub(crate) struct ListingWatch {
    directory: PathBuf,
    kind: Kind,
    seen: Listing,
    source: Source,
}

/// What wakes up a wait.
#[derive(Debug)]
enum Source {
    /// The kernel has not been asked yet.
    NotAsked,
    /// Its messages about devices.
    Devices(Uevents),
    /// Its events of the directory.
    Files(Inotify),
    /// Nothing but time.
    Pauses(Backoff),
}

/// Names, and what tells an entry from one of the same name that was there before it: its number,
/// and among files, where numbers are used again, when it was last changed.
type Listing = BTreeSet<(OsString, u64, (i64, i64))>;

impl ListingWatch {
    /// A watch of a directory, from now on.
    pub(crate) fn new(directory: PathBuf, kind: Kind) -> io::Result<Self> {
        let seen = list(&directory, kind)?;
        Ok(Self {
            directory,
            kind,
            seen,
            source: Source::NotAsked,
        })
    }

    /// Whether the listing is not what it was; takes what it is for seen.
    fn is_different(&mut self) -> bool {
        // A directory that is gone has changed for good: the caller finds out what that means.
        let Ok(now) = list(&self.directory, self.kind) else {
            return true;
        };
        let before = std::mem::replace(&mut self.seen, now);
        before != self.seen
    }

    /// Asks the kernel to tell of changes.
    fn subscribe(&self) -> nix::Result<Source> {
        if self.kind == Kind::Kernel {
            return Uevents::subscribe().map(Source::Devices);
        }
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let events =
            AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE;
        inotify.add_watch(&self.directory, events)?;
        Ok(Source::Files(inotify))
    }
}

impl Watch for ListingWatch {
    fn changed(&mut self, deadline: &Deadline) -> Result<(), Ended> {
        if let Source::Pauses(backoff) = &mut self.source {
            *backoff = Backoff::up_to(LOOK);
        }
        while !self.is_different() {
            deadline.check()?;
            let waited = match &mut self.source {
                // Look once more after it: something may have changed before the events began.
                Source::NotAsked => self.subscribe().map(|source| self.source = source),
                Source::Devices(uevents) => wait_for_message(uevents, deadline),
                Source::Files(inotify) => wait_for_event(inotify, deadline),
                Source::Pauses(backoff) => {
                    backoff.wait(deadline)?;
                    Ok(())
                }
            };
            if let Err(errno) = waited {
                tracing::debug!(%errno, "the kernel does not tell; looking now and then instead");
                self.source = Source::Pauses(Backoff::up_to(LOOK));
            }
        }
        Ok(())
    }
}

/// Waits until there is reason to look at the listing again.
fn wait_for_message(uevents: &Uevents, deadline: &Deadline) -> nix::Result<()> {
    let look = deadline.at_most(LOOK);
    while look.check().is_ok() && !uevents.wait(look.remaining())? {}
    Ok(())
}

/// As [`wait_for_message`].
fn wait_for_event(inotify: &Inotify, deadline: &Deadline) -> nix::Result<()> {
    let wait = deadline.remaining().min(LOOK) + Duration::from_millis(1);
    let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
    let mut fds = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, timeout) {
        Ok(0) | Err(Errno::EINTR) => return Ok(()),
        Ok(_) => {}
        Err(errno) => return Err(errno),
    }
    loop {
        match inotify.read_events() {
            Err(Errno::EAGAIN) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn list(directory: &Path, kind: Kind) -> io::Result<Listing> {
    let mut listing = Listing::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let changed = match kind {
            Kind::Kernel => (0, 0),
            Kind::Files if entry.file_name().as_encoded_bytes().starts_with(b".") => continue,
            Kind::Files => match entry.metadata() {
                Ok(data) => (data.ctime(), data.ctime_nsec()),
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            },
        };
        listing.insert((entry.file_name(), entry.ino(), changed));
    }
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(5);
    const LATE: Duration = Duration::from_secs(5);

    fn watch_of(directory: &Path) -> ListingWatch {
        ListingWatch::new(directory.to_owned(), Kind::Files).unwrap()
    }

    #[test]
    fn a_watch_sees_what_comes_and_goes_after_it_began() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name| directory.path().join(name);
        fs::write(file("before"), "").unwrap();
        let mut watch = watch_of(directory.path());
        let timed_out = watch.changed(&Deadline::after(SOON));
        assert!(matches!(timed_out, Err(Ended::TimedOut { .. })));
        fs::remove_file(file("before")).unwrap();
        assert_eq!(watch.changed(&Deadline::after(LATE)), Ok(()));
        fs::write(file(".new"), "").unwrap();
        assert!(watch.changed(&Deadline::after(SOON)).is_err());
        fs::rename(file(".new"), file("new")).unwrap();
        assert_eq!(watch.changed(&Deadline::after(LATE)), Ok(()));
        assert!(watch.changed(&Deadline::after(SOON)).is_err());
    }

    #[test]
    fn a_file_that_is_replaced_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name| directory.path().join(name);
        fs::write(file("one"), "").unwrap();
        let mut watch = watch_of(directory.path());
        fs::write(file(".one"), "").unwrap();
        fs::rename(file(".one"), file("one")).unwrap();
        assert_eq!(watch.changed(&Deadline::after(LATE)), Ok(()));
    }

    #[test]
    fn a_wait_wakes_up_for_what_happens_meanwhile() {
        let directory = tempfile::tempdir().unwrap();
        let mut watch = watch_of(directory.path());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(30));
                fs::write(directory.path().join(".a"), "").unwrap();
                let from = directory.path().join(".a");
                fs::rename(from, directory.path().join("a")).unwrap();
            });
            assert_eq!(watch.changed(&Deadline::after(LATE)), Ok(()));
        });
    }
}
