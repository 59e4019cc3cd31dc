//! One transfer over several channels: each moves a part, all at the same time.

use std::ops::Range;

use afi_proto::xdma::{CHANNELS, Direction};

use super::channel::{Channel, Part};
use super::error::{ChannelId, DmaError, Failed};
use super::scatter::{check, hold};
use super::transfer::Transfer;
use crate::{Deadline, DmaBuffer};

/// The smallest part that is worth a channel of its own, unless the caller says otherwise. Below it
/// the start of another transfer costs more than is won (`docs/performance.md`), and four channels
/// with 1 MiB each fill the link of a card (aws-fpga, `fio_dma_tools/README.md`).
pub const SMALLEST_PART: u64 = 1 << 20;
/// Parts begin at multiples of this, so that no two channels share a page.
const PART_ALIGNMENT: u64 = 4096;
/// Channels that there can be.
const MOST: usize = CHANNELS as usize;

/// Channels of one direction that move large transfers together.
#[derive(Debug)]
pub struct Stripe {
    channels: Vec<Channel>,
    smallest_part: u64,
}

/// A striped transfer that is under way. Dropping it does not stop it.
#[must_use = "the buffer comes back when the transfer is waited for"]
#[derive(Debug)]
pub struct StripedTransfer {
    parts: [Option<Transfer<Part>>; MOST],
    buffer: DmaBuffer,
    /// Why a part was not submitted.
    refused: Option<DmaError>,
}

impl Stripe {
    /// Takes channels, 1 to 4, all of one direction.
    ///
    /// # Errors
    /// With the channels, when they are none, too many, or not of one direction.
    pub fn new(channels: Vec<Channel>) -> Result<Self, Vec<Channel>> {
        let direction = channels.first().map(|first| first.id().direction);
        let alike = channels
            .iter()
            .all(|channel| Some(channel.id().direction) == direction);
        if direction.is_none() || channels.len() > MOST || !alike {
            return Err(channels);
        }
        Ok(Self {
            channels,
            smallest_part: SMALLEST_PART,
        })
    }

    /// The same, with another size in bytes below which no part gets a channel of its own.
    #[must_use]
    pub fn with_smallest_part(mut self, bytes: u64) -> Self {
        self.smallest_part = bytes.max(1);
        self
    }

    /// The way of the data.
    pub fn direction(&self) -> Direction {
        self.channels[0].id().direction
    }

    /// The channels, in the order of their parts.
    pub fn channels(&self) -> impl Iterator<Item = ChannelId> {
        self.channels.iter().map(Channel::id)
    }

    /// The channels, to use one by one while they are here. Transfers of both kinds queue up.
    pub fn as_channels(&self) -> &[Channel] {
        &self.channels
    }

    /// The channels, to use one by one again.
    pub fn into_channels(self) -> Vec<Channel> {
        self.channels
    }

    /// Starts a transfer between a range of a buffer and the card. Small ones go over the first
    /// channel alone.
    ///
    /// # Errors
    /// As [`Channel::submit`]; when only some parts could be submitted, [`StripedTransfer::wait`]
    /// tells.
    pub fn submit(
        &self,
        buffer: DmaBuffer,
        range: Range<u64>,
        card_address: u64,
    ) -> Result<StripedTransfer, Failed<DmaBuffer>> {
        let submitted = hold(&buffer).and_then(|held| {
            check(held, &range, card_address)?;
            let mut parts = [const { None }; MOST];
            let mut refused = None;
            let cut = parts_of(&range, self.channels.len(), self.smallest_part);
            for ((place, channel), part) in parts.iter_mut().zip(&self.channels).zip(cut) {
                let card = card_address + (part.start - range.start);
                match channel.submit_part(held, &part, card) {
                    Ok(transfer) => *place = Some(transfer),
                    Err(error) => {
                        refused = Some(error);
                        break;
                    }
                }
            }
            match refused {
                Some(error) if parts[0].is_none() => Err(error),
                refused => Ok((parts, refused)),
            }
        });
        match submitted {
            Ok((parts, refused)) => Ok(StripedTransfer {
                parts,
                buffer,
                refused,
            }),
            Err(error) => Err(Failed {
                error,
                payload: Some(buffer),
            }),
        }
    }

