//! Memory that is backed by a descriptor, so that it can be shared with a device's server.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::mapping::Mapping;

/// Anonymous memory with a descriptor, mapped into this process. Plain pages cost nothing until
/// they are written; huge ones come from the system's pool and are set aside at once.
#[derive(Debug)]
pub struct SharedMemory {
    file: File,
    mapping: Mapping,
    pages: PageSize,
}

/// How large the pages behind memory are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageSize {
    /// 4 KiB, or what the system makes of them by itself (transparent huge pages).
    Plain,
    /// 2 MiB, from the system's pool (`vm.nr_hugepages`).
    Huge2M,
    /// 1 GiB, from the system's pool.
    Huge1G,
}

impl PageSize {
    /// All, the largest first.
    pub const ALL: [Self; 3] = [Self::Huge1G, Self::Huge2M, Self::Plain];

    /// Bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Plain => 4096,
            Self::Huge2M => 2 << 20,
            Self::Huge1G => 1 << 30,
        }
    }

    /// What `memfd_create(2)` is told.
    const fn flags(self) -> MFdFlags {
        match self {
            Self::Plain => MFdFlags::empty(),
            Self::Huge2M => MFdFlags::MFD_HUGETLB.union(MFdFlags::MFD_HUGE_2MB),
            Self::Huge1G => MFdFlags::MFD_HUGETLB.union(MFdFlags::MFD_HUGE_1GB),
        }
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "4 KiB",
            Self::Huge2M => "2 MiB",
            Self::Huge1G => "1 GiB",
        })
    }
}

impl SharedMemory {
    /// Makes `length` bytes of zeros. The name is for people who look at `/proc`. The size is
    /// sealed: no holder of the descriptor can pull pages away from under another.
    ///
    /// # Errors
    /// When the system has no memory or descriptors left.
    pub fn new(name: &str, length: u64) -> io::Result<Self> {
        Self::with_pages(name, length, PageSize::Plain)
    }

    /// As [`Self::new`], in pages of this size; `length` is rounded up to whole ones.
    ///
    /// # Errors
    /// As [`Self::new`], and when the system's pool has not enough huge pages.
    pub fn with_pages(name: &str, length: u64, pages: PageSize) -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING | pages.flags();
        let file = File::from(memfd_create(name, flags)?);
        let length = match pages {
            PageSize::Plain => length,
            huge => length
                .checked_next_multiple_of(huge.bytes())
                .ok_or(io::ErrorKind::InvalidInput)?,
        };
        file.set_len(length)?;
        let seals = SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        let mapping = match pages {
            PageSize::Plain => Mapping::new(&file, 0, length)?,
            PageSize::Huge2M | PageSize::Huge1G => Mapping::reserved(&file, 0, length)?,
        };
        Ok(Self {
            file,
            mapping,
            pages,
        })
    }

    /// As [`Self::new`], in the largest pages that fit: huge ones where the system's pool has them
    /// and at most an eighth of the memory would be left over, plain ones where not.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn in_large_pages(name: &str, length: u64) -> io::Result<Self> {
        /// One part of so many may be wasted on the last page.
        const MOST_WASTE: u64 = 8;
        for pages in PageSize::ALL {
            let Some(whole) = length.checked_next_multiple_of(pages.bytes()) else {
                continue;
            };
            let fits = pages == PageSize::Plain || (whole - length) <= length / MOST_WASTE;
            if !fits {
                continue;
            }
            match Self::with_pages(name, length, pages) {
                Ok(memory) => {
                    if pages == PageSize::Plain && length >= PageSize::Huge2M.bytes() {
                        // A wish: the system may be built or set up without.
                        if let Err(error) = memory.mapping.advise_huge() {
                            tracing::debug!(%error, "no transparent huge pages");
                        }
                    }
                    return Ok(memory);
                }
                Err(error) if pages == PageSize::Plain => return Err(error),
                Err(error) => tracing::debug!(%pages, %error, "no huge pages"),
            }
        }
        Err(io::ErrorKind::InvalidInput.into())
    }

    /// Bytes.
    pub const fn length(&self) -> u64 {
        self.mapping.length()
    }

    /// How large its pages are.
    pub const fn pages(&self) -> PageSize {
        self.pages
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
    pub fn share(&self) -> io::Result<OwnedFd> {
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

    #[test]
    fn huge_pages_are_set_aside_or_refused_and_never_missing_later() {
        // More than any machine has: refused now, where a mapping without reservation would end
        // the process at the first touch.
        assert!(SharedMemory::with_pages("huge", 1 << 44, PageSize::Huge2M).is_err());
        let Ok(memory) = SharedMemory::with_pages("huge", 3, PageSize::Huge2M) else {
            return; // This machine's pool is empty.
        };
        assert_eq!(memory.length(), 2 << 20);
        memory.mapping().fill(0, 2 << 20, 7).unwrap();
    }

    #[test]
    fn large_pages_are_a_wish_and_small_memory_does_not_get_them() {
        let small = SharedMemory::in_large_pages("small", 4096).unwrap();
        assert_eq!((small.pages(), small.length()), (PageSize::Plain, 4096));
        let large = SharedMemory::in_large_pages("large", 4 << 20).unwrap();
        assert_eq!(large.length(), 4 << 20);
        large.mapping().store((4 << 20) - 8, 5_u64).unwrap();
        assert!(SharedMemory::in_large_pages("none", 0).is_err());
    }
}
