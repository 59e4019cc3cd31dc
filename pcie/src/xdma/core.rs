//! A channel from the inside: what was given to it, what it has done.
//!
//! On the way of a submission there is no allocation and no read of a register: the descriptors are
//! written to the ring, and one register tells the engine how many there are (credits). Completions
//! are seen in a word of host memory.

use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use afi_proto::xdma::{Control, Descriptor, DescriptorFlags, PAGE, Status, WriteBack, sgdma};

use super::channel::{ChannelOptions, Completion, Submission};
use super::completion::Event;
use super::count::{Counter, Impossible};
use super::engine::{Shared, TakenChannel};
use super::error::{ChannelId, DmaError, OpenError};
use super::failure::Cause;
use super::flight::{Flight, Kept, Place};
use super::ports::{Ports, masters_bus};
use super::recovery::stop;
use super::ring::{Ring, Written};
use super::scatter::Piece;
use super::state::{State, WRITE_BACK};
use crate::deadline::Ended;

/// A channel, shared by its owner and its transfers.
pub(super) struct Core {
    pub(super) id: ChannelId,
    pub(super) options: ChannelOptions,
    pub(super) event: Option<Event>,
    /// Threads that sleep until the event comes.
    pub(super) sleepers: AtomicU32,
    ports: Ports,
    state: Mutex<State>,
    taken: TakenChannel,
}

impl Core {
    pub(super) fn open(
        taken: TakenChannel,
        options: ChannelOptions,
    ) -> Result<Arc<Self>, OpenError> {
        let id = taken.channel;
        options.check(id)?;
        let length = PAGE + u64::from(options.descriptors) * Descriptor::SIZE as u64;
        let named = crate::dma::BufferOptions {
            name: "afi-xdma-ring",
            pages: Some(crate::PageSize::Plain),
            ..Default::default()
        };
        let failed = |source| OpenError::Memory {
            channel: id,
            source,
        };
        let memory = taken
            .engine
            .space
            .buffer_with(length, named)
            .map_err(failed)?;
        let mapping = memory.memory().map_err(failed)?.mapping().clone();
        let address = memory.bus_address() + PAGE;
        let event = match options.completion {
            Completion::Poll => None,
            Completion::Interrupt => Some(Event::open(taken.engine.space.function(), id)?),
        };
        let state = State {
            ring: Ring::new(mapping.clone(), PAGE, address, options.descriptors),
            write_back: mapping,
            memory,
            flight: Flight::new(options.in_flight),
            submission: Submission::Credits,
            running: None,
            seen: 0,
            counter: Counter::default(),
            given: 0,
            completed: 0,
            chain_runs: false,
            errors: Status::empty(),
        };
        let core = Self {
            id,
            options,
            event,
            sleepers: AtomicU32::new(0),
            ports: Ports::new(taken.engine.bar.clone(), id),
            state: Mutex::new(state),
            taken,
        };
        let started = core.start(&mut core.lock());
        started.map_err(|source| OpenError::Start {
            channel: id,
            source,
        })?;
        Ok(Arc::new(core))
    }

    pub(super) fn submission(&self) -> Submission {
        self.lock().submission
    }