    /// Moves a range of a buffer, and returns when that is done or cannot happen any more.
    ///
    /// # Errors
    /// As [`Channel::write`].
    pub fn copy(
        &self,
        buffer: &mut DmaBuffer,
        range: Range<u64>,
        card_address: u64,
        deadline: &Deadline,
    ) -> Result<(), DmaError> {
        let outcome = match self.submit(buffer.take(), range, card_address) {
            Ok(transfer) => transfer.wait(deadline),
            Err(failed) => Err(failed),
        };
        match outcome {
            Ok(back) => {
                *buffer = back;
                Ok(())
            }
            Err(Failed { error, payload }) => {
                if let Some(back) = payload {
                    *buffer = back;
                }
                Err(error)
            }
        }
    }
}

impl StripedTransfer {
    /// Whether every part is done, well or not; see [`Transfer::is_done`].
    pub fn is_done(&self) -> bool {
        self.parts.iter().flatten().all(Transfer::is_done)
    }

    /// Waits until every part is done, and gives the buffer back; see [`Transfer::wait`].
    ///
    /// # Errors
    /// When a part failed, or not all of them took place before the deadline: the first of the
    /// parts' errors.
    pub fn wait(self, deadline: &Deadline) -> Result<DmaBuffer, Failed<DmaBuffer>> {
        let outcomes = self.parts.into_iter().flatten();
        let outcomes = outcomes.map(|part| part.wait(deadline));
        settle(self.buffer, self.refused, outcomes)
    }

    #[cfg(feature = "tokio")]
    pub(super) fn into_parts(
        self,
    ) -> ([Option<Transfer<Part>>; MOST], DmaBuffer, Option<DmaError>) {
        (self.parts, self.buffer, self.refused)
    }
}

/// The outcome of all parts. Looks at every one of them: the buffer goes back only when none of
/// them has the device on it.
pub(super) fn settle(
    buffer: DmaBuffer,
    refused: Option<DmaError>,
    outcomes: impl Iterator<Item = Result<Part, Failed<Part>>>,
) -> Result<DmaBuffer, Failed<DmaBuffer>> {
    let mut first = refused;
    let mut safe = true;
    for outcome in outcomes {
        if let Err(Failed { error, payload }) = outcome {
            safe &= payload.is_some();
            // What cannot be stopped matters most: it is why the buffer does not come back.
            if first.is_none() || payload.is_none() {
                first = Some(error);
            }
        }
    }
    match first {
        None => Ok(buffer),
        Some(error) => Err(Failed {
            error,
            payload: safe.then_some(buffer),
        }),
    }
}

/// Cuts a range for so many channels: parts of about the same size, none smaller than `smallest`
/// unless it is the only one.
fn parts_of(
    range: &Range<u64>,
    channels: usize,
    smallest: u64,
) -> impl Iterator<Item = Range<u64>> + use<> {
    let length = range.end - range.start;
    let parts = (length / smallest).clamp(1, channels as u64);
    let size = length.div_ceil(parts).next_multiple_of(PART_ALIGNMENT);
    let (start, end) = (range.start, range.end);
    (0..parts)
        .map(move |number| start + number * size)
        .take_while(move |from| *from < end)
        .map(move |from| from..end.min(from + size))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMALLEST: u64 = 64 << 10;

    proptest! {
        #[test]
        fn parts_are_the_range(start in 0_u64..10000, length in 1_u64..1 << 22, channels in 1_usize..=4) {
            let range = start..start + length;
            let parts: Vec<_> = parts_of(&range, channels, SMALLEST).collect();
            prop_assert!(!parts.is_empty() && parts.len() <= channels);
            prop_assert_eq!(parts[0].start, range.start);
            prop_assert_eq!(parts[parts.len() - 1].end, range.end);
            for pair in parts.windows(2) {
                prop_assert_eq!(pair[0].end, pair[1].start);
                prop_assert_eq!((pair[1].start - start) % PART_ALIGNMENT, 0);
            }
            if length >= channels as u64 * SMALLEST {
                prop_assert_eq!(parts.len(), channels);
            }
            prop_assert!(parts.len() == 1 || length >= 2 * SMALLEST);
        }
    }
}
