//! What can go wrong between this program and VFIO.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use afi_proto::Bdf;
use nix::errno::Errno;

/// Why a function cannot be used by VFIO, or one of its operations did not work.
#[derive(Debug, thiserror::Error)]
pub enum VfioError {
    /// No IOMMU is in use for the function.
    #[error("the IOMMU is off: {path} is not there")]
    NoIommu {
        /// The link that leads to the function's group where there is an IOMMU.
        path: PathBuf,
    },
    /// The group is one of the mode in which nothing holds DMA back.
    #[error(
        "group {group} is one of VFIO's no-IOMMU mode, in which the card could write to all memory of \
         this machine; wanted one behind an IOMMU"
    )]
    NoIommuMode {
        /// Number of the group.
        group: u32,
    },
    /// Another function of the group is on a driver of the kernel.
    #[error("IOMMU group {group} cannot be used while {}", Members(others))]
    NotViable {
        /// Number of the group.
        group: u32,
        /// The functions of the group that are in the way; empty when they cannot be told.
        others: Vec<Member>,
    },
    /// The group is open already.
    #[error("IOMMU group {group} is in use by {}", Holders(holders))]
    Busy {
        /// Number of the group.
        group: u32,
        /// Who has it open, as far as this process may see.
        holders: Vec<Holder>,
    },
    /// A part of VFIO is not in the kernel.
    #[error("{path} is not there: the kernel module '{module}' is not loaded")]
    NoModule {
        /// The module.
        module: &'static str,
        /// What it would have made.
        path: PathBuf,
    },
    /// The kernel speaks another version of the interface.
    #[error("the kernel's VFIO has version {found} and {}; wanted version 0 with type1v2", if *type1v2 { "type1v2" } else { "no type1v2" })]
    Version {
        /// The version.
        found: i32,
        /// Whether it has the only IOMMU model that this crate uses.
        type1v2: bool,
    },
    /// The IOMMU does not remap interrupts, so the kernel does not trust it with a device.
    #[error("the IOMMU of this machine does not isolate interrupts, and VFIO refuses to use it")]
    NoInterruptRemapping,
    /// The bus addresses are not ones that the IOMMU translates.
    #[error(
        "bus addresses {iova:#x} to {last:#x} cannot be used; the IOMMU translates {}",
        Ranges(allowed)
    )]
    OutsideIova {
        /// The first bus address.
        iova: u64,
        /// The last one.
        last: u64,
        /// Those that can be used.
        allowed: Vec<RangeInclusive<u64>>,
    },
    /// The memory or the bus addresses are not whole pages, or not inside the memory.
    #[error(
        "bytes {start:#x} to {end:#x} of {length:#x} at bus address {iova:#x} cannot be mapped; wanted \
         whole pages inside the memory"
    )]
    NotPages {
        /// Where the range begins in the memory.
        start: u64,
        /// Where it ends.
        end: u64,
        /// Bytes of the memory.
        length: u64,
        /// The bus address.
        iova: u64,
    },
    /// Something is mapped there already.
    #[error("bus addresses {iova:#x} to {last:#x} are mapped already, at least in part")]
    Overlap {
        /// The first bus address.
        iova: u64,
        /// The last one.
        last: u64,
    },
    /// The kernel takes no more mappings.
    #[error("the kernel takes no more DMA mappings of this group")]
    TooManyMaps,
    /// The process may not hold on to so much memory.
    #[error(
        "{bytes:#x} bytes cannot be kept in memory for DMA: this process may lock {}",
        Limit(*limit)
    )]
    LockedMemory {
        /// Bytes to map.
        bytes: u64,
        /// Bytes that the process may lock; `None` when there is no limit.
        limit: Option<u64>,
    },
    /// The function has fewer interrupt vectors.
    #[error("the function has no MSI-X vector {vector}; it has {count}")]
    NoVector {
        /// The vector.
        vector: u16,
        /// How many there are.
        count: u32,
    },
    /// The system has not enough interrupt vectors left.
    #[error("the system has {available} interrupt vectors left; wanted {wanted}")]
    NoVectorsLeft {
        /// How many are left.
        available: u32,
        /// How many the function has.
        wanted: u32,
    },
    /// The kernel's account of the function is not that of a PCI function.
    #[error("VFIO tells {found} of the function; wanted {wanted}")]
    Nonsense {
        /// What it told.
        found: String,
        /// What was wanted.
        wanted: &'static str,
    },
    /// The kernel refused a request.
    #[error("VFIO refused to {what}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// What the kernel said.
        source: Errno,
    },
    /// A file of VFIO or of the group cannot be used.
    #[error("cannot {what} {path}")]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A function of an IOMMU group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its address. Text, because not every device is a PCI function that this crate could name.
    pub name: String,
    /// The driver that it is on.
    pub driver: Option<String>,
}

/// A process that has a group open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub command: String,
}

impl VfioError {
    /// Wraps an error of the system with what was tried on which file.
    pub(super) fn file(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }

    /// Wraps what the kernel said to a request.
    pub(super) const fn refused(what: &'static str) -> impl FnOnce(Errno) -> Self {
        move |source| Self::Refused { what, source }
    }

    /// The same, as an error of the bus.
    pub(crate) const fn of(self, bdf: Bdf) -> crate::BusError {
        crate::BusError::Vfio { bdf, source: self }
    }
}

struct Members<'a>(&'a [Member]);

impl fmt::Display for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("another function of it is on a driver of the kernel");
        }
        for (number, member) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { " and " };
            let driver = member.driver.as_deref().unwrap_or("no driver");
            write!(f, "{separator}{} is on {driver}", member.name)?;
        }
        Ok(())
    }
}

struct Holders<'a>(&'a [Holder]);

impl fmt::Display for Holders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("a process that this one may not see");
        }
        for (number, holder) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            write!(f, "{separator}{} (process {})", holder.command, holder.pid)?;
            if holder.pid == std::process::id() {
                f.write_str(", which is this one")?;
            }
        }
        Ok(())
    }
}

struct Ranges<'a>(&'a [RangeInclusive<u64>]);

impl fmt::Display for Ranges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, range) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            write!(f, "{separator}{:#x} to {:#x}", range.start(), range.end())?;
        }
        Ok(())
    }
}

struct Limit(Option<u64>);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => write!(f, "{bytes:#x} bytes in all"),
            None => f.write_str("all it wants, and the system has no more"),
        }
    }
}
