//! Memory that a client lets its device access.
//!
//! A client behind an IOMMU maps each page with a descriptor of its own, of the same file: the file
//! is kept once. Memory is accessed by file operations and not mapped, so that a client that
//! shrinks its file costs an error and not the process.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Weak};

use afi_proto::vfio_user::{DmaFlags, DmaMap};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::statfs::{HUGETLBFS_MAGIC, fstatfs};

use crate::function::{CardPart, DmaError};

/// Maps of one client at once: the protocol's default (`max_dma_maps`).
pub(super) const MOST_MAPS: usize = 65535;
/// Maps begin and end on pages of this size (the protocol's default for `pgsizes`).
const PAGE: u64 = 4096;

/// The maps of one client, by bus address.
#[derive(Debug, Default)]
pub(super) struct DmaTable {
    maps: BTreeMap<u64, Map>,
    /// Files of the maps, by device, inode and what their descriptors may do.
    files: HashMap<(u64, u64, i32), Weak<File>>,
}

#[derive(Debug, Clone)]
struct Map {
    /// The last address: a map can end where addresses do.
    last: u64,
    flags: DmaFlags,
    /// `None` when the client gave no descriptor: the range is another device's BAR.
    memory: Option<(Arc<File>, u64)>,
}

impl DmaTable {
    /// Adds a map.
    pub(super) fn map(&mut self, request: &DmaMap, fd: Option<OwnedFd>) -> Result<(), Errno> {
        let (start, size) = (request.address.get(), request.size.get());
        let aligned = start.is_multiple_of(PAGE) && size.is_multiple_of(PAGE) && size > 0;
        let flags = DmaFlags::from_bits(request.flags.get()).ok_or(Errno::EINVAL)?;
        let offset = request.offset.get();
        let last = start.checked_add(size.wrapping_sub(1));
        let (true, Some(last), Some(_)) = (aligned, last, offset.checked_add(size)) else {
            return Err(Errno::EINVAL);
        };
        if self.maps.len() >= MOST_MAPS {
            return Err(Errno::ENOSPC);
        }
        if self.overlapping(start, last).next().is_some() {
            return Err(Errno::EEXIST);
        }
        let memory = match fd {
            Some(fd) => Some((self.file(fd, flags)?, offset)),
            None => None,
        };
        self.maps.insert(
            start,
            Map {
                last,
                flags,
                memory,
            },
        );
        Ok(())
    }

    /// Ends access to a range. It may hold several maps, parts of maps, or none.
    pub(super) fn unmap(&mut self, start: u64, size: u64) -> Result<(), Errno> {
        let Some(before_last) = size.checked_sub(1) else {
            return Err(Errno::EINVAL);
        };
        // Clients unmap up to and beyond the end of addresses to say "all of it".
        let last = start.saturating_add(before_last);
        let starts: Vec<u64> = self.overlapping(start, last).map(|(at, _)| at).collect();
        for at in starts {
            let Some(map) = self.maps.remove(&at) else {
                continue;
            };
            if at < start {
                let kept = Map {
                    last: start - 1,
                    ..map.clone()
                };
                self.maps.insert(at, kept);
            }
            if map.last > last {
                let moved = last + 1 - at;
                let memory = map.memory.map(|(file, offset)| (file, offset + moved));
                self.maps.insert(last + 1, Map { memory, ..map });
            }
        }
        self.files.retain(|_, file| file.strong_count() > 0);
        Ok(())
    }

    pub(super) fn read(&self, iova: u64, data: &mut [u8]) -> Result<(), DmaError> {
        self.each(iova, data.len(), DmaFlags::READ, |part, at| {
            let room = &mut data[at..at + part.length];
            part.file.read_exact_at(room, part.offset)
        })
    }

    pub(super) fn write(&self, iova: u64, data: &[u8]) -> Result<(), DmaError> {
        self.each(iova, data.len(), DmaFlags::WRITE, |part, at| {
            let bytes = &data[at..at + part.length];
            part.file.write_all_at(bytes, part.offset)
        })
    }

    /// Fills card memory from the client's.
    pub(super) fn fill(&self, iova: u64, card: &CardPart<'_>) -> Result<(), DmaError> {
        self.each(iova, card.length(), DmaFlags::READ, |part, at| {
            card.fill_from_file(at, part.file, part.offset, part.length)
        })
    }

