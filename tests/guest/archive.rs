//! Writes the archive that a kernel unpacks as its first file system.
//!
//! Source: Linux, `Documentation/driver-api/early-userspace/buffer-format.rst` ("newc" entries).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// An archive in memory.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    directories: BTreeSet<PathBuf>,
}

/// `S_IFDIR` and `S_IFREG` (inode(7)).
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
/// The name that ends an archive.
const END: &str = "TRAILER!!!";

impl Archive {
    /// Adds a directory and those above it.
    pub(crate) fn directory(&mut self, path: &str) {
        let mut path = PathBuf::from(path.trim_start_matches('/'));
        let mut missing = Vec::new();
        while !path.as_os_str().is_empty() && !self.directories.contains(&path) {
            missing.push(path.clone());
            path.pop();
        }
        for directory in missing.into_iter().rev() {
            let name = directory.display().to_string();
            self.entry(&name, DIRECTORY | 0o755, &[]);
            self.directories.insert(directory);
        }
    }

    /// Adds a file, and the directories above it.
    pub(crate) fn file(&mut self, path: &str, mode: u32, contents: &[u8]) {
        if let Some(parent) = Path::new(path).parent() {
            self.directory(&parent.display().to_string());
        }
        self.entry(path.trim_start_matches('/'), REGULAR | mode, contents);
    }

    /// Adds a program or library of the host.
    pub(crate) fn copy(&mut self, path: &str, from: &Path) -> io::Result<()> {
        let named = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("cannot read {}: {error}", from.display()),
            )
        };
        self.file(path, 0o755, &fs::read(from).map_err(named)?);
        Ok(())
    }

    /// The whole archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry(END, 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, contents: &[u8]) {
        self.entries += 1;
        let length = u32::try_from(contents.len()).expect("a file of a guest is below 4 GiB");
        let name_length = name.len() as u32 + 1;
        // Inode, mode, user, group, links, time, length, four device numbers, name, checksum.
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            length,
            0,
            0,
            0,
            0,
            name_length,
            0,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08X}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(contents);
        self.pad();
    }

    fn pad(&mut self) {
        let length = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(length, 0);
    }
}
