//! A channel: its registers, and where it is in its chain of descriptors.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use afi_proto::xdma::{
    Control, Descriptor, DescriptorFlags, Direction, MAX_ADJACENT, PAGE, Status, sgdma,
};
use zerocopy::FromZeros;

use super::performance::Performance;

/// Descriptors in a block: a first one and those adjacent to it.
pub(super) const BLOCK: usize = MAX_ADJACENT as usize + 1;

/// A channel of the engine.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) direction: Direction,
    pub(super) number: u8,
    state: Mutex<ChannelState>,
    /// Something changed that the channel may wait for.
    pub(super) wake: Condvar,
    /// Moves on with each reset of the function: work that was begun before is void.
    epoch: AtomicU64,
}

impl Channel {
    pub(super) fn new(direction: Direction, number: u8) -> Self {
        Self {
            direction,
            number,
            state: Mutex::default(),
            wake: Condvar::new(),
            epoch: AtomicU64::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ChannelState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The function was reset. Whoever drives the channel sees that before it moves more bytes.
    pub(super) fn reset(&self) {
        let mut state = self.lock();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        *state = ChannelState {
            is_driven: state.is_driven,
            ..ChannelState::default()
        };
        self.wake.notify_all();
    }

    /// Something that the channel may wait for has changed.
    pub(super) fn look_again(&self) {
        // Whoever waits has looked, and waits, under this lock: nobody is missed.
        drop(self.lock());
        self.wake.notify_all();
    }
}

/// What of a channel changes.
#[derive(Debug)]
pub(super) struct ChannelState {
    pub(super) control: Control,
    /// All but [`Status::BUSY`], which is whether there is a chain.
    pub(super) status: Status,
    pub(super) completed: u32,
    pub(super) write_back: u64,
    pub(super) interrupt_enable: u32,
    pub(super) first: u64,
    pub(super) first_adjacent: u8,
    pub(super) credits: u32,
    pub(super) performance: Performance,
    /// The chain under way.
    pub(super) chain: Option<Chain>,
    block: Block,
    /// A thread, or an access of a register, takes the channel on.
    pub(super) is_driven: bool,
}

impl Default for ChannelState {
    fn default() -> Self {
        Self {
            control: Control::empty(),
            status: Status::empty(),
            completed: 0,
            write_back: 0,
            interrupt_enable: 0,
            first: 0,
            first_adjacent: 0,
            credits: 0,
            performance: Performance::default(),
            chain: None,
            block: Block {
                descriptors: [Descriptor::new_zeroed(); BLOCK],
                have: 0,
                at: 0,
            },
            is_driven: false,
        }
    }
}

/// Where a channel is in its chain.
#[derive(Debug)]
pub(super) struct Chain {
    /// Where the next descriptors are.
    pub(super) next: u64,
    /// How many of them lie there without a gap.
    pub(super) left: u32,
    /// It never goes on (a fault).
    pub(super) is_stuck: bool,
}

/// Descriptors that were fetched together.
#[derive(Debug)]
struct Block {
    descriptors: [Descriptor; BLOCK],
    have: usize,
    /// The one that is worked at.
    at: usize,
}

/// Descriptors that are to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fetch {
    pub(super) at: u64,
    pub(super) count: usize,
}

/// What a channel does next.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing, until it is started.
    Rest,
    /// Nothing, until something changes.
    Wait,
    /// Its run bit was cleared: it ends.
    End,
    /// Fetch descriptors.
    Fetch(Fetch),
    /// The descriptors that come next cannot be fetched as they are told.
    Crossing,
    /// Carry out a descriptor.
    Move(Descriptor),
}

impl ChannelState {
    /// Begins at the first descriptor. Everything that the last run told is void.
    pub(super) fn start(&mut self, now: Duration, is_stuck: bool) {
        self.status = Status::empty();
        self.completed = 0;
        self.performance.chain_began(now);
        self.chain = Some(Chain {
            next: self.first,
            left: u32::from(self.first_adjacent) + 1,
            is_stuck,
        });
        (self.block.have, self.block.at) = (0, 0);
    }

