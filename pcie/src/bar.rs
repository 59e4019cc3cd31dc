//! A BAR of a function: device registers and memory, accessed a word at a time.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::capture::RecordedFailure;
pub use crate::mapping::Word;
use crate::mapping::{MappedWord, Mapping};

/// Accesses of a BAR that cannot be mapped, one at a time.
pub trait Region: Send + Sync {
    /// Reads `data.len()` bytes at `offset`, as one access when that is 1, 2, 4 or 8.
    ///
    /// # Errors
    /// When the device cannot be reached.
    fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), BarError>;

    /// Writes, as [`Region::read`] reads.
    ///
    /// # Errors
    /// As [`Region::read`].
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), BarError>;

    /// Reads the same register once for each word, in order.
    ///
    /// # Errors
    /// As [`Region::read`].
    fn read_repeated(&self, offset: u64, words: &mut [u32]) -> Result<(), BarError> {
        for word in words {
            let mut bytes = [0; 4];
            self.read(offset, &mut bytes)?;
            *word = u32::from_le_bytes(bytes);
        }
        Ok(())
    }

    /// Writes the same register once for each word, in order.
    ///
    /// # Errors
    /// As [`Region::read`].
    fn write_repeated(&self, offset: u64, words: &[u32]) -> Result<(), BarError> {
        words
            .iter()
            .try_for_each(|word| self.write(offset, &word.to_le_bytes()))
    }
}

/// An access to a BAR that did not take place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BarError {
    /// It would be outside the BAR.
    #[error("access of {size} bytes at {offset:#x} is outside the BAR of {length:#x} bytes")]
    OutOfBounds {
        /// Where.
        offset: u64,
        /// Bytes.
        size: u64,
        /// Bytes of the BAR.
        length: u64,
    },
    /// It would not be aligned to its size.
    #[error("access of {size} bytes at {offset:#x} is not aligned")]
    Misaligned {
        /// Where.
        offset: u64,
        /// Bytes.
        size: u64,
    },
    /// The device could not be reached.
    #[error("access of {size} bytes at {offset:#x} did not reach the device: {reason}")]
    Unreachable {
        /// Where.
        offset: u64,
        /// Bytes.
        size: u64,
        /// Why.
        reason: String,
    },
    /// The BAR is one of a capture, which does not have what was asked for.
    #[error("a capture has no {what}: it can be listed and described only")]
    NotCaptured {
        /// What was asked for.
        what: String,
    },
    /// The BAR is one of a capture, and this did not work when it was taken.
    #[error("the capture has a failure in place of an answer")]
    Recorded {
        /// The failure.
        source: RecordedFailure,
    },
}

/// A BAR. Clones share it; it stays mapped until the last one is dropped.
///
/// Accesses are checked for bounds and alignment. In a mapped BAR they then are one load or store,
/// inline; in one that cannot be mapped, one message to the device.
#[derive(Clone)]
pub struct Bar {
    backing: Backing,
}

#[derive(Clone)]
enum Backing {
    /// Mapped from the start on, and all of it unless there is a rest.
    Mapped {
        mapping: Mapping,
        rest: Option<Trap>,
    },
    Trapped(Trap),
}

/// Accesses one by one, to a BAR of `length` bytes.
#[derive(Clone)]
struct Trap {
    region: Arc<dyn Region>,
    length: u64,
}

impl Bar {
    /// A BAR that is this mapping.
    pub const fn mapped(mapping: Mapping) -> Self {
        Self {
            backing: Backing::Mapped {
                mapping,
                rest: None,
            },
        }
    }

    /// A BAR of `length` bytes that begins with this mapping; accesses behind it go through
    /// `region`.
    pub const fn partly_mapped(mapping: Mapping, region: Arc<dyn Region>, length: u64) -> Self {
        let rest = Some(Trap { region, length });
        Self {
            backing: Backing::Mapped { mapping, rest },
        }
    }

    /// A BAR of `length` bytes whose every access goes through `region`.
    pub fn trapped(region: Arc<dyn Region>, length: u64) -> Self {
        Self {
            backing: Backing::Trapped(Trap { region, length }),
        }
    }