    /// Copies card memory to the client's.
    pub(super) fn drain(&self, iova: u64, card: &CardPart<'_>) -> Result<(), DmaError> {
        self.each(iova, card.length(), DmaFlags::WRITE, |part, at| {
            card.drain_to_file(at, part.file, part.offset, part.length)
        })
    }

    /// Calls `transfer` with each part of a range, and how many bytes come before it.
    fn each(
        &self,
        iova: u64,
        length: usize,
        wanted: DmaFlags,
        mut transfer: impl FnMut(&Part<'_>, usize) -> io::Result<()>,
    ) -> Result<(), DmaError> {
        let mut done = 0;
        while done < length {
            let at = iova.wrapping_add(done as u64);
            let part = self.part(at, wanted, length - done)?;
            transfer(&part, done).map_err(|_| DmaError::NotMemory { iova: at })?;
            done += part.length;
        }
        Ok(())
    }

    /// The longest part from `iova` on that is one stretch of a file. A client behind an IOMMU maps
    /// each page by itself: pages that follow each other in the file as they do on the bus are one.
    fn part(&self, iova: u64, wanted: DmaFlags, most: usize) -> Result<Part<'_>, DmaError> {
        let found = self.maps.range(..=iova).next_back();
        let Some((start, map)) = found.filter(|(_, map)| iova <= map.last) else {
            return Err(DmaError::Unmapped { iova });
        };
        if !map.flags.contains(wanted) {
            return Err(DmaError::Denied { iova });
        }
        let Some((file, offset)) = &map.memory else {
            return Err(DmaError::NotMemory { iova });
        };
        let offset = offset + (iova - start);
        let most_bytes = most as u64;
        let mut last = map.last;
        while last - iova < most_bytes - 1 {
            let Some(next) = last.checked_add(1) else {
                break;
            };
            let more = self.maps.get(&next).filter(|more| {
                let follows = more.memory.as_ref().is_some_and(|(other, at)| {
                    Arc::ptr_eq(file, other) && offset.checked_add(next - iova) == Some(*at)
                });
                follows && more.flags.contains(wanted)
            });
            let Some(more) = more else { break };
            last = more.last;
        }
        let left = (last - iova).saturating_add(1);
        Ok(Part {
            file,
            offset,
            length: usize::try_from(left).map_or(most, |left| left.min(most)),
        })
    }

    fn overlapping(&self, start: u64, last: u64) -> impl Iterator<Item = (u64, &Map)> {
        let before = self.maps.range(..start).next_back();
        let before = before.filter(move |(_, map)| map.last >= start);
        before
            .into_iter()
            .chain(self.maps.range(start..=last))
            .map(|(at, map)| (*at, map))
    }

    /// The file of a descriptor: the one that is known already, or a new one. Only a regular file
    /// (which memory descriptors are) can be memory: a read of anything else could block. The
    /// descriptor has to allow what the map promises.
    fn file(&mut self, fd: OwnedFd, wanted: DmaFlags) -> Result<Arc<File>, Errno> {
        let file = File::from(fd);
        let data = file.metadata().map_err(|_| Errno::EBADF)?;
        if !data.is_file() {
            return Err(Errno::EINVAL);
        }
        let status = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
        let mode = status & OFlag::O_ACCMODE;
        let refuses = (wanted.contains(DmaFlags::READ) && mode == OFlag::O_WRONLY)
            || (wanted.contains(DmaFlags::WRITE) && mode == OFlag::O_RDONLY)
            || status.contains(OFlag::O_PATH);
        if refuses {
            return Err(Errno::EACCES);
        }
        // Files of huge pages can be read and mapped, but not written to (`fs/hugetlbfs/inode.c` of
        // Linux has no write operation): what the device writes would be lost.
        let huge = fstatfs(&file)?.filesystem_type() == HUGETLBFS_MAGIC;
        if huge && wanted.contains(DmaFlags::WRITE) {
            return Err(Errno::EOPNOTSUPP);
        }
        // Another descriptor of the same file may do less than this one.
        let key = (data.dev(), data.ino(), mode.bits());
        let known = self.files.entry(key).or_default();
        if let Some(file) = known.upgrade() {
            return Ok(file);
        }
        let file = Arc::new(file);
        *known = Arc::downgrade(&file);
        Ok(file)
    }
}

