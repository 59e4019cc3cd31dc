//! Groups that this process uses, each in a container of its own.
//!
//! One container for each group, not one for the process: what a card can reach is then what was
//! mapped for it, and not what was mapped for another card; and bus addresses of one slot cannot
//! collide with those of another. Functions of one group cannot be kept apart, so they share it.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use afi_proto::Bdf;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use zerocopy::{FromBytes, IntoBytes};

use super::abi::{self, CapHeader, DmaUnmap, GroupStatus, IommuInfo, IovaRange, IovaRanges};
use super::error::VfioError;
use super::ioctl::{self, Exchange};
use super::places::Places;
use crate::bus::DmaRequest;

/// The smallest page of every IOMMU and processor that this crate runs on.
const PAGE: u64 = 4096;
/// The most bytes that the kernel's account of an IOMMU is believed to have.
const LONGEST_INFO: usize = 1 << 16;

/// The groups that this process has open. Opening and closing a group happen under the lock: a
/// group takes one user at a time, and is to be had again only when the last has let go of it.
static OPEN: Mutex<BTreeMap<u32, Weak<Container>>> = Mutex::new(BTreeMap::new());

/// A group, in a container of its own.
#[derive(Debug)]
pub(super) struct Container {
    group: File,
    container: File,
    number: u32,
    /// Bus addresses that the IOMMU translates; empty when the kernel does not tell.
    ranges: Vec<RangeInclusive<u64>>,
    page_sizes: u64,
}

/// A function of a group, open. Dropping it resets the function, which also ends its bus mastering.
#[derive(Debug)]
pub(super) struct Opened {
    /// `None` only while it is dropped.
    parts: Option<(File, Arc<Container>)>,
}

impl Opened {
    /// Opens a function that is on the driver `vfio-pci`.
    pub(super) fn new(places: &Places, bdf: Bdf) -> Result<Self, VfioError> {
        let number = places.group_of(bdf)?;
        let mut open = open_groups();
        let container = match open.get(&number).and_then(Weak::upgrade) {
            Some(container) => container,
            None => Arc::new(Container::new(places, number)?),
        };
        let device = container.device(bdf)?;
        open.insert(number, Arc::downgrade(&container));
        let parts = Some((File::from(device), container));
        Ok(Self { parts })
    }

    /// The file of the function.
    pub(super) fn file(&self) -> &File {
        &self.parts().0
    }

    /// The container that it is in.
    pub(super) fn container(&self) -> &Arc<Container> {
        &self.parts().1
    }

    fn parts(&self) -> &(File, Arc<Container>) {
        self.parts.as_ref().expect("only Drop takes the parts")
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut open = open_groups();
        // The function first, as the kernel wants it, and then its group if it is the last.
        if let Some((file, container)) = self.parts.take() {
            drop(file);
            let number = container.number;
            drop(container);
            if open
                .get(&number)
                .is_some_and(|group| group.strong_count() == 0)
            {
                open.remove(&number);
            }
        }
    }
}