    /// The same, with this mapping in place of its first accesses one by one.
    pub(crate) fn with_mapped_start(self, mapping: Mapping) -> Self {
        let rest = match self.backing {
            Backing::Mapped { rest, .. } => rest,
            Backing::Trapped(trap) => Some(trap),
        };
        Self {
            backing: Backing::Mapped { mapping, rest },
        }
    }

    /// A part of the BAR, as a BAR of its own whose offsets count from the start of the part.
    ///
    /// # Errors
    /// When it is not inside, is empty, or does not begin on a page.
    pub fn part(&self, range: Range<u64>) -> Result<Self, BarError> {
        let (start, length) = (range.start, range.end.saturating_sub(range.start));
        if length == 0 || length > self.length() || start > self.length() - length {
            return Err(BarError::out_of_bounds(start, length, self.length()));
        }
        let shifted = |region: &Arc<dyn Region>| -> Arc<dyn Region> {
            let region = Arc::clone(region);
            Arc::new(Shifted { region, start })
        };
        Ok(match &self.backing {
            Backing::Mapped { mapping, rest } => {
                let left = mapping.length().saturating_sub(start);
                match rest {
                    Some(rest) if left == 0 => Self::trapped(shifted(&rest.region), length),
                    Some(rest) if left < length => {
                        let mapping = mapping.part(start, left)?;
                        Self::partly_mapped(mapping, shifted(&rest.region), length)
                    }
                    // What takes the rest can be what holds on to the device.
                    Some(rest) => {
                        let mapping = mapping.part(start, length)?;
                        Self::partly_mapped(mapping, shifted(&rest.region), length)
                    }
                    None => Self::mapped(mapping.part(start, length)?),
                }
            }
            Backing::Trapped(trap) => Self::trapped(shifted(&trap.region), length),
        })
    }

    /// Bytes of the BAR.
    pub const fn length(&self) -> u64 {
        match &self.backing {
            Backing::Mapped {
                mapping,
                rest: None,
            } => mapping.length(),
            Backing::Mapped {
                rest: Some(trap), ..
            }
            | Backing::Trapped(trap) => trap.length,
        }
    }

    /// Whether accesses, at least at its start, are loads and stores of the processor.
    pub const fn is_mapped(&self) -> bool {
        matches!(self.backing, Backing::Mapped { .. })
    }

    /// The mapping that it begins with, and what takes the accesses behind that: for copies of
    /// ranges.
    pub(crate) fn parts(&self) -> (Option<&Mapping>, Option<&dyn Region>) {
        match &self.backing {
            Backing::Mapped { mapping, rest } => {
                (Some(mapping), rest.as_ref().map(|rest| &*rest.region))
            }
            Backing::Trapped(trap) => (None, Some(&*trap.region)),
        }
    }

    /// Reads a word.
    ///
    /// # Errors
    /// When it would be out of bounds or not aligned, or the device cannot be reached.
    #[inline]
    pub fn read<T: Word>(&self, offset: u64) -> Result<T, BarError> {
        match &self.backing {
            Backing::Mapped { mapping, rest } => match mapping.load(offset) {
                Ok(value) => Ok(value),
                Err(error) => read_rest(rest.as_ref(), offset, error),
            },
            Backing::Trapped(trap) => trap.read(offset),
        }
    }

    /// Writes a word.
    ///
    /// # Errors
    /// As [`Self::read`].
    #[inline]
    pub fn write<T: Word>(&self, offset: u64, value: T) -> Result<(), BarError> {
        match &self.backing {
            Backing::Mapped { mapping, rest } => match mapping.store(offset, value) {
                Ok(()) => Ok(()),
                Err(error) => write_rest(rest.as_ref(), offset, value, error),
            },
            Backing::Trapped(trap) => trap.write(offset, value),
        }
    }

