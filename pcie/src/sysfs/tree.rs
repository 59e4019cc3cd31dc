//! Files of sysfs: found, read and written with bounds, and pinned to the function they belong to.

use std::fs::{self, File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use afi_proto::Bdf;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::unistd::{Gid, fchownat};

use crate::BusError;

/// The longest text that a file of sysfs holds: a page (`Documentation/filesystems/sysfs.rst`).
const LONGEST: usize = 4096;
/// How much of a text is shown in a message.
const SHOWN: usize = 40;
/// How files are opened: never through a link, which no attribute is, and never waiting, which only
/// a file that is no attribute could make necessary.
const FLAGS: OFlag = OFlag::O_NOFOLLOW
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_CLOEXEC);

/// Why something about a function is not known.
#[derive(Debug)]
pub(super) enum Missed {
    /// The function is not there, or went while it was looked at.
    Went,
    /// It is there, and something is wrong.
    Failed(BusError),
}

impl From<BusError> for Missed {
    fn from(error: BusError) -> Self {
        Self::Failed(error)
    }
}

/// A tree that is laid out as `/sys`.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory with an entry for each function.
    pub(super) fn devices(&self) -> PathBuf {
        self.root.join("bus/pci/devices")
    }

    /// The addresses of all functions, in bus order. Names that are no address are left out: domains
    /// above 0xffff are those of storage controllers (VMD), behind which no FPGA is.
    pub(super) fn addresses(&self) -> Result<Vec<Bdf>, BusError> {
        let directory = self.devices();
        let list = || -> std::io::Result<Vec<Bdf>> {
            let mut addresses = Vec::new();
            for entry in fs::read_dir(&directory)? {
                let name = entry?.file_name();
                let name = name.to_str().unwrap_or_default();
                addresses.extend(
                    name.parse()
                        .ok()
                        .filter(|bdf: &Bdf| bdf.to_string() == name),
                );
            }
            addresses.sort();
            Ok(addresses)
        };
        list().map_err(BusError::io("list", &directory))
    }

    /// The directory of a function.
    pub(super) fn device(&self, bdf: Bdf) -> Result<Device, Missed> {
        let path = self.devices().join(bdf.to_string());
        let directory = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let opened = File::options()
            .read(true)
            .custom_flags(directory.bits())
            .open(&path);
        match opened {
            Ok(directory) => Ok(Device {
                bdf,
                path,
                directory,
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Missed::Went),
            Err(error) => Err(BusError::io("open", path)(error).into()),
        }
    }
}

/// The directory of a function. It stays that of the function which was there when it was opened:
/// when the function is removed, its files are gone for good, whatever comes in its place.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) bdf: Bdf,
    path: PathBuf,
    directory: File,
}

impl Device {
    /// The path of one of its files, for messages.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens one of its files.
    pub(super) fn open(&self, name: &str, access: OFlag) -> nix::Result<File> {
        openat(&self.directory, name, FLAGS | access, Mode::empty()).map(File::from)
    }

    /// Gives one of its files to a group, with these permissions.
    pub(super) fn give(&self, name: &str, group: Gid, mode: u32) -> nix::Result<()> {
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        fchownat(&self.directory, name, None, Some(group), flags)?;
        let mode = Mode::from_bits_truncate(mode);
        fchmodat(&self.directory, name, mode, FchmodatFlags::FollowSymlink)
    }

    /// Whether the bus still has this function at its address.
    pub(super) fn is_current(&self) -> bool {
        let place = |data: Metadata| (data.dev(), data.ino());
        let (now, mine) = (fs::metadata(&self.path), self.directory.metadata());
        now.ok().map(place) == mine.ok().map(place)
    }

