//! The memory of a card, whatever way there is to it.
//!
//! [`Slot::memory`](crate::slots::Slot::memory) opens it: it takes the best [`Path`] that works, and
//! tells which it is and why better ones were passed over. Addresses and lengths are checked against
//! the memory of the loaded design before anything moves.
//!
//! ```no_run
//! use std::time::Duration;
//! use afi_pcie::card_memory::{Options, Pattern};
//! use afi_pcie::{BusChoice, Deadline, bus, slots};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = bus::open(&BusChoice::Sysfs)?;
//! let slot = &slots::discover(bus.as_ref())?[0];
//! let memory = slot.memory(bus.as_ref(), Options::default())?;
//! println!("by {}", memory.path());
//!
//! let deadline = Deadline::after(Duration::from_secs(10));
//! memory.write(0x1000, b"hello", &deadline)?;
//! let mut back = [0; 5];
//! memory.read(0x1000, &mut back, &deadline)?;
//! assert_eq!(&back, b"hello");
//!
//! memory.fill(0, 1 << 30, &Pattern::Address, &deadline)?;
//! assert!(memory.verify(0, 1 << 30, &Pattern::Address, &deadline)?.is_good());
//! # Ok(())
//! # }
//! ```

mod bounce;
mod error;
mod open;
mod path;
mod pattern;
#[cfg(test)]
mod tests;
mod verify;
mod way;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use afi_proto::xdma::Direction;
use afi_proto::{Bdf, MemoryMap, PciIds};

pub use error::{CardMemoryError, PassedOver, WhyNot};
pub use path::{ParsePathError, Path};
pub use pattern::Pattern;
pub use verify::{Mismatch, Verdict};

use crate::{Deadline, DmaBuffer, Function};
use bounce::Xdma;
use way::Way;

/// Bytes that are prepared or compared at once: a few parts of a transfer, so that several channels
/// have something to do.
const BLOCK: usize = 16 << 20;

/// Who is told how many bytes more were moved.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// How card memory is opened.
#[derive(Clone, Default)]
pub struct Options {
    /// The path; `None` for the best that works.
    pub path: Option<Path>,
    /// The most channels to use at once; `None` for what is best for the path.
    pub channels: Option<u8>,
    /// What memory the design has; `None` for what its ids tell
    /// ([`DesignMemory::of`](afi_proto::DesignMemory::of)).
    pub map: Option<MemoryMap>,
    /// Told of the bytes that were moved, from any thread, as they are.
    pub progress: Option<Progress>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("path", &self.path)
            .field("channels", &self.channels)
            .field("map", &self.map)
            .field("progress", &self.progress.as_ref().map(|_| ".."))
            .finish()
    }
}

/// The memory of the card in a slot.
///
/// It may be shared between threads. Whoever uses it holds the slot's lock, as for any use of a
/// slot: a load in another process would take the memory away.
pub struct CardMemory {
    function: Arc<dyn Function>,
    ids: PciIds,
    design: Option<&'static str>,
    map: MemoryMap,
    way: Way,
    channels: usize,
    passed_over: Vec<PassedOver>,
    progress: Option<Progress>,
}

impl CardMemory {
    /// The application function.
    pub fn bdf(&self) -> Bdf {
        self.function.bdf()
    }

    /// The path that is used.
    pub const fn path(&self) -> Path {
        self.way.path()
    }

    /// How it is used, in a few words.
    pub fn details(&self) -> String {
        self.way.details(self.channels)
    }

    /// The most channels that are used at once.
    pub const fn channels(&self) -> usize {
        self.channels
    }

    /// Better paths, and why they are not used.
    pub fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    /// The memory of the design.
    pub const fn map(&self) -> &MemoryMap {
        &self.map
    }