    /// Makes ready for a transfer of so many descriptors.
    #[inline]
    pub(super) fn prepare(&self, descriptors: usize) -> Result<Prepared<'_>, DmaError> {
        let mut state = self.lock();
        if state.running != Some(self.engine().resets()) {
            self.restart(&mut state)?;
        }
        let most = state.ring.capacity();
        let count = u32::try_from(descriptors)
            .ok()
            .filter(|count| *count <= most);
        let count = count.ok_or(DmaError::TooLong {
            channel: self.id,
            descriptors,
            most,
        })?;
        if !state.flight.has_room() || state.ring.room() < count {
            self.reap(&mut state);
            if state.running.is_none() {
                self.restart(&mut state)?;
            }
            if !state.flight.has_room() || state.ring.room() < count {
                return Err(DmaError::Full {
                    channel: self.id,
                    in_flight: state.flight.taken(),
                });
            }
        }
        Ok(Prepared {
            core: self,
            state,
            count,
        })
    }

    /// Looks at the write-back, and tells whether a transfer is done. Reads no register.
    #[inline]
    pub(super) fn is_done(&self, place: Place) -> bool {
        let mut state = self.lock();
        if !state.flight.is_done(place) {
            self.reap(&mut state);
        }
        state.flight.is_done(place)
    }

    /// The same, and tells a waker if not.
    #[cfg(feature = "tokio")]
    pub(super) fn is_done_or_wakes(&self, place: Place, waker: &std::task::Waker) -> bool {
        let mut state = self.lock();
        self.reap(&mut state);
        let done = state.flight.is_done(place);
        if !done {
            state.flight.set_waker(place, waker);
        }
        done
    }

    /// Takes a transfer that is done.
    pub(super) fn collect(&self, place: Place) -> Option<(Result<(), DmaError>, Option<Kept>)> {
        self.lock().flight.collect(place)
    }

    /// Nobody will collect a transfer. It goes on; what it keeps is freed when it is done.
    pub(super) fn abandon(&self, place: Place) {
        self.lock().flight.abandon(place);
    }

    /// Has the next completion interrupt, and sees what was completed before: one read.
    pub(super) fn arm(&self) {
        let mut state = self.lock();
        let seen = self.ports.take_status().and_then(|status| {
            // The register has forgotten them.
            state.errors |= status & Status::ERRORS;
            self.errors(status)
        });
        self.see(&mut state, seen);
    }

    /// Looks at the channel's registers: for what is not told in memory.
    pub(super) fn look(&self) {
        let mut state = self.lock();
        let seen = self.look_at_registers(&state);
        self.see(&mut state, seen);
        self.count_by_register(&mut state);
    }

    /// Counts what was completed and is not told by write-back: that is a write which can be lost.
    fn count_by_register(&self, state: &mut State) {
        if state.running.is_none() || state.flight.is_idle() {
            return;
        }
        // Without credits the write-back of one chain must not come in the next: a chain is over
        // when the channel is idle.
        let is_over = || {
            self.ports
                .status()
                .map(|status| !status.contains(Status::BUSY))
        };
        let counts = state.submission == Submission::Credits || is_over().unwrap_or(false);
        if let Ok(completed) = self.ports.completed()
            && counts
        {
            let counted = state.count_register(completed);
            self.counted(state, counted);
        }
    }

    /// Takes what the registers told, after they were read: what the device wrote before is in
    /// memory by then.
    fn see(&self, state: &mut State, seen: Result<(), DmaError>) {
        self.reap(state);
        if state.running.is_some()
            && !state.flight.is_idle()
            && let Err(error) = seen
        {
            self.fail(state, &Cause::Current(error));
        }
    }

    /// Ends a transfer that is not done: the channel is stopped, and everything on it ends.
    pub(super) fn give_up(&self, place: Place, source: Ended) {
        let mut state = self.lock();
        self.reap(&mut state);
        if state.flight.is_done(place) {
            return;
        }
        let ended = DmaError::Ended {
            channel: self.id,
            source,
        };
        // What is wrong, if something is, says more than that the time is up.
        let error = self.look_at_registers(&state).err().unwrap_or(ended);
        self.fail(&mut state, &Cause::Ended(place, error));
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn engine(&self) -> &Shared {
        &self.taken.engine
    }

    pub(super) const fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Starts a channel that was stopped.
    #[cold]
    fn restart(&self, state: &mut State) -> Result<(), DmaError> {
        if state.running.is_some() {
            self.fail(state, &Cause::Reset);
        }
        self.start(state)
    }

    /// Tells the engine of what was written last.
    #[inline]
    fn tell(&self, state: &mut State, written: Written) -> Result<(), DmaError> {
        // The descriptors, and what the caller put into the buffers, before the register.
        fence(Ordering::Release);
        match state.submission {
            Submission::Credits => self.ports.add_credits(written.count),
            Submission::Chain { .. } if state.chain_runs => Ok(()),
            Submission::Chain { .. } => self.start_chain(state, written),
        }
    }

    /// Starts a chain: four writes.
    fn start_chain(&self, state: &mut State, written: Written) -> Result<(), DmaError> {
        state.clear_write_back(self)?;
        fence(Ordering::Release);
        // The ring lies in one block of its size, so the high half is that of the start.
        self.ports.set_control(Self::control())?;
        self.ports.set_first_low(written.first)?;
        self.ports.set_first_adjacent(written.adjacent)?;
        self.ports.set_control(Self::control() | Control::RUN)?;
        state.chain_runs = true;
        Ok(())
    }

    /// Looks at the write-back, and finishes what it tells of.
    #[inline]
    fn reap(&self, state: &mut State) {
        let Some(resets) = state.running else {
            return;
        };
        if resets != self.engine().resets() {
            self.fail(state, &Cause::Reset);
            return;
        }
        let Ok(word) = state.write_back.load::<u32>(WRITE_BACK) else {
            return;
        };
        if word != state.seen {
            self.advance(state, word);
        }
    }

    /// Finishes what a new write-back tells of.
    fn advance(&self, state: &mut State, word: u32) {
        // What the device wrote before the write-back is read after it.
        fence(Ordering::Acquire);
        let told = WriteBack::from_bits(word);
        state.seen = word;
        let counted = state.count_write_back(told.completed);
        if self.counted(state, counted) && told.error {
            let error = DmaError::Engine {
                channel: self.id,
                status: Status::empty(),
            };
            self.fail(state, &Cause::Current(error));
        }
    }

    /// Goes on after a count. Tells whether it could be.
    fn counted(&self, state: &mut State, counted: Result<usize, Impossible>) -> bool {
        let finished = match counted {
            Ok(finished) => finished,
            Err(Impossible { counted, given }) => {
                let error = DmaError::Count {
                    channel: self.id,
                    counted,
                    given,
                };
                self.fail(state, &Cause::Current(error));
                return false;
            }
        };
        if finished > 0
            && self.sleepers.load(Ordering::Relaxed) > 0
            && let Some(event) = &self.event
        {
            // Whoever took the interrupt may have taken it from one that it finished.
            event.pass_on();
        }
        if state.chain_runs && finished > 0 && WriteBack::from_bits(state.seen).error {
            // A chain that ends in an error does not lead to the next one.
            state.chain_runs = false;
        } else if state.chain_runs && finished > 0 {
            self.start_next_chain(state);
        }
        true
    }

    /// Without credits, when a chain is done: a chain is a transfer.
    fn start_next_chain(&self, state: &mut State) {
        state.chain_runs = false;
        let Some((_, written, _)) = state.flight.oldest() else {
            return;
        };
        if let Err(error) = self.start_chain(state, written) {
            self.fail(state, &Cause::Current(error));
        }
    }

    /// What the registers tell that the write-back does not.
    fn look_at_registers(&self, state: &State) -> Result<(), DmaError> {
        let channel = self.id;
        self.ports.identify()?;
        self.errors(self.ports.status()? | state.errors)?;
        if !masters_bus(self.engine().space.function().as_ref(), channel)? {
            return Err(DmaError::BusMasteringOff { channel });
        }
        if !self.ports.control()?.contains(Control::RUN) {
            return Err(DmaError::Stopped { channel });
        }
        Ok(())
    }

    fn errors(&self, status: Status) -> Result<(), DmaError> {
        if !status.intersects(Status::ERRORS) {
            return Ok(());
        }
        Err(DmaError::Engine {
            channel: self.id,
            status: status & Status::ERRORS,
        })
    }
}

