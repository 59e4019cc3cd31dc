//! What the engine's DMA can reach, and how that is taken away while bytes move.
//!
//! DMA does not hold the card's lock. It holds this gate, shared, for a bounded number of bytes at a
//! time. Whoever takes something away (bus mastering, the host, the design's memory) waits for the
//! bytes under way; once that has returned, no byte moves there any more.
//!
//! Locks are taken in this order: the card's, a channel's, the gate's, the host's maps. Whoever holds
//! the gate takes none of those before it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::counters::{Counters, Direction};
use super::memory::CardMemory;
use crate::function::HostPort;

/// DDR interfaces of the card that has most of them.
const MOST_DDR: usize = 4;
/// Bytes of a burst, by which the metrics count.
const BURST: u64 = 4096;

/// The way of DMA between host and card.
#[derive(Default)]
pub(super) struct Gate {
    paths: RwLock<Paths>,
    /// As in `paths`, for those who only want to know whether waiting goes on.
    open: AtomicBool,
    /// The card is gone for good.
    shut: AtomicBool,
    /// The card is gone, and may come back.
    lost: AtomicBool,
    ddr: [[AtomicU64; 2]; MOST_DDR],
    /// A transfer went where PCIS has nothing.
    out_of_range: AtomicBool,
}

/// What can be reached.
#[derive(Default)]
pub(super) struct Paths {
    /// The function may master the bus.
    pub(super) bus_master: bool,
    /// The host, if one is attached.
    pub(super) host: Option<Arc<dyn HostPort>>,
    /// The card's memory, while a design runs that has memory controllers.
    pub(super) memory: Option<Arc<CardMemory>>,
}

impl Gate {
    /// What can be reached now, for as long as it is held. Hold it for a bounded number of bytes.
    pub(super) fn pass(&self) -> RwLockReadGuard<'_, Paths> {
        self.paths.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the function may master the bus.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Changes what can be reached. Returns whether bytes that wait can move now.
    pub(super) fn set(&self, paths: Paths) -> bool {
        {
            let now = self.pass();
            let same_host = match (&now.host, &paths.host) {
                (None, None) => true,
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                _ => false,
            };
            let same_memory = match (&now.memory, &paths.memory) {
                (None, None) => true,
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                _ => false,
            };
            if same_host && same_memory && now.bus_master == paths.bus_master {
                return false;
            }
        }
        if self.shut.load(Ordering::Acquire) {
            return false;
        }
        let open = paths.bus_master;
        *self.stop_bytes() = paths;
        self.open.store(open, Ordering::Release);
        open
    }

    /// The design's memory is no longer the design's.
    pub(super) fn withdraw_memory(&self) {
        self.stop_bytes().memory = None;
    }

    /// Nothing can be reached any more, ever.
    pub(super) fn shut(&self) {
        self.shut.store(true, Ordering::Release);
        *self.stop_bytes() = Paths::default();
        self.open.store(false, Ordering::Release);
    }

    /// Nothing can be reached, until [`Self::take_lost`] is asked and the paths are set again.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        *self.stop_bytes() = Paths::default();
        self.open.store(false, Ordering::Release);
    }

    /// Whether the paths were lost since this was asked last.
    pub(super) fn take_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire) && self.lost.swap(false, Ordering::AcqRel)
    }

    /// Waits for the bytes under way.
    pub(super) fn wait_for_bytes(&self) {
        drop(self.stop_bytes());
    }

    /// Counts what DMA did with card memory that begins at an address of an interface.
    pub(super) fn count(
        &self,
        interface: Option<usize>,
        direction: Direction,
        address: u64,
        length: usize,
    ) {
        let Some(counts) = interface.and_then(|number| self.ddr.get(number)) else {
            return;
        };
        let bursts = (address % BURST + length as u64).div_ceil(BURST);
        counts[index(direction)].fetch_add(bursts, Ordering::Relaxed);
    }

    /// Notes a transfer that went where PCIS has nothing.
    pub(super) fn went_out_of_range(&self) {
        self.out_of_range.store(true, Ordering::Relaxed);
    }

    /// Adds what was counted to the shell's counters, and begins anew.
    pub(super) fn settle_into(&self, counters: &mut Counters) {
        if self.out_of_range.swap(false, Ordering::Relaxed) {
            counters.dma_out_of_range();
        }
        for (number, counts) in self.ddr.iter().enumerate() {
            for direction in [Direction::Read, Direction::Write] {
                let bursts = counts[index(direction)].swap(0, Ordering::Relaxed);
                counters.ddr_bursts(Some(number), direction, bursts);
            }
        }
    }

    fn stop_bytes(&self) -> RwLockWriteGuard<'_, Paths> {
        self.paths.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate(open: {})", self.is_open())
    }
}

const fn index(direction: Direction) -> usize {
    match direction {
        Direction::Read => 0,
        Direction::Write => 1,
    }
}
