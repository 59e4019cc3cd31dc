//! Files that come and go in a directory, as events.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::bus::Watch;
use crate::{Deadline, Ended};

/// How long a cancelled wait may go unseen.
const LOOK: Duration = Duration::from_millis(20);

/// Watches a directory whose files are replaced and never changed in place.
///
/// What was there is compared first, and the kernel asked for events only by a wait that has to
/// sleep: to end such a request costs the kernel 10 to 20 ms (it waits for a grace period of SRCU
/// in `fsnotify_destroy_group`), which a load that finds its function at once should not pay.
#[derive(Debug)]
pub(super) struct DirectoryWatch {
    directory: PathBuf,
    seen: Listing,
    events: Option<Inotify>,
}

/// Names, and when each file was made: its inode number alone may be that of one that is gone.
type Listing = BTreeSet<(OsString, u64, (i64, i64))>;

impl DirectoryWatch {
    pub(super) fn new(directory: PathBuf) -> io::Result<Self> {
        let seen = list(&directory)?;
        Ok(Self {
            directory,
            seen,
            events: None,
        })
    }

    /// Whether the directory is not what it was; takes what it is for seen.
    fn is_different(&mut self) -> bool {
        // A directory that is gone has changed for good: the caller finds out what that means.
        let Ok(now) = list(&self.directory) else {
            return true;
        };
        let before = std::mem::replace(&mut self.seen, now);
        before != self.seen
    }

    fn subscribe(&self) -> Result<Inotify, Errno> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let events = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE;
        inotify.add_watch(&self.directory, events)?;
        Ok(inotify)
    }
}

impl Watch for DirectoryWatch {
    fn changed(&mut self, deadline: &Deadline) -> Result<(), Ended> {
        while !self.is_different() {
            deadline.check()?;
            let Some(inotify) = &self.events else {
                match self.subscribe() {
                    // Look once more: something may have changed before the events began.
                    Ok(inotify) => self.events = Some(inotify),
                    // Out of watches: look now and then instead.
                    Err(_) => deadline.pause(LOOK)?,
                }
                continue;
            };
            let wait = deadline.remaining().min(LOOK) + Duration::from_millis(1);
            let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
            let mut fds = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, timeout).is_err_and(|errno| errno != Errno::EINTR) {
                deadline.pause(LOOK)?;
            }
            // The events say that something happened; what, the directory tells.
            while inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
        }
        Ok(())
    }
}

fn list(directory: &Path) -> io::Result<Listing> {
    let mut listing = Listing::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // A file being written has a name that begins with a dot.
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        match entry.metadata() {
            Ok(data) => {
                let changed = (data.ctime(), data.ctime_nsec());
                listing.insert((entry.file_name(), data.ino(), changed));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(5);
    const LATE: Duration = Duration::from_secs(5);

    #[test]
    fn a_watch_sees_what_comes_and_goes_after_it_began() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name| directory.path().join(name);
        fs::write(file("before"), "").unwrap();
        let mut watch = DirectoryWatch::new(directory.path().to_owned()).unwrap();
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
        let mut watch = DirectoryWatch::new(directory.path().to_owned()).unwrap();
        fs::write(file(".one"), "").unwrap();
        fs::rename(file(".one"), file("one")).unwrap();
        assert_eq!(watch.changed(&Deadline::after(LATE)), Ok(()));
    }

    #[test]
    fn a_wait_wakes_up_for_what_happens_meanwhile() {
        let directory = tempfile::tempdir().unwrap();
        let mut watch = DirectoryWatch::new(directory.path().to_owned()).unwrap();
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
