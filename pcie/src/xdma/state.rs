//! What was given to a channel, and what it has done of it.

use afi_proto::xdma::Status;

use super::channel::Submission;
use super::core::Core;
use super::count::{Counter, Impossible};
use super::error::DmaError;
use super::flight::Flight;
use super::ring::Ring;
use crate::DmaBuffer;
use crate::mapping::Mapping;

/// Where the write-back is in the channel's memory; the ring begins a page behind it.
pub(super) const WRITE_BACK: u64 = 0;

/// A channel, while somebody has it.
pub(super) struct State {
    pub(super) memory: DmaBuffer,
    pub(super) write_back: Mapping,
    pub(super) ring: Ring,
    pub(super) flight: Flight,
    pub(super) submission: Submission,
    /// How often the function had been reset when the channel was started; `None` when it must be
    /// started first.
    pub(super) running: Option<u64>,
    /// The write-back as it was seen last, and what it and the register tell of.
    pub(super) seen: u32,
    pub(super) counter: Counter,
    /// Descriptors given to the channel since it was started, and completed of them.
    pub(super) given: u64,
    pub(super) completed: u64,
    /// Without credits: a chain was started and is not done.
    pub(super) chain_runs: bool,
    /// Errors that were read, which clears them, since the channel was started.
    pub(super) errors: Status,
}

impl State {
    /// As before the first submission.
    pub(super) fn begin(&mut self, core: &Core) -> Result<(), DmaError> {
        self.ring.clear();
        self.given = 0;
        self.completed = 0;
        self.chain_runs = false;
        self.errors = Status::empty();
        self.clear_write_back(core)
    }

    pub(super) fn clear_write_back(&mut self, core: &Core) -> Result<(), DmaError> {
        self.seen = 0;
        self.counter = Counter::default();
        self.write_back
            .store(WRITE_BACK, 0_u32)
            .map_err(|source| DmaError::Register {
                channel: core.id,
                source: source.into(),
            })
    }

    /// Takes a write-back, and finishes the transfers that it covers: how many those were.
    #[inline]
    pub(super) fn count_write_back(&mut self, count: u32) -> Result<usize, Impossible> {
        let under_way = self.given - self.completed;
        let more = self.counter.write_back(count, under_way)?;
        Ok(self.finish(more))
    }

    /// The same, for the register's count.
    pub(super) fn count_register(&mut self, count: u32) -> Result<usize, Impossible> {
        let under_way = self.given - self.completed;
        let more = self.counter.register(count, under_way)?;
        Ok(self.finish(more))
    }

    /// So many descriptors more are completed.
    #[inline]
    fn finish(&mut self, more: u64) -> usize {
        self.completed += more;
        let mut finished = 0;
        while let Some((_, written, end)) = self.flight.oldest()
            && end <= self.completed
        {
            self.ring.release(written.count);
            self.flight.finish_oldest(Ok(()));
            finished += 1;
        }
        finished
    }
}