impl Container {
    fn new(places: &Places, number: u32) -> Result<Self, VfioError> {
        let path = places.dev.join("vfio/vfio");
        let container = open(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => VfioError::NoModule {
                module: "vfio",
                path: path.clone(),
            },
            _ => VfioError::file("open", &path)(error),
        })?;
        let found = ioctl::api_version(&container)
            .map_err(VfioError::refused("tell the version of its interface"))?;
        let type1v2 = ioctl::has_extension(&container, abi::TYPE1V2_IOMMU)
            .map_err(VfioError::refused("tell what it can do"))?;
        if found != abi::API_VERSION || !type1v2 {
            return Err(VfioError::Version { found, type1v2 });
        }
        let group = open_group(places, number)?;
        ioctl::set_container(&group, &container).map_err(|errno| match errno {
            Errno::EBUSY => VfioError::NotViable {
                group: number,
                others: places.in_the_way(number),
            },
            errno => VfioError::refused("take the group")(errno),
        })?;
        ioctl::set_iommu(&container, abi::TYPE1V2_IOMMU).map_err(|errno| match errno {
            // Given when nothing remaps interrupts, unless a parameter of the kernel allows that
            // (`vfio_iommu_type1_attach_group` of Linux).
            Errno::EPERM => VfioError::NoInterruptRemapping,
            errno => VfioError::refused("set up the IOMMU")(errno),
        })?;
        let (page_sizes, ranges) = iommu_info(&container)?;
        Ok(Self {
            group,
            container,
            number,
            ranges,
            page_sizes,
        })
    }

    fn device(&self, bdf: Bdf) -> Result<OwnedFd, VfioError> {
        let name = CString::new(bdf.to_string()).expect("an address has no NUL in it");
        ioctl::open_device(&self.group, &name).map_err(VfioError::refused("open the function"))
    }

    /// Bus addresses that the IOMMU translates; empty when the kernel does not tell.
    pub(super) fn ranges(&self) -> &[RangeInclusive<u64>] {
        &self.ranges
    }

    /// Maps memory for all functions of the group.
    pub(super) fn map(&self, request: &DmaRequest) -> Result<(), VfioError> {
        let range = &request.range;
        let page = self.smallest_page();
        let whole = [range.start, range.end, request.iova]
            .iter()
            .all(|at| at.is_multiple_of(page));
        let inside = range.start < range.end && range.end <= request.memory.length();
        let last = range.end.wrapping_sub(range.start).wrapping_sub(1);
        let last = request.iova.checked_add(last);
        let (true, true, Some(last)) = (whole, inside, last) else {
            return Err(VfioError::NotPages {
                start: range.start,
                end: range.end,
                length: request.memory.length(),
                iova: request.iova,
            });
        };
        let iova = request.iova;
        let outside = || VfioError::OutsideIova {
            iova,
            last,
            allowed: self.ranges.clone(),
        };
        let holds =
            |allowed: &RangeInclusive<u64>| allowed.contains(&iova) && allowed.contains(&last);
        if !self.ranges.is_empty() && !self.ranges.iter().any(holds) {
            return Err(outside());
        }
        ioctl::map_dma(&self.container, request).map_err(|errno| match errno {
            Errno::EEXIST => VfioError::Overlap { iova, last },
            Errno::ENOSPC => VfioError::TooManyMaps,
            Errno::ENOMEM => VfioError::LockedMemory {
                bytes: range.end - range.start,
                limit: locked_memory_limit(),
            },
            Errno::EINVAL => outside(),
            errno => VfioError::refused("map memory for DMA")(errno),
        })
    }

    /// Ends what [`Self::map`] began. The kernel holds on to what is mapped until the container is
    /// gone, so this cannot fail for a range that was mapped.
    pub(super) fn unmap(&self, iova: u64, length: u64) -> Result<(), VfioError> {
        let mut request = DmaUnmap {
            argsz: 0.into(),
            flags: 0.into(),
            iova: iova.into(),
            size: length.into(),
        };
        ioctl::exchange(&self.container, Exchange::UnmapDma, request.as_mut_bytes())
            .map_err(VfioError::refused("unmap memory"))?;
        if request.size.get() != length {
            return Err(VfioError::Nonsense {
                found: format!("{:#x} bytes unmapped", request.size.get()),
                wanted: "as many as were mapped",
            });
        }
        Ok(())
    }

    /// The alignment of mappings, in bytes.
    fn smallest_page(&self) -> u64 {
        let smallest = self.page_sizes & self.page_sizes.wrapping_neg();
        smallest.max(PAGE)
    }
}

fn open_groups() -> MutexGuard<'static, BTreeMap<u32, Weak<Container>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_group(places: &Places, group: u32) -> Result<File, VfioError> {
    let path = places.group_file(group);
    let file = open(&path).map_err(|error| match error.kind() {
        ErrorKind::ResourceBusy => VfioError::Busy {
            group,
            holders: places.holders(group),
        },
        ErrorKind::NotFound => VfioError::NoModule {
            module: "vfio-pci",
            path: path.clone(),
        },
        _ => VfioError::file("open", &path)(error),
    })?;
    let mut status = GroupStatus {
        argsz: 0.into(),
        flags: 0.into(),
    };
    ioctl::exchange(&file, Exchange::GroupStatus, status.as_mut_bytes())
        .map_err(VfioError::refused("tell the state of the group"))?;
    if status.flags.get() & abi::GROUP_VIABLE == 0 {
        let others = places.in_the_way(group);
        return Err(VfioError::NotViable { group, others });
    }
    Ok(file)
}

fn open(path: &std::path::Path) -> std::io::Result<File> {
    File::options().read(true).write(true).open(path)
}

