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
use std::ptr::NonNull;
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};

use crate::bar::BarError;

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
    _raw: Arc<MmapRaw>,
}

// SAFETY: the pointer is the start of a mapping that `_raw` keeps alive and that is not tied to a
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
        let bytes = usize::try_from(length).map_err(std::io::Error::other)?;
        if bytes == 0 {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        let raw = MmapOptions::new()
            .offset(offset)
            .len(bytes)
            .no_reserve_swap()
            .map_raw(file)?;
        let base = NonNull::new(raw.as_mut_ptr()).ok_or(std::io::ErrorKind::Other)?;
        Ok(Self {
            base,
            length,
            _raw: Arc::new(raw),
        })
    }

    /// Bytes.
    #[inline]
    pub const fn length(&self) -> u64 {
        self.length
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

    fn range(&self, offset: u64, size: usize) -> Result<NonNull<u8>, BarError> {
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
}
