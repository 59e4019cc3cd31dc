//! The transfers of a channel: which are under way, which are done and not yet collected.
//!
//! All places are made when the channel is opened, so that a transfer allocates nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use super::error::DmaError;
use super::ring::Written;
use super::scatter::ScatterList;
use crate::dma::{DmaBuffer, Held};

/// What is kept for a transfer until the device cannot touch it any more. Dropping it unmaps it.
pub(super) enum Kept {
    /// The caller's buffer.
    Buffer(DmaBuffer),
    /// The caller's list.
    List(ScatterList),
    /// A share of a buffer that several transfers move together.
    Part {
        /// Kept for its drop.
        _held: Arc<Held>,
    },
}

/// The same, for [`Payload`](super::transfer::Payload) to take its own out of.
pub struct KeptPayload(pub(super) Kept);

/// The number of a place.
pub(super) type Place = u16;

/// The transfers of a channel.
pub(super) struct Flight {
    entries: Box<[Entry]>,
    free: Vec<Place>,
    /// Under way, the oldest first.
    order: VecDeque<Place>,
}

struct Entry {
    stage: Stage,
    kept: Option<Kept>,
    /// Nobody will collect it.
    abandoned: bool,
    waker: Option<Waker>,
    written: Written,
    /// Descriptors given to the channel, this transfer's included, since it was started.
    end: u64,
}

enum Stage {
    Free,
    UnderWay,
    Done(Result<(), DmaError>),
}

impl Flight {
    pub(super) fn new(places: Place) -> Self {
        let nothing = Written {
            first: 0,
            adjacent: 0,
            count: 0,
        };
        let entry = || Entry {
            stage: Stage::Free,
            kept: None,
            abandoned: false,
            waker: None,
            written: nothing,
            end: 0,
        };
        Self {
            entries: (0..places).map(|_| entry()).collect(),
            free: (0..places).rev().collect(),
            order: VecDeque::with_capacity(places.into()),
        }
    }

    /// Places that are taken.
    pub(super) fn taken(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether a place is free.
    pub(super) const fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Whether something is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.order.is_empty()
    }

    /// Notes a transfer as under way; there must be room.
    pub(super) fn start(&mut self, kept: Kept, written: Written, end: u64) -> Place {
        let place = self.free.pop().expect("the caller looked for room");
        self.order.push_back(place);
        let entry = &mut self.entries[usize::from(place)];
        entry.stage = Stage::UnderWay;
        entry.kept = Some(kept);
        entry.written = written;
        entry.end = end;
        place
    }

    /// The oldest that is under way: its place, its descriptors, and where they end.
    pub(super) fn oldest(&self) -> Option<(Place, Written, u64)> {
        let place = *self.order.front()?;
        let entry = &self.entries[usize::from(place)];
        Some((place, entry.written, entry.end))
    }

    /// The oldest is done, with this outcome. What nobody waits for is dropped here.
    pub(super) fn finish_oldest(&mut self, outcome: Result<(), DmaError>) {
        let Some(place) = self.order.pop_front() else {
            return;
        };
        let entry = &mut self.entries[usize::from(place)];
        if entry.abandoned {
            self.clear(place);
            return;
        }
        entry.stage = Stage::Done(outcome);
        if let Some(waker) = entry.waker.take() {
            waker.wake();
        }
    }

    /// Drops what the oldest keeps, because the device could not be kept from it in another way.
    pub(super) fn give_up_oldest(&mut self) {
        if let Some(place) = self.order.front() {
            self.entries[usize::from(*place)].kept = None;
        }
    }

    /// Whether a transfer is done.
    pub(super) fn is_done(&self, place: Place) -> bool {
        matches!(self.entries[usize::from(place)].stage, Stage::Done(_))
    }

    /// Takes the outcome of a transfer that is done and what it kept, and frees its place. `None`
    /// while it is under way.
    pub(super) fn collect(&mut self, place: Place) -> Option<(Result<(), DmaError>, Option<Kept>)> {
        if !self.is_done(place) {
            return None;
        }
        let entry = &mut self.entries[usize::from(place)];
        let Stage::Done(outcome) = std::mem::replace(&mut entry.stage, Stage::Free) else {
            return None;
        };
        let kept = entry.kept.take();
        self.clear(place);
        Some((outcome, kept))
    }

    /// Nobody will collect a transfer. What it keeps stays kept while it is under way.
    pub(super) fn abandon(&mut self, place: Place) {
        let entry = &mut self.entries[usize::from(place)];
        entry.waker = None;
        match entry.stage {
            Stage::Free => {}
            Stage::UnderWay => entry.abandoned = true,
            Stage::Done(_) => self.clear(place),
        }
    }

    /// Who is told when a transfer is done.
    #[cfg(feature = "tokio")]
    pub(super) fn set_waker(&mut self, place: Place, waker: &Waker) {
        let entry = &mut self.entries[usize::from(place)];
        match &mut entry.waker {
            Some(held) => held.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    fn clear(&mut self, place: Place) {
        let entry = &mut self.entries[usize::from(place)];
        entry.stage = Stage::Free;
        entry.kept = None;
        entry.abandoned = false;
        entry.waker = None;
        self.free.push(place);
    }
}
