//! Memory shared with a device or another process, mapped: the one place that reads and writes
//! through raw pointers.
//!
//! Somebody else can change such memory at any time, so no reference into it is ever formed: words
//! are loaded and stored volatile, ranges are copied.
#![expect(
    unsafe_code,
    reason = "volatile accesses and copies through raw pointers into mappings"
)]

use std::fmt;
use std::fs::File;
use std::marker::PhantomData;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::Arc;

use memmap2::{Advice, MmapOptions, MmapRaw};
use nix::libc;

use crate::bar::BarError;

/// Bytes of a page of x86-64 and of the smallest page of other machines that this runs on.
const PAGE: usize = 4096;

/// An integer that a bus moves in one access.
pub trait Word: Copy + private::Sealed + 'static {
    /// Its bytes.
    const SIZE: usize;
    /// From little-endian bytes, `SIZE` of them.
    fn from_bytes(bytes: &[u8]) -> Self;
    /// Puts its little-endian bytes into `bytes`, `SIZE` of them.
    fn to_bytes(self, bytes: &mut [u8]);
}

mod private {
    pub trait Sealed {}
}

macro_rules! words {
    ($($type:ty),*) => {$(
        impl private::Sealed for $type {}

        impl Word for $type {
            const SIZE: usize = size_of::<Self>();

            fn from_bytes(bytes: &[u8]) -> Self {
                let mut copy = [0; size_of::<Self>()];
                copy.copy_from_slice(bytes);
                Self::from_le_bytes(copy)
            }

            fn to_bytes(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

words!(u8, u16, u32, u64);

/// A shared, readable and writable mapping. Clones are the same mapping, which ends with the last.
#[derive(Clone)]
pub struct Mapping {
    base: NonNull<u8>,
    length: u64,
    /// Keeps the mapping alive.
    raw: Arc<MmapRaw>,
}

// SAFETY: the pointer is the start of a mapping that `raw` keeps alive and that is not tied to a
// thread. Every access through it is volatile or a copy, and the memory is shared with other
// processes anyway, so what another thread does is no different from what they do.
unsafe impl Send for Mapping {}
// SAFETY: as for Send; no access forms a reference.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `length` bytes of a file from `offset` on. Costs memory only where it is touched.
    ///
    /// # Errors
    /// When the system refuses, or `length` is 0 or larger than an address.
    pub fn new(file: &File, offset: u64, length: u64) -> std::io::Result<Self> {
        Self::with_options(file, offset, length, MmapOptions::new().no_reserve_swap())
    }

    /// Maps as [`Self::new`], and has the system set the memory aside at once: for pages that come
    /// from a pool, where a touch after the pool is empty would end the process.
    ///
    /// # Errors
    /// As [`Self::new`], and when the pool has not enough pages.
    pub fn reserved(file: &File, offset: u64, length: u64) -> std::io::Result<Self> {
        Self::with_options(file, offset, length, &mut MmapOptions::new())
    }

    fn with_options(
        file: &File,
        offset: u64,
        length: u64,
        options: &mut MmapOptions,
    ) -> std::io::Result<Self> {
        let bytes = usize::try_from(length).map_err(std::io::Error::other)?;
        if bytes == 0 {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        let raw = options.offset(offset).len(bytes).map_raw(file)?;
        let base = NonNull::new(raw.as_mut_ptr()).ok_or(std::io::ErrorKind::Other)?;
        Ok(Self {
            base,
            length,
            raw: Arc::new(raw),
        })
    }

    /// Bytes.
    #[inline]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The first byte, for copies that this type does not offer. Whoever follows it answers for
    /// its own accesses: somebody else can change the memory at any time.
    #[inline]
    pub const fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Asks for huge pages behind the mapping where the system gives them by itself
    /// (`MADV_HUGEPAGE`).
    ///
    /// # Errors
    /// When the system does not know how.
    pub fn advise_huge(&self) -> std::io::Result<()> {
        self.raw.advise(Advice::HugePage)
    }

    /// A part of the mapping, as a mapping of its own that keeps the whole alive.
    ///
    /// # Errors
    /// When it is not inside, is empty, or does not begin on a page.
    pub fn part(&self, offset: u64, length: u64) -> Result<Self, BarError> {
        if length == 0 || length > self.length || offset > self.length - length {
            return Err(BarError::out_of_bounds(offset, length, self.length));
        }
        let size = PAGE as u64;
        if !offset.is_multiple_of(size) {
            return Err(BarError::Misaligned { offset, size });
        }
        // SAFETY: the offset is less than the mapping's length, so the addition stays in it.
        let base = unsafe { self.base.add(offset as usize) };
        let raw = Arc::clone(&self.raw);
        Ok(Self { base, length, raw })
    }

    /// Loads a word, volatile.
    ///
    /// # Errors
    /// When it would be outside the mapping or not aligned to its size.
    #[inline]
    pub fn load<T: Word>(&self, offset: u64) -> Result<T, BarError> {
        self.check::<T>(offset)?;
        // SAFETY: `check` found offset + size inside the mapping, so the addition stays in it.
        let at = unsafe { self.base.add(offset as usize) };
        // SAFETY: inside a live, readable mapping, as above; aligned, because the mapping starts on
        // a page and `check` found the offset a multiple of the size; any bits are a valid integer.
        Ok(unsafe { at.cast::<T>().read_volatile() })
    }

    /// Stores a word, volatile.
    ///
    /// # Errors
    /// As [`Self::load`].
    #[inline]
    pub fn store<T: Word>(&self, offset: u64, value: T) -> Result<(), BarError> {
        self.check::<T>(offset)?;
        // SAFETY: as in `load`.
        let at = unsafe { self.base.add(offset as usize) };
        // SAFETY: as in `load`, and the mapping is writable.
        unsafe { at.cast::<T>().write_volatile(value) };
        Ok(())
    }

    /// A word of the mapping, checked once for all its accesses.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn word<T: Word>(&self, offset: u64) -> Result<MappedWord<'_, T>, BarError> {
        self.check::<T>(offset)?;
        // SAFETY: as in `load`.
        let at = unsafe { self.base.add(offset as usize) };
        Ok(MappedWord {
            at: at.cast(),
            _mapping: PhantomData,
        })
    }

    /// Copies out of the mapping.
    ///
    /// # Errors
    /// When the range is not inside it.
    pub fn copy_out(&self, offset: u64, data: &mut [u8]) -> Result<(), BarError> {
        let at = self.range(offset, data.len())?;
        // SAFETY: `range` found `data.len()` bytes from `at` inside the live mapping; `data` is
        // exclusive memory of the caller, which the mapping cannot overlap.
        unsafe { at.copy_to_nonoverlapping(NonNull::from(&mut *data).cast(), data.len()) };
        Ok(())
    }

    /// Copies into the mapping.
    ///
    /// # Errors
    /// As [`Self::copy_out`].
    pub fn copy_in(&self, offset: u64, data: &[u8]) -> Result<(), BarError> {
        let at = self.range(offset, data.len())?;
        // SAFETY: as in `copy_out`; the mapping is writable.
        unsafe { at.copy_from_nonoverlapping(NonNull::from(data).cast(), data.len()) };
        Ok(())
    }

    /// Copies `length` bytes to another mapping, or within this one. Ranges may overlap.
    ///
    /// # Errors
    /// When either range is not inside its mapping.
    pub fn copy_to(
        &self,
        offset: u64,
        to: &Self,
        to_offset: u64,
        length: usize,
    ) -> Result<(), BarError> {
        let from = self.range(offset, length)?;
        let at = to.range(to_offset, length)?;
        // SAFETY: `range` found `length` bytes from each pointer inside its live mapping, the source
        // readable and the destination writable; bytes have no alignment; `copy_to` allows overlap.
        unsafe { from.copy_to(at, length) };
        Ok(())
    }

    /// Stores a word so that whoever sees it sees everything that this thread wrote before, in any
    /// memory.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn store_release<T: Word>(&self, offset: u64, value: T) -> Result<(), BarError> {
        std::sync::atomic::fence(std::sync::atomic::Ordering::Release);
        self.store(offset, value)
    }

    /// Reads from a file straight into the mapping: the bytes move once. The file may be anybody's;
    /// one that has become shorter costs an error.
    ///
    /// # Errors
    /// When the range is not inside the mapping, or the file ends before or cannot be read.
    pub fn read_from(
        &self,
        offset: u64,
        file: &File,
        file_offset: u64,
        length: usize,
    ) -> std::io::Result<()> {
        self.move_file(offset, file_offset, length, |at, position, left| {
            // SAFETY: `move_file` passes a pointer to `left` bytes inside the live, writable
            // mapping; the descriptor is open while `file` is borrowed.
            unsafe { libc::pread(file.as_raw_fd(), at.as_ptr().cast(), left, position) }
        })
    }

    /// Writes straight from the mapping to a file, as [`Self::read_from`] reads.
    ///
    /// # Errors
    /// When the range is not inside the mapping, or the file cannot be written.
    pub fn write_to(
        &self,
        offset: u64,
        file: &File,
        file_offset: u64,
        length: usize,
    ) -> std::io::Result<()> {
        self.move_file(offset, file_offset, length, |at, position, left| {
            // SAFETY: `move_file` passes a pointer to `left` bytes inside the live, readable
            // mapping; the descriptor is open while `file` is borrowed.
            unsafe { libc::pwrite(file.as_raw_fd(), at.as_ptr().cast(), left, position) }
        })
    }

    /// Calls `transfer` until `length` bytes have moved: with where in the mapping they go, where in
    /// the file, and how many are left.
    fn move_file(
        &self,
        offset: u64,
        file_offset: u64,
        length: usize,
        mut transfer: impl FnMut(NonNull<u8>, libc::off_t, usize) -> isize,
    ) -> std::io::Result<()> {
        self.range(offset, length).map_err(std::io::Error::other)?;
        let mut done = 0;
        while done < length {
            let left = length - done;
            let at = self.range(offset + done as u64, left);
            let at = at.map_err(std::io::Error::other)?;
            let position = file_offset.checked_add(done as u64);
            let position = position.and_then(|position| position.try_into().ok());
            let position = position.ok_or(std::io::ErrorKind::InvalidInput)?;
            match usize::try_from(transfer(at, position, left)) {
                Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                Ok(moved) => done += moved,
                Err(_) => {
                    let error = std::io::Error::last_os_error();
                    if error.kind() != std::io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// Tells for each page from `offset` on, one byte each, whether it is in memory (bit 0): a page
    /// that is not costs one when it is touched. `offset` is a multiple of the page size.
    ///
    /// # Errors
    /// When the pages are not inside the mapping, or the system cannot tell.
    pub fn resident(&self, offset: u64, pages: &mut [u8]) -> std::io::Result<()> {
        let length = pages.len() * PAGE;
        let at = self.range(offset, length).map_err(std::io::Error::other)?;
        // SAFETY: `range` found the pages inside the live mapping, and `pages` has a byte for each.
        let outcome = unsafe { libc::mincore(at.as_ptr().cast(), length, pages.as_mut_ptr()) };
        match outcome {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    /// Sets `length` bytes from `offset` on to one value.
    ///
    /// # Errors
    /// As [`Self::copy_out`].
    pub fn fill(&self, offset: u64, length: usize, value: u8) -> Result<(), BarError> {
        let at = self.range(offset, length)?;
        // SAFETY: `range` found `length` bytes from `at` inside the live, writable mapping.
        unsafe { at.write_bytes(value, length) };
        Ok(())
    }

    /// Where a range of the mapping begins, with `size` bytes from there on inside it.
    ///
    /// # Errors
    /// As [`Self::copy_out`].
    pub(crate) fn range(&self, offset: u64, size: usize) -> Result<NonNull<u8>, BarError> {
        let size = size as u64;
        if size > self.length || offset > self.length - size {
            return Err(BarError::out_of_bounds(offset, size, self.length));
        }
        // SAFETY: offset is at most the mapping's length, so the addition stays in it or at its end.
        Ok(unsafe { self.base.add(offset as usize) })
    }

    /// One comparison for bounds and alignment: rotated by the size's bits, an offset that is not
    /// aligned has them at the top, and is larger than any index.
    #[inline(always)]
    fn check<T: Word>(&self, offset: u64) -> Result<(), BarError> {
        let bits = T::SIZE.trailing_zeros();
        let index = offset.rotate_right(bits);
        if index >= self.length >> bits {
            return Err(BarError::refused(offset, T::SIZE as u64, self.length));
        }
        Ok(())
    }
}

/// A word of a [`Mapping`].
#[derive(Clone, Copy)]
pub struct MappedWord<'a, T> {
    at: NonNull<T>,
    _mapping: PhantomData<&'a Mapping>,
}

// SAFETY: a word of a mapping that outlives it, accessed as the mapping itself is.
unsafe impl<T: Word> Send for MappedWord<'_, T> {}
// SAFETY: as for Send; no access forms a reference.
unsafe impl<T: Word> Sync for MappedWord<'_, T> {}

impl<T: Word> MappedWord<'_, T> {
    /// Loads the word, volatile.
    #[inline(always)]
    pub fn load(self) -> T {
        // SAFETY: `Mapping::word` found the word aligned and inside a mapping that is live, because
        // it is borrowed, and readable; any bits are a valid integer.
        unsafe { self.at.read_volatile() }
    }

    /// Stores the word, volatile.
    #[inline(always)]
    pub fn store(self, value: T) {
        // SAFETY: as in `load`, and the mapping is writable.
        unsafe { self.at.write_volatile(value) };
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapping({:#x} bytes)", self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SharedMemory;

    fn page() -> Mapping {
        let memory = SharedMemory::new("test", 4096).unwrap();
        memory.mapping().clone()
    }

    #[test]
    fn words_are_little_endian_and_land_where_they_should() {
        let mapping = page();
        mapping.store(8, 0x1122_3344_5566_7788_u64).unwrap();
        assert_eq!(mapping.load::<u32>(8), Ok(0x5566_7788));
        assert_eq!(mapping.load::<u16>(14), Ok(0x1122));
        assert_eq!(mapping.load::<u8>(8), Ok(0x88));
        let mut bytes = [0; 4];
        mapping.copy_out(10, &mut bytes).unwrap();
        assert_eq!(bytes, [0x66, 0x55, 0x44, 0x33]);
    }

    #[test]
    fn a_fill_changes_its_range_and_nothing_beside_it() {
        let mapping = page();
        mapping.fill(3, 5, 0xA5).unwrap();
        assert_eq!(mapping.load::<u64>(0), Ok(0xA5A5_A5A5_A500_0000));
        assert_eq!(mapping.load::<u64>(8), Ok(0));
        assert!(mapping.fill(4095, 2, 1).is_err() && mapping.fill(0, usize::MAX, 1).is_err());
        assert_eq!(mapping.load::<u8>(4095), Ok(0));
    }

    #[test]
    fn the_last_word_is_in_and_the_next_one_is_not() {
        let mapping = page();
        assert_eq!(mapping.store(4092, 1_u32), Ok(()));
        let outside = BarError::OutOfBounds {
            offset: 4096,
            size: 4,
            length: 4096,
        };
        assert_eq!(mapping.load::<u32>(4096), Err(outside));
        assert!(mapping.load::<u64>(4092).is_err());
        assert!(mapping.load::<u32>(u64::MAX).is_err());
        assert!(mapping.load::<u32>(u64::MAX - 3).is_err());
        assert!(mapping.copy_in(4090, &[0; 7]).is_err());
        assert!(mapping.copy_in(u64::MAX, &[0; 2]).is_err());
        assert_eq!(mapping.copy_in(4096, &[]), Ok(()));
    }

    #[test]
    fn a_word_that_is_held_is_the_word_at_its_place() {
        let mapping = page();
        let word = mapping.word::<u16>(4094).unwrap();
        word.store(0xBEEF);
        assert_eq!(mapping.load::<u16>(4094), Ok(0xBEEF));
        assert_eq!(word.load(), 0xBEEF);
        assert!(mapping.word::<u16>(4096).is_err());
        assert!(mapping.word::<u32>(4094).is_err());
    }

    #[test]
    fn a_word_across_its_boundary_is_refused() {
        let misaligned = BarError::Misaligned { offset: 2, size: 4 };
        assert_eq!(page().load::<u32>(2), Err(misaligned));
    }

    #[test]
    fn bytes_move_between_mappings_and_within_one() {
        let (from, to) = (page(), page());
        from.copy_in(100, b"one copy").unwrap();
        from.copy_to(100, &to, 4088, 8).unwrap();
        let mut bytes = [0; 8];
        to.copy_out(4088, &mut bytes).unwrap();
        assert_eq!(&bytes, b"one copy");
        to.copy_to(4088, &to, 4086, 8).unwrap();
        to.copy_out(4086, &mut bytes).unwrap();
        assert_eq!(&bytes, b"one copy", "an overlap");
        assert!(from.copy_to(0, &to, 4089, 8).is_err());
        assert!(from.copy_to(u64::MAX, &to, 0, 8).is_err());
    }

    #[test]
    fn a_file_moves_in_and_out_and_one_that_ends_is_an_error() {
        let mapping = page();
        let other = SharedMemory::new("other", 4096).unwrap();
        other.mapping().copy_in(0, b"abcdefgh").unwrap();
        mapping.read_from(8, other.file(), 2, 4).unwrap();
        mapping.write_to(8, other.file(), 4090, 4).unwrap();
        let mut bytes = [0; 4];
        other.mapping().copy_out(4090, &mut bytes).unwrap();
        assert_eq!(&bytes, b"cdef");
        let short = mapping.read_from(0, other.file(), 4092, 8).unwrap_err();
        assert_eq!(short.kind(), std::io::ErrorKind::UnexpectedEof);
        assert!(
            mapping.write_to(0, other.file(), 4092, 8).is_err(),
            "sealed"
        );
        assert!(mapping.read_from(4092, other.file(), 0, 8).is_err());
        assert!(mapping.read_from(0, other.file(), u64::MAX, 8).is_err());
    }

    #[test]
    fn a_page_is_in_memory_once_it_is_written() {
        let memory = SharedMemory::new("pages", 4 * 4096).unwrap();
        memory.mapping().store(2 * 4096, 1_u8).unwrap();
        let mut pages = [0; 4];
        memory.mapping().resident(0, &mut pages).unwrap();
        assert_eq!(pages.map(|page| page & 1), [0, 0, 1, 0]);
        assert!(memory.mapping().resident(4096, &mut pages).is_err());
    }
}