struct Part<'a> {
    file: &'a File,
    offset: u64,
    length: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use afi_pcie::SharedMemory;
    use proptest::prelude::*;

    fn request(address: u64, size: u64, offset: u64, flags: u32) -> DmaMap {
        DmaMap {
            argsz: 32.into(),
            flags: flags.into(),
            offset: offset.into(),
            address: address.into(),
            size: size.into(),
        }
    }

    fn memory(pages: u64) -> SharedMemory {
        let memory = SharedMemory::new("dma", pages * PAGE).unwrap();
        for page in 0..pages {
            memory.mapping().store(page * PAGE, page + 1).unwrap();
        }
        memory
    }

    #[test]
    fn an_access_crosses_maps_that_touch() {
        let memory = memory(3);
        let mut table = DmaTable::default();
        for (iova, offset) in [(0x10000, 0x2000), (0x11000, 0x0000)] {
            table
                .map(
                    &request(iova, PAGE, offset, 3),
                    Some(memory.share().unwrap()),
                )
                .unwrap();
        }
        assert_eq!(table.files.len(), 1, "one file, however many descriptors");
        table.write(0x10FFC, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        assert_eq!(memory.mapping().load::<u32>(0x2FFC), Ok(0x0403_0201));
        assert_eq!(memory.mapping().load::<u32>(0x0000), Ok(0x0807_0605));
        let mut data = [0; 16];
        let error = table.read(0x11FF8, &mut data).unwrap_err();
        assert_eq!(error, DmaError::Unmapped { iova: 0x12000 });
    }

    #[test]
    fn a_direction_that_was_not_given_is_denied() {
        let memory = memory(1);
        let mut table = DmaTable::default();
        table
            .map(&request(0, PAGE, 0, 1), Some(memory.share().unwrap()))
            .unwrap();
        assert_eq!(table.write(0, &[1]), Err(DmaError::Denied { iova: 0 }));
        assert_eq!(table.read(0, &mut [0]), Ok(()));
    }

    #[test]
    fn a_descriptor_that_allows_less_than_the_map_promises_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(PAGE).unwrap();
        let open = |read: bool, write: bool| -> OwnedFd {
            let mut options = File::options();
            options.read(read).write(write);
            options.open(file.path()).unwrap().into()
        };
        let mut table = DmaTable::default();
        let mut map = |flags, fd| table.map(&request(0, PAGE, 0, flags), Some(fd));
        assert_eq!(map(3, open(true, false)), Err(Errno::EACCES));
        assert_eq!(map(2, open(true, false)), Err(Errno::EACCES));
        assert_eq!(map(1, open(false, true)), Err(Errno::EACCES));
        map(1, open(true, false)).unwrap();
        // The descriptor of the first map must not serve the second.
        let second = request(PAGE, PAGE, 0, 3);
        table.map(&second, Some(open(true, true))).unwrap();
        assert_eq!(table.write(PAGE, &[7]), Ok(()));
        let mut byte = [0];
        table.read(0, &mut byte).unwrap();
        assert_eq!(byte, [7]);
    }

    #[test]
    fn pages_mapped_one_by_one_are_moved_together() {
        const PAGES: u64 = 16_384;
        let memory = SharedMemory::new("pages", PAGES * PAGE).unwrap();
        let mut table = DmaTable::default();
        for page in 0..PAGES {
            let fd = memory.share().unwrap();
            table
                .map(&request(page * PAGE, PAGE, page * PAGE, 3), Some(fd))
                .unwrap();
        }
        assert_eq!(table.files.len(), 1);
        let whole = table.part(5, DmaFlags::WRITE, usize::MAX).unwrap();
        assert_eq!(whole.length as u64, PAGES * PAGE - 5);
        table.unmap(PAGE, PAGE).unwrap();
        let first = table.part(0, DmaFlags::WRITE, usize::MAX).unwrap();
        assert_eq!(first.length as u64, PAGE);
    }

    #[test]
    fn what_is_no_memory_is_remembered_and_refused() {
        let mut table = DmaTable::default();
        table.map(&request(0, PAGE, 0, 3), None).unwrap();
        assert_eq!(
            table.read(8, &mut [0]),
            Err(DmaError::NotMemory { iova: 8 })
        );
        let (pipe, _) = io::pipe().unwrap();
        let refused = table.map(&request(PAGE, PAGE, 0, 3), Some(pipe.into()));
        assert_eq!(refused, Err(Errno::EINVAL));
    }

    #[test]
    fn huge_pages_that_cannot_be_written_to_are_not_promised() {
        use nix::sys::memfd::{MFdFlags, memfd_create};
        // Takes no page of the pool: none is touched.
        let file = File::from(memfd_create("huge", MFdFlags::MFD_HUGETLB).unwrap());
        file.set_len(2 << 20).unwrap();
        let map = |flags| {
            let fd = file.try_clone().unwrap().into();
            DmaTable::default().map(&request(0, 2 << 20, 0, flags), Some(fd))
        };
        assert_eq!(map(3), Err(Errno::EOPNOTSUPP));
        assert_eq!(map(1), Ok(()));
    }

    #[test]
    fn a_file_that_shrinks_costs_an_error_only() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(PAGE).unwrap();
        let mut table = DmaTable::default();
        let fd = file.try_clone().unwrap().into();
        table.map(&request(0, PAGE, 0, 3), Some(fd)).unwrap();
        file.set_len(0).unwrap();
        assert_eq!(
            table.read(0, &mut [0]),
            Err(DmaError::NotMemory { iova: 0 })
        );
    }

    #[test]
    fn what_is_no_map_is_refused() {
        let mut table = DmaTable::default();
        let cases = [
            (request(1, PAGE, 0, 3), Errno::EINVAL),
            (request(0, 1, 0, 3), Errno::EINVAL),
            (request(0, 0, 0, 3), Errno::EINVAL),
            (request(0, PAGE, 0, 4), Errno::EINVAL),
            (
                request(0u64.wrapping_sub(PAGE), 2 * PAGE, 0, 3),
                Errno::EINVAL,
            ),
            (request(0, PAGE, u64::MAX, 3), Errno::EINVAL),
        ];
        for (map, errno) in cases {
            assert_eq!(table.map(&map, None), Err(errno), "{map:?}");
        }
        table.map(&request(0, 2 * PAGE, 0, 3), None).unwrap();
        assert_eq!(
            table.map(&request(PAGE, PAGE, 0, 3), None),
            Err(Errno::EEXIST)
        );
        let top = request(0u64.wrapping_sub(PAGE), PAGE, 0, 3);
        assert_eq!(table.map(&top, None), Ok(()));
    }

    #[test]
    fn an_unmap_may_be_coarser_finer_and_endless() {
        let memory = memory(4);
        let mut table = DmaTable::default();
        table
            .map(&request(0, 4 * PAGE, 0, 3), Some(memory.share().unwrap()))
            .unwrap();
        table.unmap(PAGE, PAGE).unwrap();
        let mut word = [0; 8];
        assert!(table.read(PAGE, &mut word).is_err());
        table.read(2 * PAGE, &mut word).unwrap();
        assert_eq!(u64::from_le_bytes(word), 3);
        table.unmap(0x100_0000, u64::MAX).unwrap();
        table.unmap(0, u64::MAX).unwrap();
        assert!(table.maps.is_empty() && table.files.is_empty());
        assert_eq!(table.unmap(0, 0), Err(Errno::EINVAL));
    }

    proptest! {
        /// Against a model of sixteen pages: which file page each one shows.
        #[test]
        fn maps_and_unmaps_by_range(ops in proptest::collection::vec(
            (any::<bool>(), 0u64..16, 1u64..8, 0u64..8), 1..60)) {
            let memory = memory(16);
            let mut table = DmaTable::default();
            let mut model = [None; 32];
            for (is_map, page, count, offset) in ops {
                let range = page as usize..(page + count) as usize;
                if is_map {
                    let request = request(page * PAGE, count * PAGE, offset * PAGE, 3);
                    let outcome = table.map(&request, Some(memory.share().unwrap()));
                    let free = model[range.clone()].iter().all(Option::is_none);
                    prop_assert_eq!(outcome, if free { Ok(()) } else { Err(Errno::EEXIST) });
                    if free {
                        for (at, slot) in model[range].iter_mut().enumerate() {
                            *slot = Some(offset + at as u64);
                        }
                    }
                } else {
                    table.unmap(page * PAGE, count * PAGE).unwrap();
                    model[range].fill(None);
                }
                for (page, expected) in model.iter().enumerate() {
                    let mut word = [0; 8];
                    let read = table.read(page as u64 * PAGE, &mut word);
                    match expected {
                        Some(file) if *file < 16 => {
                            prop_assert_eq!(read, Ok(()));
                            prop_assert_eq!(u64::from_le_bytes(word), file + 1);
                        }
                        _ => prop_assert!(read.is_err()),
                    }
                }
            }
        }
    }
}