    /// Reads a file, and understands what is in it.
    pub(super) fn value<T>(
        &self,
        name: &str,
        wanted: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Missed> {
        let value = self.value_if_there(name, wanted, parse)?;
        value.ok_or_else(|| self.missed("read", name, Errno::ENOENT))
    }

    /// As [`Self::value`], of a file that not every function has. One that has just gone has none,
    /// either: files that all have are to be read after such a file.
    pub(super) fn value_if_there<T>(
        &self,
        name: &str,
        wanted: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Missed> {
        let mut buffer = [0; LONGEST + 1];
        let bytes = match self.read(name, &mut buffer) {
            Ok(length) => &buffer[..length],
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(self.missed("read", name, errno)),
        };
        let text = std::str::from_utf8(bytes).ok();
        let short = text.filter(|text| text.len() <= LONGEST);
        match short.and_then(|text| parse(text.trim_end())) {
            Some(value) => Ok(Some(value)),
            None => Err(self.nonsense(name, quote(bytes), wanted).into()),
        }
    }

    /// Reads a file, in one read, which is how sysfs gives a text.
    fn read(&self, name: &str, buffer: &mut [u8]) -> nix::Result<usize> {
        let file = self.open(name, OFlag::O_RDONLY)?;
        loop {
            match nix::unistd::read(&file, buffer) {
                Err(Errno::EINTR) => {}
                other => return other,
            }
        }
    }

    /// The last part of what one of its links leads to; `None` when there is no such link, as in a
    /// function that has just gone.
    pub(super) fn link(&self, name: &str) -> Result<Option<String>, Missed> {
        let wanted = "a link";
        match readlinkat(&self.directory, name) {
            Ok(target) => {
                let last = Path::new(&target)
                    .file_name()
                    .and_then(|last| last.to_str());
                let last = last.ok_or_else(|| {
                    let found = quote(target.as_encoded_bytes());
                    Missed::Failed(self.nonsense(name, found, wanted))
                })?;
                Ok(Some(last.to_owned()))
            }
            Err(Errno::ENOENT) => Ok(None),
            Err(Errno::EINVAL) => {
                let found = "something else".to_owned();
                Err(self.nonsense(name, found, wanted).into())
            }
            Err(errno) => Err(self.missed("read", name, errno)),
        }
    }

    /// Writes `1` to a file.
    pub(super) fn write_one(&self, name: &str) -> Result<(), Missed> {
        let write = || {
            let file = self.open(name, OFlag::O_WRONLY)?;
            write_one_to(file)
        };
        write().map_err(|errno| self.missed("write 1 to", name, errno))
    }

    /// What it means that an operation on a file gave this error.
    pub(super) fn missed(&self, what: &'static str, name: &str, errno: Errno) -> Missed {
        match errno {
            // Given by files that are still open when their function goes.
            Errno::ENODEV => Missed::Went,
            Errno::ENOENT if !self.is_current() => Missed::Went,
            _ => BusError::io(what, self.file(name))(errno.into()).into(),
        }
    }

    /// The error for a file with nonsense in it.
    pub(super) fn nonsense(&self, name: &str, found: String, wanted: &'static str) -> BusError {
        BusError::Nonsense {
            path: self.file(name),
            found,
            wanted,
        }
    }
}

/// Writes `1` to a file that belongs to no function.
pub(super) fn write_one(path: &Path) -> nix::Result<()> {
    let file = nix::fcntl::open(path, FLAGS | OFlag::O_WRONLY, Mode::empty())?;
    write_one_to(file.into())
}

/// One write, as a kernel file wants it: every write is an order of its own.
fn write_one_to(file: File) -> nix::Result<()> {
    loop {
        match nix::unistd::write(&file, b"1") {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// The system's number of an error.
pub(super) fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// What was found in a file, for a message: the beginning, with what cannot be printed escaped.
fn quote(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing".to_owned();
    }
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
    let text = text.trim_end_matches('\n').escape_debug();
    if bytes.len() > SHOWN {
        return format!("'{text}…'");
    }
    format!("'{text}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_shown_in_one_short_line() {
        assert_eq!(quote(b""), "nothing");
        assert_eq!(quote(b"0x1d0f\n"), "'0x1d0f'");
        assert_eq!(quote(b"\x1b[2J\xff\n\n"), "'\\u{1b}[2J\u{fffd}'");
        assert_eq!(quote(&[b'a'; 4097]).len(), 40 + 2 + '…'.len_utf8());
    }
}
