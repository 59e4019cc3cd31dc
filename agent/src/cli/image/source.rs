//! Where an archive is read from: a file, a pipe, standard input.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use afi_pcie::Deadline;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::error::{ImageError, ended};
use crate::output::progress::Bytes;

/// The longest that an interruption goes unseen while nothing comes.
const LOOK: Duration = Duration::from_millis(50);

/// Whether a path is standard input.
pub(super) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What a source is called.
pub(super) fn name(path: &Path) -> String {
    if is_standard(path) {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

/// The bytes of all files that a directory, or the `to_aws` in it, has: what there is to read at most.
pub(super) fn bytes_in(path: &Path) -> Option<u64> {
    let inner = path.join("to_aws");
    let root = if inner.is_dir() { &inner } else { path };
    let entries = fs::read_dir(root).ok()?;
    let sizes = entries.filter_map(|entry| fs::metadata(entry.ok()?.path()).ok());
    Some(
        sizes
            .filter(fs::Metadata::is_file)
            .map(|data| data.len())
            .sum(),
    )
}

/// An archive that is open.
pub(super) struct Source {
    pub(super) file: File,
    /// Bytes; `None` for a pipe or a terminal.
    pub(super) length: Option<u64>,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, ImageError> {
        let failed = |source| ImageError::Open {
            name: name(path),
            source,
        };
        let file = if is_standard(path) {
            io::stdin().as_fd().try_clone_to_owned().map(File::from)
        } else {
            File::open(path)
        };
        let file = file.map_err(failed)?;
        let data = file.metadata().map_err(failed)?;
        let length = data.is_file().then_some(data.len());
        Ok(Self { file, length })
    }

    /// The same with an end to its waits, telling how far it is.
    pub(super) fn watched<'a>(self, deadline: &'a Deadline, bytes: &'a Bytes) -> Watched<'a> {
        Watched {
            source: self,
            deadline,
            bytes,
        }
    }
}

/// A source whose reads end with the deadline.
pub(super) struct Watched<'a> {
    source: Source,
    deadline: &'a Deadline,
    bytes: &'a Bytes,
}

impl Watched<'_> {
    /// Waits until something can be read.
    fn wait(&self) -> io::Result<()> {
        loop {
            self.deadline.check().map_err(ended)?;
            let left = self.deadline.remaining().min(LOOK);
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let mut descriptors = [PollFd::new(self.source.file.as_fd(), PollFlags::POLLIN)];
            match poll(&mut descriptors, left) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.deadline.check().map_err(ended)?;
        if self.source.length.is_none() {
            self.wait()?;
        }
        let length = self.source.file.read(to)?;
        self.bytes.add(length as u64);
        Ok(length)
    }
}
