//! A channel, as its owner sees it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use afi_proto::xdma::{Direction, MAX_LENGTH};

use super::core::{Core, MOST_DESCRIPTORS};
use super::error::{ChannelId, DmaError, Failed, OpenError};
use super::flight::Kept;
use super::scatter::{Pieces, ScatterList, Split, check, hold};
use super::transfer::Transfer;
use crate::dma::Held;
use crate::{Backoff, Deadline, DmaBuffer};

/// The longest pause between two tries of a blocking call on a channel that is full.
const LONGEST_PAUSE: std::time::Duration = std::time::Duration::from_millis(1);

/// How completions are waited for, once a short spin did not see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Completion {
    /// By looks at host memory, in pauses that grow to a millisecond.
    #[default]
    Poll,
    /// By an interrupt (MSI-X through an eventfd).
    Interrupt,
}

/// How a channel is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelOptions {
    /// How completions are waited for.
    pub completion: Completion,
    /// Transfers that can be under way, or done and not yet collected; 1 to 65535.
    pub in_flight: u16,
    /// Descriptors of the ring, one of which stays free; 2 to 1024.
    pub descriptors: u32,
    /// Where transfers are cut.
    pub split: Split,
    /// Use descriptor credits where the engine has them. Without, each transfer is a chain of its
    /// own, and the next one starts when somebody sees that it is done.
    pub credits: bool,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self {
            completion: Completion::Poll,
            in_flight: 128,
            descriptors: MOST_DESCRIPTORS,
            split: Split::default(),
            credits: true,
        }
    }
}

impl ChannelOptions {
    pub(super) fn check(&self, channel: ChannelId) -> Result<(), OpenError> {
        let refuse = |what, found, wanted| {
            Err(OpenError::Options {
                channel,
                what,
                found,
                wanted,
            })
        };
        if self.in_flight == 0 {
            return refuse("in_flight", 0, "at least 1");
        }
        if !(2..=MOST_DESCRIPTORS).contains(&self.descriptors) {
            return refuse("descriptors", self.descriptors.into(), "2 to 1024");
        }
        let largest = self.split.largest;
        if !(1..=MAX_LENGTH).contains(&largest) {
            return refuse("split.largest", largest.into(), "1 to 2^28 - 1");
        }
        match self.split.card_boundary {
            Some(boundary) if !boundary.is_power_of_two() => {
                refuse("split.card_boundary", boundary, "a power of two")
            }
            _ => Ok(()),
        }
    }
}

/// How a channel is told of descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submission {
    /// It runs all the time; one register write lets it fetch what was added.
    Credits,
    /// It is started for each transfer, with four register writes.
    Chain {
        /// Why not by credits.
        reason: &'static str,
    },
}

/// A channel of an engine. Transfers on it take place one after the other; submit several, so that
/// it never waits for the host.
///
/// When one fails, or its owner does not wait any longer, the channel is stopped, and every transfer
/// behind it ends with [`DmaError::Aborted`]. The channel can be used again at once.
pub struct Channel {
    core: Arc<Core>,
}

impl Channel {
    pub(super) const fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Which one it is.
    pub fn id(&self) -> ChannelId {
        self.core.id
    }

    /// How it is told of descriptors.
    pub fn submission(&self) -> Submission {
        self.core.submission()
    }

    /// Starts a transfer between a range of a buffer and the card. The buffer comes back with
    /// [`Transfer::wait`].
    ///
    /// # Errors
    /// When the range is not in the buffer, the channel takes no more transfers now, or it cannot
    /// be started after an earlier failure; with the buffer.
    #[inline]
    pub fn submit(
        &self,
        buffer: DmaBuffer,
        range: Range<u64>,
        card_address: u64,
    ) -> Result<Transfer<DmaBuffer>, Failed<DmaBuffer>> {
        let ready = hold(&buffer).and_then(|held| self.pieces(held, &range, card_address));
        let prepared = ready.and_then(|pieces| {
            let mut prepared = self.core.prepare(pieces.clone().count())?;
            let written = prepared.write(pieces);
            Ok((prepared, written))
        });
        match prepared {
            Ok((prepared, written)) => {
                let place = prepared.go(Kept::Buffer(buffer), written);
                Ok(Transfer::new(Arc::clone(&self.core), place))
            }
            Err(error) => Err(Failed {
                error,
                payload: Some(buffer),
            }),
        }
    }

