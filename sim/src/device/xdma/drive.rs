//! Who takes a channel on: a thread of its own, or the access that starts it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use afi_proto::xdma::{Status, WriteBack};

use super::channel::{Channel, ChannelState, Step};
use super::transfer::{Moved, Scratch};
use super::{DmaMode, Engine};
use crate::fault::Kind;

/// How long a thread waits for work before it ends.
const IDLE: Duration = Duration::from_secs(1);
/// Stack of a channel's thread.
const STACK: usize = 256 << 10;
/// Descriptors that one access carries out at most, where there are no threads.
const INLINE_STEPS: u32 = 1 << 16;

/// Why a channel does not go on.
#[derive(Debug, PartialEq, Eq)]
enum Pause {
    /// It has nothing to do.
    Rests,
    /// It waits for something, or its share of steps is used up.
    Waits,
}

impl Engine {
    /// A channel may have work now; with its lock held.
    pub(super) fn take_on(self: &Arc<Self>, at: usize, state: &mut ChannelState) {
        let Some(channel) = self.channels.get(at) else {
            return;
        };
        if state.chain.is_none() {
            return;
        }
        if self.config.dma == DmaMode::Inline {
            self.note_inline_work(at);
            return;
        }
        channel.wake.notify_all();
        if state.is_driven {
            return;
        }
        let engine = Arc::clone(self);
        let name = format!("{}{}", channel.direction, channel.number);
        let thread = thread::Builder::new().name(name).stack_size(STACK);
        match thread.spawn(move || engine.work(at)) {
            Ok(_) => state.is_driven = true,
            // The channel stays busy, and the host's deadline ends the wait; the next start tries
            // again.
            Err(error) => tracing::error!(%error, "no thread for a DMA channel"),
        }
    }

    /// Does the work that waits, where the accesses of registers have to: with no lock held.
    pub(in crate::device) fn work_inline(&self) {
        if self.inline_work.load(Ordering::Acquire) == 0 {
            return;
        }
        let waiting = self.inline_work.swap(0, Ordering::AcqRel);
        for (at, channel) in self.channels.iter().enumerate() {
            if waiting & 1 << at == 0 {
                continue;
            }
            let mut state = channel.lock();
            if state.is_driven {
                // Another access is at it; it sees what changed.
                continue;
            }
            state.is_driven = true;
            drop(state);
            let pause = self.drive(at, channel, &mut Scratch::default(), INLINE_STEPS);
            if pause == Pause::Waits {
                self.note_inline_work(at);
            }
            channel.lock().is_driven = false;
        }
    }

    /// The thread of a channel.
    fn work(&self, at: usize) {
        let Some(channel) = self.channels.get(at) else {
            return;
        };
        let mut scratch = Scratch::default();
        loop {
            let pause = self.drive(at, channel, &mut scratch, u32::MAX);
            let mut state = channel.lock();
            if self.ended.load(Ordering::Acquire) {
                state.is_driven = false;
                return;
            }
            if !matches!(self.next_step(channel, &state), Step::Rest | Step::Wait) {
                continue;
            }
            if pause == Pause::Waits {
                drop(channel.wake.wait(state));
                continue;
            }
            let waited = channel.wake.wait_timeout(state, IDLE);
            let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() && state.chain.is_none() {
                state.is_driven = false;
                return;
            }
        }
    }

    /// Takes a channel on until it pauses, or so many steps were made.
    fn drive(&self, at: usize, channel: &Channel, scratch: &mut Scratch, steps: u32) -> Pause {
        let mut state = channel.lock();
        for _ in 0..steps {
            if self.ended.load(Ordering::Acquire) {
                return Pause::Rests;
            }
            let epoch = channel.epoch();
            match self.next_step(channel, &state) {
                Step::Rest => return Pause::Rests,
                Step::Wait => return Pause::Waits,
                Step::End => {
                    state.end(|| self.now());
                    scratch.moved = 0;
                }
                Step::Crossing => {
                    let errors = Status::DESCRIPTOR_UNSUPPORTED;
                    self.fail(channel, &mut state, errors);
                }
                Step::Fetch(fetch) => {
                    drop(state);
                    let fetched = self.fetch(channel, epoch, fetch, scratch);
                    state = channel.lock();
                    match fetched {
                        _ if channel.epoch() != epoch => {}
                        Moved::All => {
                            let limited = self.is_limited(channel);
                            state.fetched(fetch, &scratch.descriptors, limited);
                        }
                        Moved::Void => {}
                        Moved::Failed(errors) => self.fail(channel, &mut state, errors),
                    }
                }
                Step::Move(descriptor) => {
                    if let Some(milliseconds) = self.strikes(Kind::DmaSlow)
                        && self.config.dma == DmaMode::Threads
                    {
                        state = self.dawdle(channel, state, milliseconds);
                    }
                    let control = state.control;
                    drop(state);
                    let moved = self.carry_out(channel, epoch, control, &descriptor, scratch);
                    state = channel.lock();
                    match moved {
                        _ if channel.epoch() != epoch => {}
                        Moved::All => {
                            if state.complete(&descriptor, || self.now()) {
                                self.write_back(channel, &state);
                            }
                        }
                        Moved::Void => continue,
                        Moved::Failed(errors) => self.fail(channel, &mut state, errors),
                    }
                    scratch.moved = 0;
                }
            }
            if self.note_request(at, &state) {
                drop(state);
                self.tell_interrupt();
                state = channel.lock();
            }
        }
        Pause::Waits
    }

    fn next_step(&self, channel: &Channel, state: &ChannelState) -> Step {
        let (held, limited) = (self.is_halted(channel), self.is_limited(channel));
        state.step(held, limited, self.gate.is_open())
    }

    /// Waits before a descriptor, as a slow card would; a host that stops the channel ends the wait.
    fn dawdle<'a>(
        &self,
        channel: &'a Channel,
        state: std::sync::MutexGuard<'a, ChannelState>,
        milliseconds: i64,
    ) -> std::sync::MutexGuard<'a, ChannelState> {
        let time = Duration::from_millis(milliseconds.try_into().unwrap_or(0));
        let goes_on = |state: &mut ChannelState| {
            !self.ended.load(Ordering::Acquire)
                && matches!(self.next_step(channel, state), Step::Move(_))
        };
        let waited = channel.wake.wait_timeout_while(state, time, goes_on);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn fail(&self, channel: &Channel, state: &mut ChannelState, errors: Status) {
        let (direction, number) = (channel.direction, channel.number);
        tracing::debug!(%direction, number, ?errors, "a transfer ends in an error");
        if state.fail(errors, || self.now()) {
            self.write_back(channel, state);
        }
    }

    /// Tells completions in host memory: after the data, and before any register shows them.
    fn write_back(&self, channel: &Channel, state: &ChannelState) {
        if self.strikes(Kind::DmaWriteBackLost).is_some() {
            return;
        }
        let told = WriteBack {
            completed: state.completed,
            error: state.status.intersects(Status::ERRORS),
        };
        let paths = self.gate.pass();
        let Some(host) = paths.host.as_deref().filter(|_| paths.bus_master) else {
            return;
        };
        // The host watches a word, and a word is aligned.
        if let Err(error) = host.dma_store(state.write_back & !0b11, told.bits()) {
            let (direction, number) = (channel.direction, channel.number);
            tracing::debug!(%direction, number, %error, "a write-back is lost");
        }
    }

    /// Sends the interrupts that are requested, with no lock held.
    fn tell_interrupt(&self) {
        if let Some(card) = self.card.upgrade() {
            card.hold().release_interrupts();
        }
    }
}