    /// A register of the BAR, checked once for all its accesses: for one that is accessed often.
    ///
    /// # Errors
    /// When it would be out of bounds or not aligned.
    pub fn register<T: Word>(&self, offset: u64) -> Result<Register<'_, T>, BarError> {
        let trapped = |trap: &Trap| {
            trap.check(offset, T::SIZE as u64)?;
            let trap = trap.clone();
            Ok(Register(Target::Trapped { trap, offset }))
        };
        match &self.backing {
            Backing::Mapped { mapping, rest } => match (mapping.word(offset), rest) {
                (Ok(word), _) => Ok(Register(Target::Mapped(word))),
                (Err(BarError::OutOfBounds { .. }), Some(rest)) => trapped(rest),
                (Err(error), _) => Err(error),
            },
            Backing::Trapped(trap) => trapped(trap),
        }
    }

    /// Reads 8 bits; see [`Self::read`].
    ///
    /// # Errors
    /// As [`Self::read`].
    #[inline]
    pub fn read8(&self, offset: u64) -> Result<u8, BarError> {
        self.read(offset)
    }

    /// Reads 16 bits; see [`Self::read`].
    ///
    /// # Errors
    /// As [`Self::read`].
    #[inline]
    pub fn read16(&self, offset: u64) -> Result<u16, BarError> {
        self.read(offset)
    }

    /// Reads 32 bits; see [`Self::read`].
    ///
    /// # Errors
    /// As [`Self::read`].
    #[inline]
    pub fn read32(&self, offset: u64) -> Result<u32, BarError> {
        self.read(offset)
    }

    /// Reads 64 bits; see [`Self::read`].
    ///
    /// # Errors
    /// As [`Self::read`].
    #[inline]
    pub fn read64(&self, offset: u64) -> Result<u64, BarError> {
        self.read(offset)
    }

    /// Writes 8 bits; see [`Self::write`].
    ///
    /// # Errors
    /// As [`Self::write`].
    #[inline]
    pub fn write8(&self, offset: u64, value: u8) -> Result<(), BarError> {
        self.write(offset, value)
    }

    /// Writes 16 bits; see [`Self::write`].
    ///
    /// # Errors
    /// As [`Self::write`].
    #[inline]
    pub fn write16(&self, offset: u64, value: u16) -> Result<(), BarError> {
        self.write(offset, value)
    }

    /// Writes 32 bits; see [`Self::write`].
    ///
    /// # Errors
    /// As [`Self::write`].
    #[inline]
    pub fn write32(&self, offset: u64, value: u32) -> Result<(), BarError> {
        self.write(offset, value)
    }

    /// Writes 64 bits; see [`Self::write`].
    ///
    /// # Errors
    /// As [`Self::write`].
    #[inline]
    pub fn write64(&self, offset: u64, value: u64) -> Result<(), BarError> {
        self.write(offset, value)
    }

    /// Reads the register at `offset` once for each word, in order: for a register that moves on
    /// when it is read. Over a socket this costs far less than single reads.
    ///
    /// # Errors
    /// As [`Self::read`]; nothing says then how many reads took place.
    pub fn read_repeated(&self, offset: u64, words: &mut [u32]) -> Result<(), BarError> {
        match &self.backing {
            Backing::Mapped { .. } => words
                .iter_mut()
                .try_for_each(|word| self.read32(offset).map(|value| *word = value)),
            Backing::Trapped(trap) => {
                trap.check(offset, 4)?;
                trap.region.read_repeated(offset, words)
            }
        }
    }

    /// Writes each word to the register at `offset`, in order; see [`Self::read_repeated`].
    ///
    /// # Errors
    /// As [`Self::read_repeated`].
    pub fn write_repeated(&self, offset: u64, words: &[u32]) -> Result<(), BarError> {
        match &self.backing {
            Backing::Mapped { .. } => words
                .iter()
                .try_for_each(|word| self.write32(offset, *word)),
            Backing::Trapped(trap) => {
                trap.check(offset, 4)?;
                trap.region.write_repeated(offset, words)
            }
        }
    }
}

/// A region whose offsets count from `start`.
struct Shifted {
    region: Arc<dyn Region>,
    start: u64,
}