    /// Starts one transfer of all segments of a list. The list comes back with [`Transfer::wait`].
    ///
    /// # Errors
    /// As [`Self::submit`], for any segment; also when the list takes more descriptors than the
    /// ring has. With the list.
    pub fn submit_list(
        &self,
        list: ScatterList,
    ) -> Result<Transfer<ScatterList>, Failed<ScatterList>> {
        let split = self.core.options.split;
        let prepared = list.check().and_then(|()| {
            let mut prepared = self.core.prepare(list.pieces(split).count())?;
            let written = prepared.write(list.pieces(split));
            Ok((prepared, written))
        });
        match prepared {
            Ok((prepared, written)) => {
                let place = prepared.go(Kept::List(list), written);
                Ok(Transfer::new(Arc::clone(&self.core), place))
            }
            Err(error) => Err(Failed {
                error,
                payload: Some(list),
            }),
        }
    }

    /// Starts a transfer of a part of a buffer that somebody else answers for.
    pub(super) fn submit_part(
        &self,
        held: &Arc<Held>,
        range: &Range<u64>,
        card_address: u64,
    ) -> Result<Transfer<Part>, DmaError> {
        let pieces = self.pieces(held, range, card_address)?;
        let mut prepared = self.core.prepare(pieces.clone().count())?;
        let written = prepared.write(pieces);
        let place = prepared.go(
            Kept::Part {
                _held: Arc::clone(held),
            },
            written,
        );
        Ok(Transfer::new(Arc::clone(&self.core), place))
    }

    /// Writes a range of a buffer to the card, and returns when that is done, or cannot happen any
    /// more. Waits for room when the channel is full.
    ///
    /// # Errors
    /// When the channel is not H2C, the range is not in the buffer, or the transfer fails. After
    /// [`DmaError::Unstoppable`] the buffer is given up.
    pub fn write(
        &self,
        buffer: &mut DmaBuffer,
        range: Range<u64>,
        card_address: u64,
        deadline: &Deadline,
    ) -> Result<(), DmaError> {
        self.wants(Direction::H2c, "write to the card")?;
        self.copy(buffer, range, card_address, deadline)
    }

    /// Reads from the card into a range of a buffer; otherwise as [`Self::write`].
    ///
    /// # Errors
    /// As [`Self::write`], for a channel that is not C2H.
    pub fn read(
        &self,
        buffer: &mut DmaBuffer,
        range: Range<u64>,
        card_address: u64,
        deadline: &Deadline,
    ) -> Result<(), DmaError> {
        self.wants(Direction::C2h, "read from the card")?;
        self.copy(buffer, range, card_address, deadline)
    }

    fn copy(
        &self,
        buffer: &mut DmaBuffer,
        range: Range<u64>,
        card_address: u64,
        deadline: &Deadline,
    ) -> Result<(), DmaError> {
        let mut backoff = Backoff::up_to(LONGEST_PAUSE);
        loop {
            // The buffer is out of the caller's hands meanwhile, even where this unwinds.
            let outcome = match self.submit(buffer.take(), range.clone(), card_address) {
                Ok(transfer) => transfer.wait(deadline),
                Err(failed) => Err(failed),
            };
            match outcome {
                Ok(back) => {
                    *buffer = back;
                    return Ok(());
                }
                Err(Failed { error, payload }) => {
                    if let Some(back) = payload {
                        *buffer = back;
                    }
                    if !matches!(error, DmaError::Full { .. }) {
                        return Err(error);
                    }
                }
            }
            backoff.wait(deadline).map_err(|source| DmaError::Ended {
                channel: self.id(),
                source,
            })?;
        }
    }

    #[inline]
    fn pieces(&self, held: &Held, range: &Range<u64>, card: u64) -> Result<Pieces, DmaError> {
        check(held, range, card)?;
        let start = held.bus_address() + range.start;
        let length = range.end - range.start;
        Ok(Pieces::new(start, card, length, self.core.options.split))
    }

    fn wants(&self, direction: Direction, what: &'static str) -> Result<(), DmaError> {
        let channel = self.id();
        if channel.direction == direction {
            return Ok(());
        }
        Err(DmaError::WrongWay { channel, what })
    }
}

/// A share of a buffer that several transfers move together.
pub(super) struct Part;

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({})", self.id())
    }
}