    /// What comes next. `is_held` tells that no descriptor may be fetched, `limited` that each one
    /// costs a credit, `is_open` that the function may master the bus.
    pub(super) fn step(&self, is_held: bool, limited: bool, is_open: bool) -> Step {
        let Some(chain) = &self.chain else {
            return Step::Rest;
        };
        if chain.is_stuck {
            return Step::Wait;
        }
        if !self.control.contains(Control::RUN) {
            return Step::End;
        }
        if !is_open {
            return Step::Wait;
        }
        let block = &self.block;
        if block.at < block.have {
            return Step::Move(block.descriptors[block.at]);
        }
        let most = if limited { self.credits } else { u32::MAX };
        if is_held || most == 0 {
            return Step::Wait;
        }
        // A request to read the host's memory cannot cross a page.
        let bytes = u64::from(chain.left) * Descriptor::SIZE as u64;
        let aligned = chain.next.is_multiple_of(Descriptor::SIZE as u64);
        if !aligned || chain.next % PAGE + bytes > PAGE {
            return Step::Crossing;
        }
        Step::Fetch(Fetch {
            at: chain.next,
            count: chain.left.min(most).min(BLOCK as u32) as usize,
        })
    }

    /// Takes descriptors that were fetched.
    pub(super) fn fetched(&mut self, fetch: Fetch, descriptors: &[Descriptor], limited: bool) {
        if limited {
            self.credits = self.credits.saturating_sub(fetch.count as u32);
        }
        let Some(chain) = &mut self.chain else {
            return;
        };
        let fetched = &descriptors[..fetch.count];
        self.block.descriptors[..fetch.count].copy_from_slice(fetched);
        (self.block.have, self.block.at) = (fetch.count, 0);
        let left = chain.left.saturating_sub(fetch.count as u32);
        (chain.next, chain.left) = match (left, fetched.last()) {
            // Where the block ends, its last descriptor tells how it goes on.
            (0, Some(last)) => (last.next(), u32::from(last.adjacent()) + 1),
            _ => (fetch.at + (fetch.count * Descriptor::SIZE) as u64, left),
        };
    }

    /// A descriptor was carried out. Returns whether that is to be told by write-back.
    pub(super) fn complete(&mut self, descriptor: &Descriptor, now: impl Fn() -> Duration) -> bool {
        let flags = descriptor.flags();
        self.completed = self.completed.wrapping_add(1);
        self.performance.moved(descriptor.length());
        let stops = flags.contains(DescriptorFlags::STOP);
        if stops {
            self.performance.chain_ended(now, true);
            self.chain = None;
        } else {
            self.block.at += 1;
        }
        if stops && self.control.contains(Control::ON_STOPPED) {
            self.status |= Status::STOPPED;
        }
        let told = flags.contains(DescriptorFlags::COMPLETED)
            && self.control.contains(Control::ON_COMPLETED);
        if told {
            self.status |= Status::COMPLETED;
        }
        told && self.control.contains(Control::WRITE_BACK)
    }

    /// The chain ends in errors. Only those are noted that the host wants to know of. Returns
    /// whether they are to be told by write-back.
    pub(super) fn fail(&mut self, errors: Status, now: impl Fn() -> Duration) -> bool {
        self.performance.chain_ended(now, false);
        self.chain = None;
        let noted = Status::from_bits_retain(errors.bits() & self.control.bits());
        self.status |= noted;
        !noted.is_empty()
            && self
                .control
                .contains(Control::ON_COMPLETED | Control::WRITE_BACK)
    }

    /// The chain ends because the host cleared the run bit.
    pub(super) fn end(&mut self, now: impl Fn() -> Duration) {
        self.performance.chain_ended(now, false);
        self.chain = None;
        self.credits = 0;
        if self.control.contains(Control::ON_IDLE) {
            self.status |= Status::IDLE;
        }
    }

    /// Adds credits, as far as the counter goes.
    pub(super) fn add_credits(&mut self, more: u32) {
        let more = more & sgdma::MOST_CREDITS;
        self.credits = (self.credits + more).min(MOST_OUTSTANDING);
    }

    /// The status register.
    pub(super) fn status(&self) -> Status {
        match self.chain {
            Some(_) => self.status | Status::BUSY,
            None => self.status,
        }
    }

    /// Whether the channel asks for an interrupt.
    pub(super) const fn requests_interrupt(&self) -> bool {
        self.status.bits() & self.interrupt_enable != 0
    }
}

/// Where the counter of credits stops. The guide tells the width of the register that adds and not
/// that of the counter; this is far above what a chain of the public driver needs.
const MOST_OUTSTANDING: u32 = (1 << 16) - 1;