impl Drop for Core {
    /// The channel stops before its memory and what its transfers keep are freed.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(resets) = state.running.take() else {
            return;
        };
        if resets == self.taken.engine.resets() {
            let reach = stop(&self.taken.engine, &self.ports, self.id, resets);
            tracing::debug!(channel = %self.id, ?reach, "closed");
        }
        if let Err(error) = self.ports.let_out(false) {
            tracing::debug!(channel = %self.id, %error, "its interrupt stays on");
        }
    }
}

/// Room for a transfer, on a channel that nobody else uses meanwhile.
pub(super) struct Prepared<'a> {
    core: &'a Core,
    state: MutexGuard<'a, State>,
    count: u32,
}

impl Prepared<'_> {
    /// Writes its descriptors.
    #[inline]
    pub(super) fn write(&mut self, pieces: impl Iterator<Item = Piece>) -> Written {
        let last = match self.state.submission {
            Submission::Credits => DescriptorFlags::COMPLETED,
            Submission::Chain { .. } => DescriptorFlags::COMPLETED | DescriptorFlags::STOP,
        };
        let direction = self.core.id.direction;
        self.state.ring.write(pieces, self.count, direction, last)
    }

    /// Tells the engine of them. What goes wrong here is the transfer's outcome.
    #[inline]
    pub(super) fn go(mut self, kept: Kept, written: Written) -> Place {
        let state = &mut *self.state;
        state.given += u64::from(written.count);
        let place = state.flight.start(kept, written, state.given);
        if let Err(error) = self.core.tell(state, written) {
            self.core.fail(state, &Cause::Current(error));
        }
        place
    }
}

/// The most descriptors of a ring: one write of credits covers a whole ring, and the engine's count
/// of credits holds it.
pub(super) const MOST_DESCRIPTORS: u32 = sgdma::MOST_CREDITS + 1;