/// Sizes of pages and usable bus addresses.
fn iommu_info(container: &File) -> Result<(u64, Vec<RangeInclusive<u64>>), VfioError> {
    let ask = |bytes: &mut [u8]| {
        ioctl::exchange(container, Exchange::IommuInfo, bytes)
            .map_err(VfioError::refused("tell what the IOMMU can do"))
    };
    // The first answer tells how long all of it is.
    let mut bytes = vec![0; size_of::<IommuInfo>()];
    ask(&mut bytes)?;
    let length = parse::<IommuInfo>(&bytes, 0).map_or(0, |info| info.argsz.get() as usize);
    if length > bytes.len() && length <= LONGEST_INFO {
        bytes = vec![0; length];
        ask(&mut bytes)?;
    }
    Ok(understand_info(&bytes))
}

/// Sizes of pages and usable bus addresses, from the kernel's account of an IOMMU.
fn understand_info(bytes: &[u8]) -> (u64, Vec<RangeInclusive<u64>>) {
    let Some(info) = parse::<IommuInfo>(bytes, 0) else {
        return (0, Vec::new());
    };
    let told = |flag: u32| info.flags.get() & flag != 0;
    let page_sizes = if told(abi::IOMMU_PAGE_SIZES) {
        info.iova_pgsizes.get()
    } else {
        0
    };
    let mut at = if told(abi::IOMMU_CAPS) {
        info.cap_offset.get() as usize
    } else {
        0
    };
    let mut ranges = Vec::new();
    // Each is behind the one before it, so that a list which is none ends.
    while at != 0 {
        let Some(header) = parse::<CapHeader>(bytes, at) else {
            break;
        };
        if header.id.get() == abi::CAP_IOVA_RANGE {
            let list = at + size_of::<CapHeader>();
            let count = parse::<IovaRanges>(bytes, list).map_or(0, |list| list.count.get());
            let first = list + size_of::<IovaRanges>();
            ranges.extend((0..count as usize).map_while(|number| {
                let range = parse::<IovaRange>(bytes, first + number * size_of::<IovaRange>())?;
                Some(range.start.get()..=range.end.get())
            }));
        }
        let next = header.next.get() as usize;
        at = if next > at { next } else { 0 };
    }
    (page_sizes, ranges)
}

fn parse<T: FromBytes>(bytes: &[u8], at: usize) -> Option<T> {
    let (value, _) = T::read_from_prefix(bytes.get(at..)?).ok()?;
    Some(value)
}

/// How many bytes this process may lock; `None` when there is no limit.
fn locked_memory_limit() -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_MEMLOCK).ok()?;
    (soft != nix::libc::RLIM_INFINITY).then_some(soft)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An account as the kernel gives it: page sizes, DMA capability, then ranges.
    fn account(ranges: &[(u64, u64)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let words = |bytes: &mut Vec<u8>, words: &[u32]| {
            bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        };
        words(
            &mut bytes,
            &[
                0,
                abi::IOMMU_PAGE_SIZES | abi::IOMMU_CAPS,
                0x4020_1000,
                0,
                24,
                0,
            ],
        );
        // Another capability comes first: how many maps are left (id 3).
        words(&mut bytes, &[3 | 1 << 16, 40, 65535, 0]);
        words(&mut bytes, &[1 | 1 << 16, 0, ranges.len() as u32, 0]);
        for (start, end) in ranges {
            bytes.extend(start.to_le_bytes());
            bytes.extend(end.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn the_usable_bus_addresses_are_read() {
        let intel = [(0, 0xFEDF_FFFF), (0xFEF0_0000, (1 << 39) - 1)];
        let (pages, ranges) = understand_info(&account(&intel));
        assert_eq!(pages, 0x4020_1000);
        assert_eq!(ranges, intel.map(|(start, end)| start..=end));
    }

    #[test]
    fn an_account_that_is_none_ends_and_is_taken_for_as_much_as_it_tells() {
        let whole = account(&[(0, 0xFFFF), (0x10000, 0x1FFFF)]);
        for length in 0..whole.len() {
            let (_, ranges) = understand_info(&whole[..length]);
            assert!(ranges.len() < 2, "{length}");
        }
        let mut circle = account(&[(0, 0xFFFF)]);
        circle[28..32].copy_from_slice(&24_u32.to_le_bytes());
        assert_eq!(understand_info(&circle).1, []);
        circle[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(understand_info(&circle).1, []);
    }
}