    /// The design, where its ids tell that it is a public example.
    pub const fn design(&self) -> Option<&'static str> {
        self.design
    }

    /// Writes to memory.
    ///
    /// # Errors
    /// When there is no memory at some of the addresses, which then moves nothing; when it cannot be
    /// reached, the deadline ends, or the design changed meanwhile: then some of it may be written.
    pub fn write(
        &self,
        address: u64,
        data: &[u8],
        deadline: &Deadline,
    ) -> Result<(), CardMemoryError> {
        self.map.check(address, data.len() as u64)?;
        self.move_in(address, data, deadline)?;
        self.arrived()
    }

    /// Reads memory.
    ///
    /// # Errors
    /// As [`Self::write`]; what is in `data` then may be anything.
    pub fn read(
        &self,
        address: u64,
        data: &mut [u8],
        deadline: &Deadline,
    ) -> Result<(), CardMemoryError> {
        self.map.check(address, data.len() as u64)?;
        self.move_out(address, data, deadline)?;
        self.arrived()
    }

    /// Fills memory with a pattern.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn fill(
        &self,
        address: u64,
        length: u64,
        pattern: &Pattern,
        deadline: &Deadline,
    ) -> Result<(), CardMemoryError> {
        self.map.check(address, length)?;
        let mut block = vec![0; block_size(length, pattern)];
        let mut ready = 0;
        for (at, bytes) in blocks(address, length, block.len()) {
            // A block that is whole periods is the same each time.
            if pattern.period().is_none() || ready < bytes {
                pattern.put(address, at, &mut block[..bytes]);
                ready = bytes;
            }
            self.move_in(at, &block[..bytes], deadline)?;
        }
        self.arrived()
    }

    /// Compares memory with a pattern.
    ///
    /// # Errors
    /// As [`Self::read`]. That it differs is no error, but the verdict.
    pub fn verify(
        &self,
        address: u64,
        length: u64,
        pattern: &Pattern,
        deadline: &Deadline,
    ) -> Result<Verdict, CardMemoryError> {
        self.map.check(address, length)?;
        let mut wanted = vec![0; block_size(length, pattern)];
        let mut seen = vec![0; wanted.len()];
        let mut verdict = Verdict::default();
        for (at, bytes) in blocks(address, length, wanted.len()) {
            pattern.put(address, at, &mut wanted[..bytes]);
            self.move_out(at, &mut seen[..bytes], deadline)?;
            verdict.compare(at, &wanted[..bytes], &seen[..bytes]);
        }
        self.arrived()?;
        Ok(verdict)
    }

    /// Compares memory with these bytes.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn compare(
        &self,
        address: u64,
        wanted: &[u8],
        deadline: &Deadline,
    ) -> Result<Verdict, CardMemoryError> {
        let length = wanted.len() as u64;
        self.map.check(address, length)?;
        let mut seen = vec![0; wanted.len().min(BLOCK)];
        let mut verdict = Verdict::default();
        for (wanted, (at, bytes)) in wanted.chunks(BLOCK).zip(blocks(address, length, BLOCK)) {
            self.move_out(at, &mut seen[..bytes], deadline)?;
            verdict.compare(at, wanted, &seen[..bytes]);
        }
        self.arrived()?;
        Ok(verdict)
    }

    /// A buffer for [`Self::write_buffer`] and [`Self::read_buffer`], which move it without a copy.
    ///
    /// # Errors
    /// When the path is not [`Path::Xdma`], or there is no memory.
    pub fn buffer(&self, length: u64) -> Result<DmaBuffer, CardMemoryError> {
        let buffer = self.engine()?.buffer(length);
        buffer.map_err(|source| CardMemoryError::Memory { source })
    }

    /// Writes a range of a buffer to memory, without a copy.
    ///
    /// # Errors
    /// As [`Self::write`], and when the path is not [`Path::Xdma`]. The buffer is the caller's again
    /// in any case, and the engine does not touch it any more.
    pub fn write_buffer(
        &self,
        address: u64,
        buffer: &mut DmaBuffer,
        range: Range<u64>,
        deadline: &Deadline,
    ) -> Result<(), CardMemoryError> {
        self.move_buffer(Direction::H2c, address, buffer, range, deadline)
    }

    /// Reads memory into a range of a buffer, without a copy.
    ///
    /// # Errors
    /// As [`Self::write_buffer`].
    pub fn read_buffer(
        &self,
        address: u64,
        buffer: &mut DmaBuffer,
        range: Range<u64>,
        deadline: &Deadline,
    ) -> Result<(), CardMemoryError> {
        self.move_buffer(Direction::C2h, address, buffer, range, deadline)
    }

    fn move_buffer(
        &self,
        direction: Direction,
        address: u64,
        buffer: &mut DmaBuffer,
        range: Range<u64>,
        deadline: &Deadline,
    ) -> Result<(), CardMemoryError> {
        let length = range.end.saturating_sub(range.start);
        self.map.check(address, length)?;
        let engine = self.engine()?;
        let moved = |bytes| self.tell(bytes);
        engine
            .copy(direction, buffer, range, address, deadline, &moved)
            .map_err(|error| self.explained(error))?;
        self.arrived()
    }

    fn engine(&self) -> Result<&Xdma, CardMemoryError> {
        match &self.way {
            Way::Xdma(xdma) => Ok(xdma),
            _ => Err(CardMemoryError::NotByEngine {
                bdf: self.bdf(),
                path: self.path(),
            }),
        }
    }

    fn move_in(
        &self,
        address: u64,
        data: &[u8],
        deadline: &Deadline,
    ) -> Result<(), CardMemoryError> {
        let moved = |bytes| self.tell(bytes);
        self.way
            .write(address, data, self.channels, deadline, &moved)
            .map_err(|error| self.explained(error))
    }

    fn move_out(
        &self,
        address: u64,
        data: &mut [u8],
        deadline: &Deadline,
    ) -> Result<(), CardMemoryError> {
        let moved = |bytes| self.tell(bytes);
        self.way
            .read(address, data, self.channels, deadline, &moved)
            .map_err(|error| self.explained(error))
    }

    fn tell(&self, bytes: u64) {
        if let Some(progress) = &self.progress {
            progress(bytes);
        }
    }

    /// Of a failure, that the design has changed when that is what it comes from.
    fn explained(&self, error: CardMemoryError) -> CardMemoryError {
        match self.still_there() {
            Err(changed) if !matches!(error, CardMemoryError::Wait { .. }) => {
                tracing::debug!(%error, "a transfer that the slot did not survive");
                changed
            }
            _ => error,
        }
    }

    /// After a transfer: whether it had somebody to go to. Writes through BAR4 are posted, and reads
    /// of what is not there give all ones. An engine tells by itself.
    fn arrived(&self) -> Result<(), CardMemoryError> {
        match self.path() {
            Path::Xdma => Ok(()),
            Path::Cdev | Path::Pcis => self.still_there(),
        }
    }

    /// Whether the design is the one that was opened.
    fn still_there(&self) -> Result<(), CardMemoryError> {
        let bdf = self.bdf();
        let now = self.function.live_ids();
        let now = now.map_err(|source| CardMemoryError::Function { bdf, source })?;
        let before = self.ids;
        if now.is_absent() {
            let seen = "its ids read as all ones";
            return Err(CardMemoryError::Gone { bdf, seen });
        }
        if now != before {
            return Err(CardMemoryError::Changed { bdf, before, now });
        }
        Ok(())
    }
}

impl fmt::Debug for CardMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CardMemory({} by {}: {})",
            self.bdf(),
            self.path(),
            self.map
        )
    }
}

/// Bytes of a block for a range: whole periods of the pattern, and no more than needed.
fn block_size(length: u64, pattern: &Pattern) -> usize {
    let period = pattern.period().unwrap_or(1);
    let most = (BLOCK / period).max(1) * period;
    usize::try_from(length).map_or(most, |length| length.min(most))
}

/// The blocks of a range: address and bytes.
fn blocks(address: u64, length: u64, block: usize) -> impl Iterator<Item = (u64, usize)> {
    let step = block.max(1) as u64;
    let count = length.div_ceil(step);
    (0..count).map(move |number| {
        let done = number * step;
        (address + done, step.min(length - done) as usize)
    })
}
