//! The XDMA engine of shells that have one, behind the AppPF's BAR2.
//!
//! | file | question |
//! | --- | --- |
//! | `registers` | what does an access of the BAR do? |
//! | `channel`, `performance` | what is a channel, and what does it do next? |
//! | `drive` | who takes a channel on, and when? |
//! | `transfer` | how do descriptors and bytes move? |
//! | `irq` | which interrupts go out? |
//!
//! Source: Xilinx PG195, *DMA/Bridge Subsystem for PCI Express*; layouts in [`afi_proto::xdma`].
//! What the guide leaves open is decided so:
//!
//! - A block of descriptors that crosses a page, or does not begin at a multiple of 32, ends the
//!   channel as a fetch that the host refused: a request to read memory cannot cross a page.
//! - A write to host memory is posted. One that the host refuses is lost, and no status tells of it.
//! - With bus mastering off a channel waits, busy, until it is on again or the run bit is cleared.
//! - Where no design answers, a transfer ends in a slave error, and the shell counts a timeout of
//!   PCIS. Above what PCIS shows, and where there is no memory, it is a decode error.
//! - Setting the run bit again before the channel has seen that it was cleared changes nothing.

mod channel;
mod drive;
mod irq;
mod performance;
mod registers;
#[cfg(test)]
mod tests;
mod transfer;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use afi_proto::xdma::{self, CHANNELS, Direction, common};

use super::card::{Card, CardConfig};
use super::gate::Gate;
use crate::fault::Kind;
use channel::Channel;
pub(crate) use irq::IrqBlock;

/// Who carries out transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DmaMode {
    /// A thread for each channel that is used, as the channels of a card work in parallel. It ends
    /// when the channel was idle for a second.
    #[default]
    Threads,
    /// The access of a register that starts a transfer, before it returns: no threads, and the same
    /// order every time. A chain of more than 65,536 descriptors goes on at the next access of the
    /// engine's registers.
    Inline,
}

/// An engine.
pub(super) struct Engine {
    config: Arc<CardConfig>,
    gate: Arc<Gate>,
    card: Weak<Card>,
    /// H2C channels first, then C2H, as in the interrupt block.
    channels: Vec<Channel>,
    /// Channels that may not fetch descriptors, as in the register.
    halted: AtomicU32,
    /// Channels that need credits, as in the register.
    limited: AtomicU32,
    /// Channels that request an interrupt, by their numbers.
    requests: AtomicU32,
    /// Channels that may have work which no thread does.
    inline_work: AtomicU32,
    ended: AtomicBool,
}

impl Engine {
    /// An engine as after a reset.
    pub(super) fn new(config: Arc<CardConfig>, gate: Arc<Gate>, card: Weak<Card>) -> Arc<Self> {
        let channels = Direction::ALL
            .into_iter()
            .flat_map(|direction| (0..CHANNELS).map(move |number| Channel::new(direction, number)));
        Arc::new(Self {
            config,
            gate,
            card,
            channels: channels.collect(),
            halted: AtomicU32::new(0),
            limited: AtomicU32::new(0),
            requests: AtomicU32::new(0),
            inline_work: AtomicU32::new(0),
            ended: AtomicBool::new(false),
        })
    }

    /// The function is reset. When this has returned, nothing that was begun before moves a byte.
    pub(super) fn reset(&self) {
        self.halted.store(0, Ordering::Release);
        self.limited.store(0, Ordering::Release);
        for channel in &self.channels {
            channel.reset();
        }
        self.requests.store(0, Ordering::Release);
        self.gate.wait_for_bytes();
    }

    /// The card goes: threads end, and no byte moves once this has returned.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.gate.shut();
        self.wake_all();
    }

    /// What channels may wait for has changed.
    pub(super) fn wake_all(self: &Engine) {
        for (number, channel) in self.channels.iter().enumerate() {
            channel.look_again();
            self.note_inline_work(number);
        }
    }

    /// The channels that request an interrupt, by their numbers.
    pub(super) fn requests(&self) -> u8 {
        self.requests.load(Ordering::Acquire) as u8
    }

    fn channel(&self, direction: Direction, number: u8) -> Option<(usize, &Channel)> {
        let at = usize::from(xdma::irq::channel_number(direction, number));
        Some((at, self.channels.get(at)?))
    }

    fn now(&self) -> Duration {
        self.config.clock.now()
    }

    fn strikes(&self, kind: Kind) -> Option<i64> {
        self.config.faults.strikes(kind, Some(self.config.slot))
    }

    fn is_halted(&self, channel: &Channel) -> bool {
        let bit = common::bit(channel.direction, channel.number);
        self.halted.load(Ordering::Acquire) & bit != 0
    }

    fn is_limited(&self, channel: &Channel) -> bool {
        let bit = common::bit(channel.direction, channel.number);
        self.limited.load(Ordering::Acquire) & bit != 0
    }

    fn note_inline_work(&self, number: usize) {
        if self.config.dma == DmaMode::Inline {
            self.inline_work.fetch_or(1 << number, Ordering::AcqRel);
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({:?})", self.config)
    }
}
