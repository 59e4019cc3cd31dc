//! Files that come and go in a directory, as events.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::bus::Watch;
use crate::{Deadline, Ended};

/// How long a cancelled wait may go unseen.
const LOOK: Duration = Duration::from_millis(20);

/// Watches a directory.
#[derive(Debug)]
pub(super) struct DirectoryWatch(Inotify);

impl DirectoryWatch {
    pub(super) fn new(directory: &Path) -> Result<Self, Errno> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let events = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE;
        inotify.add_watch(directory, events)?;
        Ok(Self(inotify))
    }
}

impl Watch for DirectoryWatch {
    fn changed(&mut self, deadline: &Deadline) -> Result<(), Ended> {
        loop {
            // An empty queue is the only error of a read that matters: wait for more.
            if self.0.read_events().is_ok_and(|events| !events.is_empty()) {
                return Ok(());
            }
            deadline.check()?;
            let wait = deadline.remaining().min(LOOK) + Duration::from_millis(1);
            let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
            let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, timeout).is_err_and(|errno| errno != Errno::EINTR) {
                deadline.pause(LOOK)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_sees_what_comes_and_goes_after_it_began() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name| directory.path().join(name);
        std::fs::write(file("before"), "").unwrap();
        let mut watch = DirectoryWatch::new(directory.path()).unwrap();
        let soon = Deadline::after(Duration::from_millis(5));
        assert!(matches!(watch.changed(&soon), Err(Ended::TimedOut { .. })));
        std::fs::remove_file(file("before")).unwrap();
        assert_eq!(
            watch.changed(&Deadline::after(Duration::from_secs(5))),
            Ok(())
        );
        std::fs::write(file(".new"), "").unwrap();
        std::fs::rename(file(".new"), file("new")).unwrap();
        assert_eq!(
            watch.changed(&Deadline::after(Duration::from_secs(5))),
            Ok(())
        );
    }
}
