//! A transfer that is under way.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::channel::Part;
use super::core::Core;
use super::error::{ChannelId, Failed};
use super::flight::{Kept, KeptPayload, Place};
use super::scatter::ScatterList;
use crate::deadline::Ended;
use crate::{Deadline, DmaBuffer};

/// What is given to a transfer and comes back: a [`DmaBuffer`] or a [`ScatterList`].
pub trait Payload: private::Sealed + Send + Sized + 'static {}

mod private {
    use super::super::flight::KeptPayload;

    pub trait Sealed {
        /// The caller's, out of what was kept of it.
        fn from_kept(kept: KeptPayload) -> Option<Self>
        where
            Self: Sized;
    }
}

impl private::Sealed for DmaBuffer {
    fn from_kept(kept: KeptPayload) -> Option<Self> {
        match kept.0 {
            Kept::Buffer(buffer) => Some(buffer),
            Kept::List(_) | Kept::Part { .. } => None,
        }
    }
}

impl private::Sealed for ScatterList {
    fn from_kept(kept: KeptPayload) -> Option<Self> {
        match kept.0 {
            Kept::List(list) => Some(list),
            Kept::Buffer(_) | Kept::Part { .. } => None,
        }
    }
}

impl private::Sealed for Part {
    fn from_kept(kept: KeptPayload) -> Option<Self> {
        matches!(kept.0, Kept::Part { .. }).then_some(Self)
    }
}

impl Payload for DmaBuffer {}
impl Payload for ScatterList {}
impl Payload for Part {}

/// A transfer that is under way, or done and not yet waited for.
///
/// Dropping it does not stop it: it goes on, and what was given to it is freed when it is done.
#[must_use = "what was given to the transfer comes back when it is waited for"]
pub struct Transfer<P: Payload> {
    core: Arc<Core>,
    /// `None` once it was collected.
    place: Option<Place>,
    payload: PhantomData<fn() -> P>,
}

impl<P: Payload> Transfer<P> {
    #[inline]
    pub(super) const fn new(core: Arc<Core>, place: Place) -> Self {
        Self {
            core,
            place: Some(place),
            payload: PhantomData,
        }
    }

    /// The channel that it is on.
    pub fn channel(&self) -> ChannelId {
        self.core.id
    }

    /// Whether it is done, well or not. Looks at host memory and reads no register: that a device
    /// went away without a word is seen by [`Self::wait`] only.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.place.is_none_or(|place| self.core.is_done(place))
    }

    /// Its outcome if it is done, itself if not.
    ///
    /// # Errors
    /// As [`Self::is_done`]: the transfer itself while it is under way.
    #[inline]
    pub fn try_complete(mut self) -> Result<Result<P, Failed<P>>, Self> {
        if !self.is_done() {
            return Err(self);
        }
        match self.collect() {
            Some(outcome) => Ok(outcome),
            None => Err(self),
        }
    }

    /// Waits until it is done, and gives back what was given to it.
    ///
    /// When the deadline comes first, the channel is stopped, which takes
    /// [`STOP_WITHIN`](super::STOP_WITHIN) more at most, and a reset of the function where that is
    /// not enough. To only look for a while, use [`Self::wait_for`].
    ///
    /// # Errors
    /// When it failed, or not all of it took place before the deadline.
    #[inline]
    pub fn wait(mut self, deadline: &Deadline) -> Result<P, Failed<P>> {
        if let Err(ended) = self.wait_for(deadline) {
            self.give_up(ended);
        }
        self.outcome()
    }

    /// Waits until it is done, and leaves it under way when it is not before the deadline.
    ///
    /// # Errors
    /// When the deadline ends the wait.
    #[inline]
    pub fn wait_for(&self, deadline: &Deadline) -> Result<(), Ended> {
        self.place
            .map_or(Ok(()), |place| self.core.wait(place, deadline))
    }

    /// Stops the channel unless it is done, and gives back what was given to it.
    ///
    /// # Errors
    /// When not all of it took place.
    pub fn abort(mut self) -> Result<P, Failed<P>> {
        self.give_up(Ended::Cancelled);
        self.outcome()
    }

    pub(super) fn give_up(&self, ended: Ended) {
        if let Some(place) = self.place {
            self.core.give_up(place, ended);
        }
    }

    /// The outcome of one that is done.
    pub(super) fn outcome(&mut self) -> Result<P, Failed<P>> {
        self.collect()
            .expect("a transfer that was waited for or given up is done")
    }

    #[cfg(feature = "tokio")]
    pub(super) const fn parts(&self) -> (&Arc<Core>, Option<Place>) {
        (&self.core, self.place)
    }

    #[inline]
    fn collect(&mut self) -> Option<Result<P, Failed<P>>> {
        let (outcome, kept) = self.core.collect(self.place?)?;
        self.place = None;
        let payload = kept.and_then(|kept| P::from_kept(KeptPayload(kept)));
        Some(match (outcome, payload) {
            (Ok(()), Some(payload)) => Ok(payload),
            (Err(error), payload) => Err(Failed { error, payload }),
            // Only an outcome of `Unstoppable` comes without what was kept.
            (Ok(()), None) => {
                unreachable!("a transfer keeps what was given to it until it is done")
            }
        })
    }
}

impl<P: Payload> Drop for Transfer<P> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.core.abandon(place);
        }
    }
}

impl<P: Payload> fmt::Debug for Transfer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transfer({})", self.core.id)
    }
}
