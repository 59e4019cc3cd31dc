//! What binding asks of the kernel: to take orders in files, and to tell whether a group is open.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::Deadline;

/// How often a wait looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(20);

/// Takes orders.
pub(crate) trait Kernel {
    /// Writes a text to a file, in one write, and waits until the kernel has done what it says. The
    /// outer error is that the wait ended before.
    fn order(
        &self,
        path: &Path,
        text: &str,
        deadline: &Deadline,
    ) -> Result<io::Result<()>, crate::Ended>;

    /// Whether somebody has the file of a group open.
    fn is_in_use(&self, group: &Path) -> bool;
}

/// The running kernel.
#[derive(Debug)]
pub(crate) struct RunningKernel;

impl Kernel for RunningKernel {
    /// In a thread: a driver may take as long as it likes to let go of a function, and no signal
    /// ends that.
    fn order(
        &self,
        path: &Path,
        text: &str,
        deadline: &Deadline,
    ) -> Result<io::Result<()>, crate::Ended> {
        let (path, bytes) = (path.to_owned(), text.as_bytes().to_vec());
        let (done, outcome) = mpsc::channel();
        thread::spawn(move || {
            let write = || File::options().write(true).open(&path)?.write_all(&bytes);
            // Nobody listens any more once the deadline is over.
            let _ = done.send(write());
        });
        loop {
            if let Ok(outcome) = outcome.recv_timeout(LOOK.min(deadline.remaining())) {
                return Ok(outcome);
            }
            deadline.check()?;
        }
    }

    /// A group takes one user at a time, and opening it does nothing else.
    fn is_in_use(&self, group: &Path) -> bool {
        let opened = File::options().read(true).write(true).open(group);
        opened.is_err_and(|error| error.kind() == ErrorKind::ResourceBusy)
    }
}