impl Region for Shifted {
    fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), BarError> {
        self.region.read(self.start + offset, data)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), BarError> {
        self.region.write(self.start + offset, data)
    }

    fn read_repeated(&self, offset: u64, words: &mut [u32]) -> Result<(), BarError> {
        self.region.read_repeated(self.start + offset, words)
    }

    fn write_repeated(&self, offset: u64, words: &[u32]) -> Result<(), BarError> {
        self.region.write_repeated(self.start + offset, words)
    }
}

impl fmt::Debug for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.is_mapped() {
            "mapped"
        } else {
            "trapped"
        };
        write!(f, "Bar({:#x} bytes, {how})", self.length())
    }
}

/// A register of a [`Bar`].
pub struct Register<'a, T>(Target<'a, T>);

enum Target<'a, T> {
    Mapped(MappedWord<'a, T>),
    Trapped { trap: Trap, offset: u64 },
}

impl<T: Word> Register<'_, T> {
    /// Reads the register.
    ///
    /// # Errors
    /// When the device cannot be reached; never in a mapped BAR.
    #[inline(always)]
    pub fn read(&self) -> Result<T, BarError> {
        match &self.0 {
            Target::Mapped(word) => Ok(word.load()),
            Target::Trapped { trap, offset } => trap.read(*offset),
        }
    }

    /// Writes the register.
    ///
    /// # Errors
    /// As [`Self::read`].
    #[inline(always)]
    pub fn write(&self, value: T) -> Result<(), BarError> {
        match &self.0 {
            Target::Mapped(word) => {
                word.store(value);
                Ok(())
            }
            Target::Trapped { trap, offset } => trap.write(*offset, value),
        }
    }
}

impl BarError {
    /// An access of `size` bytes at `offset` that is outside `length` bytes.
    #[cold]
    pub(crate) const fn out_of_bounds(offset: u64, size: u64, length: u64) -> Self {
        Self::OutOfBounds {
            offset,
            size,
            length,
        }
    }

    /// What is wrong with an access that is out of bounds or not aligned.
    #[cold]
    pub(crate) const fn refused(offset: u64, size: u64, length: u64) -> Self {
        if length < size || offset > length - size {
            Self::out_of_bounds(offset, size, length)
        } else {
            Self::Misaligned { offset, size }
        }
    }
}

impl Trap {
    fn check(&self, offset: u64, size: u64) -> Result<(), BarError> {
        let length = self.length;
        if length < size || offset > length - size || !offset.is_multiple_of(size) {
            return Err(BarError::refused(offset, size, length));
        }
        Ok(())
    }

    #[cold]
    fn read<T: Word>(&self, offset: u64) -> Result<T, BarError> {
        self.check(offset, T::SIZE as u64)?;
        let mut bytes = [0; 8];
        self.region.read(offset, &mut bytes[..T::SIZE])?;
        Ok(T::from_bytes(&bytes[..T::SIZE]))
    }

    #[cold]
    fn write<T: Word>(&self, offset: u64, value: T) -> Result<(), BarError> {
        self.check(offset, T::SIZE as u64)?;
        let mut bytes = [0; 8];
        value.to_bytes(&mut bytes[..T::SIZE]);
        self.region.write(offset, &bytes[..T::SIZE])
    }
}

/// An access that the mapping refused: behind it there may be a rest.
#[cold]
fn read_rest<T: Word>(rest: Option<&Trap>, offset: u64, error: BarError) -> Result<T, BarError> {
    match (rest, error) {
        (Some(trap), BarError::OutOfBounds { .. }) => trap.read(offset),
        (_, error) => Err(error),
    }
}

