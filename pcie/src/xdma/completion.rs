//! How a completion is waited for: a short spin, then turns for others, then sleep until an
//! interrupt, or for pauses that grow.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::core::Core;
use super::error::{ChannelId, OpenError};
use super::flight::Place;
use super::ports::vector;
use crate::bus::Function;
use crate::deadline::{Deadline, Ended};

/// Looks without a look at the clock: a device in the same process is done at the first one.
const FREE_LOOKS: u32 = 16;
/// How long to spin. A transfer of 4 KiB takes about this long on F1.
const SPIN: Duration = Duration::from_micros(5);
/// How long to give turns to others between looks. To sleep and be woken costs as much.
const YIELD: Duration = Duration::from_micros(50);
/// The first pause of a channel without interrupts, and the longest.
const FIRST_PAUSE: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);
/// How long cancellation, or a device that went without a word, may go unseen while an interrupt is
/// waited for.
pub(super) const SLICE: Duration = Duration::from_millis(20);

/// The interrupt of a channel: an eventfd.
#[derive(Debug)]
pub(super) struct Event(OwnedFd);

impl Event {
    pub(super) fn open(function: &Arc<dyn Function>, id: ChannelId) -> Result<Self, OpenError> {
        let event = function.msix(vector(id));
        event.map(Self).map_err(|source| OpenError::Function {
            bdf: id.bdf,
            source,
        })
    }

    /// Sleeps until it comes or the time is up, and takes it. Tells whether it came.
    fn sleep(&self, time: Duration) -> bool {
        let time =
            PollTimeout::try_from(time + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        // An interrupted call is a look too early, no more.
        let came = poll(&mut polled, time).is_ok_and(|ready| ready > 0);
        if came {
            self.take();
        }
        came
    }

    /// Takes it, if it came.
    pub(super) fn take(&self) {
        // Another thread may have taken it: then there is nothing to read.
        let _ = nix::unistd::read(&self.0, &mut [0; 8]);
    }

    /// Lets it come for others who sleep.
    pub(super) fn pass_on(&self) {
        // Fails when it has come very often and nobody took it: then it is there already.
        let _ = nix::unistd::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Core {
    /// Waits until a transfer is done.
    pub(super) fn wait(&self, place: Place, deadline: &Deadline) -> Result<(), Ended> {
        for _ in 0..FREE_LOOKS {
            if self.is_done(place) {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        let began = Instant::now();
        loop {
            if self.is_done(place) {
                return Ok(());
            }
            deadline.check()?;
            match began.elapsed() {
                waited if waited < SPIN => std::hint::spin_loop(),
                waited if waited < YIELD => std::thread::yield_now(),
                _ => break,
            }
        }
        match &self.event {
            Some(event) => self.wait_for_event(place, event, deadline),
            None => self.wait_in_pauses(place, deadline),
        }
    }

    fn wait_in_pauses(&self, place: Place, deadline: &Deadline) -> Result<(), Ended> {
        let mut pause = FIRST_PAUSE;
        loop {
            deadline.pause(pause)?;
            if self.is_done(place) {
                return Ok(());
            }
            if pause == LONGEST_PAUSE {
                self.look();
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn wait_for_event(
        &self,
        place: Place,
        event: &Event,
        deadline: &Deadline,
    ) -> Result<(), Ended> {
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        let waited = loop {
            // First armed, then looked: what is completed in between interrupts.
            self.arm();
            if self.is_done(place) {
                break Ok(());
            }
            if let Err(ended) = deadline.check() {
                break Err(ended);
            }
            if !event.sleep(deadline.remaining().min(SLICE)) {
                self.look();
            }
        };
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
        waited
    }
}
