//! BAR4 of a slot, in windows that are mapped when they are used.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use afi_proto::BarIndex;

use super::copy;
use crate::bus::{Caching, Function};
use crate::{Bar, BarError, BusError};

/// Bytes of a window. A kernel fills the page table of a BAR when it is mapped, all of it: for the
/// 128 GiB of BAR4 that takes seconds, for so much of it a few milliseconds.
pub const WINDOW: u64 = 64 << 20;

/// Memory of the card through AppPF BAR4.
///
/// Shared between threads as it is. Two of them may copy at once, to different addresses.
pub struct Pcis {
    function: Arc<dyn Function>,
    length: u64,
    /// By number. They stay mapped.
    windows: Mutex<BTreeMap<u64, Bar>>,
}

impl Pcis {
    /// BAR4 of an application function. Nothing is mapped yet.
    ///
    /// # Errors
    /// When there is no such BAR, or the function cannot be reached.
    pub fn new(function: Arc<dyn Function>) -> Result<Self, BusError> {
        let (bdf, bar) = (function.bdf(), BarIndex::BAR4);
        let length = function.bar_size(bar)?;
        let length = length.ok_or(BusError::NoBar { bdf, bar })?;
        Ok(Self {
            function,
            length,
            windows: Mutex::default(),
        })
    }

    /// The function.
    pub fn function(&self) -> &Arc<dyn Function> {
        &self.function
    }

    /// Bytes of the BAR.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Windows that are mapped.
    pub fn mapped(&self) -> usize {
        self.lock().len()
    }

    /// Maps the first window, to see whether the bus lets it.
    ///
    /// # Errors
    /// When it does not.
    pub fn map_first(&self) -> Result<(), BusError> {
        self.window(0).map(drop)
    }

    /// Writes; see [`write`](super::write).
    ///
    /// # Errors
    /// When the range is not inside the BAR, or the function cannot be reached; some of it may be
    /// written.
    pub fn write(&self, address: u64, data: &[u8]) -> Result<(), BusError> {
        for (window, offset, part) in self.parts(address, data.len())? {
            let written = copy::write(&self.window(window)?, offset, &data[part]);
            written.map_err(|source| self.failed(source))?;
        }
        Ok(())
    }

    /// Reads; see [`read`](super::read).
    ///
    /// # Errors
    /// When the range is not inside the BAR, or the function cannot be reached; some of `data` may
    /// be changed.
    pub fn read(&self, address: u64, data: &mut [u8]) -> Result<(), BusError> {
        for (window, offset, part) in self.parts(address, data.len())? {
            let read = copy::read(&self.window(window)?, offset, &mut data[part]);
            read.map_err(|source| self.failed(source))?;
        }
        Ok(())
    }

    /// The parts of a range, each in one window: its number, the offset in it, and which bytes.
    fn parts(
        &self,
        address: u64,
        length: usize,
    ) -> Result<impl Iterator<Item = (u64, u64, Range<usize>)> + use<>, BusError> {
        let size = length as u64;
        if size > self.length || address > self.length - size {
            let outside = BarError::out_of_bounds(address, size, self.length);
            return Err(self.failed(outside));
        }
        let mut done = 0_usize;
        Ok(std::iter::from_fn(move || {
            let at = address + done as u64;
            let (window, offset) = (at / WINDOW, at % WINDOW);
            let room = usize::try_from(WINDOW - offset).unwrap_or(usize::MAX);
            let part = done..length.min(done.saturating_add(room));
            done = part.end;
            (!part.is_empty()).then_some((window, offset, part))
        }))
    }

    /// A window, mapped now if it was not.
    fn window(&self, number: u64) -> Result<Bar, BusError> {
        if let Some(bar) = self.lock().get(&number) {
            return Ok(bar.clone());
        }
        // Two threads may map the same one; then the last stays.
        let start = number * WINDOW;
        let range = start..self.length.min(start + WINDOW);
        let caching = Caching::WriteCombining;
        let bar = self.function.bar_range(BarIndex::BAR4, caching, range)?;
        self.lock().insert(number, bar.clone());
        Ok(bar)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Bar>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, source: BarError) -> BusError {
        BusError::Bar {
            bdf: self.function.bdf(),
            bar: BarIndex::BAR4,
            source,
        }
    }
}

impl fmt::Debug for Pcis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pcis({}, {:#x} bytes)", self.function.bdf(), self.length)
    }
}