#[cold]
fn write_rest<T: Word>(
    rest: Option<&Trap>,
    offset: u64,
    value: T,
    error: BarError,
) -> Result<(), BarError> {
    match (rest, error) {
        (Some(trap), BarError::OutOfBounds { .. }) => trap.write(offset, value),
        (_, error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Counts accesses and remembers the last.
    #[derive(Default)]
    struct Recorder(Mutex<Vec<(u64, usize)>>);

    impl Region for Recorder {
        fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), BarError> {
            let mut accesses = self.0.lock().unwrap();
            accesses.push((offset, data.len()));
            data.fill(accesses.len() as u8);
            Ok(())
        }

        fn write(&self, offset: u64, data: &[u8]) -> Result<(), BarError> {
            self.0.lock().unwrap().push((offset, data.len()));
            Ok(())
        }
    }

    #[test]
    fn a_trapped_bar_makes_one_access_for_each_word() {
        let recorder = Arc::new(Recorder::default());
        let bar = Bar::trapped(Arc::<Recorder>::clone(&recorder), 4096);
        assert_eq!(bar.read64(8), Ok(0x0101_0101_0101_0101));
        let mut words = [0; 3];
        bar.read_repeated(0x34, &mut words).unwrap();
        assert_eq!(words, [0x0202_0202, 0x0303_0303, 0x0404_0404]);
        let expected = [(8, 8), (0x34, 4), (0x34, 4), (0x34, 4)];
        assert_eq!(*recorder.0.lock().unwrap(), expected);
    }

    #[test]
    fn a_refused_access_does_not_reach_the_device() {
        let recorder = Arc::new(Recorder::default());
        let bar = Bar::trapped(Arc::<Recorder>::clone(&recorder), 4096);
        assert!(matches!(
            bar.read32(4096),
            Err(BarError::OutOfBounds { .. })
        ));
        assert!(matches!(
            bar.write32(2, 0),
            Err(BarError::Misaligned { .. })
        ));
        assert!(bar.write_repeated(4094, &[1]).is_err());
        assert!(recorder.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_part_counts_from_its_start_and_ends_where_it_ends() {
        let memory = crate::SharedMemory::new("part", 8192).unwrap();
        let recorder = Arc::new(Recorder::default());
        let rest = Arc::<Recorder>::clone(&recorder);
        let bar = Bar::partly_mapped(memory.mapping().clone(), rest, 16384);
        let part = bar.part(4096..12288).unwrap();
        assert_eq!(part.length(), 8192);
        part.write32(0, 7).unwrap();
        assert_eq!(bar.read32(4096), Ok(7));
        part.write32(4096, 1).unwrap();
        assert!(part.write32(8192, 1).is_err());
        bar.part(12288..16384).unwrap().write32(8, 1).unwrap();
        assert_eq!(*recorder.0.lock().unwrap(), [(8192, 4), (12296, 4)]);
        assert_eq!(bar.part(0..4096).unwrap().read32(0), Ok(0));
        assert!(bar.part(0..4096).unwrap().read32(4096).is_err());
        for range in [0..0, 12288..20480, 16..4096] {
            assert!(bar.part(range.clone()).is_err(), "{range:?}");
        }
    }

    #[test]
    fn behind_a_mapping_accesses_go_one_by_one() {
        let memory = crate::SharedMemory::new("part", 4096).unwrap();
        let recorder = Arc::new(Recorder::default());
        let rest = Arc::<Recorder>::clone(&recorder);
        let bar = Bar::partly_mapped(memory.mapping().clone(), rest, 8192);
        assert_eq!(bar.length(), 8192);
        bar.write32(4092, 7).unwrap();
        assert_eq!(bar.read32(4092), Ok(7));
        assert_eq!(bar.read32(4096), Ok(0x0101_0101));
        assert_eq!(*recorder.0.lock().unwrap(), [(4096, 4)]);
        assert!(bar.read32(8192).is_err() && bar.read32(2).is_err());
        let (mapped, trapped) = (bar.register::<u32>(0).unwrap(), bar.register(4096).unwrap());
        mapped.write(9).unwrap();
        assert_eq!((bar.read32(0), mapped.read()), (Ok(9), Ok(9)));
        assert_eq!(trapped.read(), Ok(0x0202_0202_u32));
        assert!(bar.register::<u32>(8192).is_err() && bar.register::<u64>(4).is_err());
    }
}
