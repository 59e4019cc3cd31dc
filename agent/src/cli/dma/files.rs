//! Where data comes from and where it goes: files, and standard input and output.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use afi_pcie::{Deadline, Ended};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tempfile::NamedTempFile;

use super::error::DmaCommandError;

/// The name of standard input and output.
const STANDARD: &str = "-";
/// The longest that an interruption goes unseen.
const LOOK: Duration = Duration::from_millis(50);
/// What a pipe that is ready is sure to take (`PIPE_BUF` of Linux).
const PIPE: usize = 4096;

/// Data to be written to a card, or compared with it.
pub(super) struct Source {
    name: String,
    file: File,
    /// Bytes; `None` for a pipe or a terminal.
    pub(super) length: Option<u64>,
}

/// Whether a path is standard input or output.
pub(super) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == STANDARD
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, DmaCommandError> {
        let (name, file) = if is_standard(path) {
            let name = "standard input".to_owned();
            let fd = io::stdin().as_fd().try_clone_to_owned();
            let fd = fd.map_err(DmaCommandError::file("use", &name))?;
            (name, fd.into())
        } else {
            let name = path.display().to_string();
            let file = File::open(path);
            let file = file.map_err(DmaCommandError::file("open", &name))?;
            (name, file)
        };
        let data = file.metadata();
        let data = data.map_err(DmaCommandError::file("look at", &name))?;
        if data.is_dir() {
            let source = ErrorKind::IsADirectory.into();
            return Err(DmaCommandError::file("read", &name)(source));
        }
        let length = data.is_file().then_some(data.len());
        Ok(Self { name, file, length })
    }

    /// How many bytes to take, where that is known: what was asked for, else all.
    pub(super) fn wanted(&self, asked: Option<u64>) -> Result<Option<u64>, DmaCommandError> {
        match (asked, self.length) {
            (Some(wanted), Some(length)) if wanted > length => Err(self.short(length, wanted)),
            (asked, length) => Ok(asked.or(length)),
        }
    }

    /// An end before all of the wanted bytes were there.
    pub(super) fn short(&self, length: u64, wanted: u64) -> DmaCommandError {
        DmaCommandError::Short {
            name: self.name.clone(),
            length,
            wanted,
        }
    }

    /// Reads until the buffer is full or there is no more, and tells how many bytes there are.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        deadline: &Deadline,
    ) -> Result<usize, DmaCommandError> {
        let mut done = 0;
        while done < buffer.len() {
            if self.length.is_none() {
                self.wait(PollFlags::POLLIN, deadline)?;
            }
            match self.file.read(&mut buffer[done..]) {
                Ok(0) => break,
                Ok(bytes) => done += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(DmaCommandError::file("read", &self.name)(error)),
            }
        }
        Ok(done)
    }

    fn wait(&self, event: PollFlags, deadline: &Deadline) -> Result<(), DmaCommandError> {
        wait(self.file.as_fd(), event, deadline, &self.name)
    }
}

/// Where data of a card goes.
pub(super) enum Sink {
    /// A file that appears under its name when it is complete.
    Atomic { file: NamedTempFile, path: PathBuf },
    /// A pipe, a terminal or a device.
    Stream { file: File, name: String },
}

impl Sink {
    pub(super) fn create(path: &Path) -> Result<Self, DmaCommandError> {
        if is_standard(path) {
            let name = "standard output".to_owned();
            let fd = io::stdout().as_fd().try_clone_to_owned();
            let file = fd.map_err(DmaCommandError::file("use", &name))?.into();
            return Ok(Self::Stream { file, name });
        }
        let name = path.display().to_string();
        if fs::metadata(path).is_ok_and(|data| !data.is_file()) {
            let file = File::options().write(true).open(path);
            let file = file.map_err(DmaCommandError::file("open", &name))?;
            return Ok(Self::Stream { file, name });
        }
        // A file behind a link is replaced where it is.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".afi-dma-")
            // As any new file: what the umask leaves.
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(directory);
        let file = file.map_err(DmaCommandError::file("make a file beside", &name))?;
        Ok(Self::Atomic { file, path })
    }

    pub(super) fn write(
        &mut self,
        data: &[u8],
        deadline: &Deadline,
    ) -> Result<(), DmaCommandError> {
        match self {
            Self::Atomic { file, path } => {
                let written = file.write_all(data);
                written.map_err(DmaCommandError::file("write", &path.display().to_string()))
            }
            Self::Stream { file, name } => {
                let mut left = data;
                while !left.is_empty() {
                    wait(file.as_fd(), PollFlags::POLLOUT, deadline, name)?;
                    match file.write(&left[..left.len().min(PIPE)]) {
                        Ok(bytes) => left = &left[bytes..],
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(error) => return Err(DmaCommandError::file("write", name)(error)),
                    }
                }
                Ok(())
            }
        }
    }

    /// Lets the file appear under its name.
    pub(super) fn finish(self) -> Result<(), DmaCommandError> {
        match self {
            Self::Stream { .. } => Ok(()),
            Self::Atomic { file, path } => {
                let name = path.display().to_string();
                let kept = file.persist(&path);
                kept.map_err(|error| DmaCommandError::file("replace", &name)(error.error))?;
                Ok(())
            }
        }
    }
}

/// Writes a whole file that appears under its name when it is complete.
pub(super) fn write_file(
    path: &Path,
    data: &[u8],
    deadline: &Deadline,
) -> Result<(), DmaCommandError> {
    let mut sink = Sink::create(path)?;
    sink.write(data, deadline)?;
    sink.finish()
}

/// Waits until a descriptor can be read or written, or its other end is gone.
fn wait(
    fd: BorrowedFd<'_>,
    event: PollFlags,
    deadline: &Deadline,
    name: &str,
) -> Result<(), DmaCommandError> {
    let ended = |source: Ended| DmaCommandError::Wait {
        name: name.to_owned(),
        source,
    };
    loop {
        deadline.check().map_err(ended)?;
        let pause = deadline.remaining().min(LOOK);
        let pause = PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(fd, event)], pause) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => return Err(DmaCommandError::file("wait for", name)(errno.into())),
        }
    }
}
