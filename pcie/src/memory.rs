//! Memory that is backed by a descriptor, so that it can be shared with a device's server.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::mapping::Mapping;

/// Anonymous memory with a descriptor, mapped into this process. Pages cost nothing until they are
/// written.
#[derive(Debug)]
pub struct SharedMemory {
    file: File,
    mapping: Mapping,
}

impl SharedMemory {
    /// Makes `length` bytes of zeros. The name is for people who look at `/proc`. The size is
    /// sealed: no holder of the descriptor can pull pages away from under another.
    ///
    /// # Errors
    /// When the system has no memory or descriptors left.
    pub fn new(name: &str, length: u64) -> std::io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create(name, flags)?);
        file.set_len(length)?;
        let seals = SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        let mapping = Mapping::new(&file, 0, length)?;
        Ok(Self { file, mapping })
    }

    /// Bytes.
    pub const fn length(&self) -> u64 {
        self.mapping.length()
    }

    /// The memory, mapped.
    pub const fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The descriptor, to map or read it by file operations.
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Another descriptor of the same memory, to hand over.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub fn share(&self) -> std::io::Result<OwnedFd> {
        self.file.as_fd().try_clone_to_owned()
    }
}

impl AsFd for SharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_costs_nothing_until_it_is_written() {
        let memory = SharedMemory::new("sparse", 64 << 30).unwrap();
        memory.mapping().store(63 << 30, 1_u64).unwrap();
        let blocks = std::os::unix::fs::MetadataExt::blocks(&memory.file().metadata().unwrap());
        assert!(blocks * 512 <= 4 << 20, "{blocks} blocks");
    }

    #[test]
    fn nobody_can_shrink_it() {
        let memory = SharedMemory::new("sealed", 8192).unwrap();
        let other = File::from(memory.share().unwrap());
        assert!(other.set_len(4096).is_err());
    }
}
