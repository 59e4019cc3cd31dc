//! Transfers that are awaited (feature `tokio`).
//!
//! A future that is dropped leaves its transfer under way, as a [`Transfer`] that is dropped does:
//! what was given to it is freed when the device cannot touch it any more.

use std::future::{Future as _, poll_fn};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::completion::{Event, SLICE};
use super::core::Core;
use super::error::Failed;
use super::flight::Place;
use super::stripe::{StripedTransfer, settle};
use super::transfer::{Payload, Transfer};
use crate::deadline::Ended;
use crate::{Deadline, DmaBuffer};

/// Turns that other tasks get before this one sleeps: most small transfers are done by then.
const TURNS: u32 = 16;
/// Time between looks on a channel without interrupts: tokio's timer knows no less.
const PAUSE: Duration = Duration::from_millis(1);

impl<P: Payload> Transfer<P> {
    /// As [`Transfer::wait`], for a task of tokio, with its timer and, for a channel with
    /// interrupts, its I/O driver enabled.
    ///
    /// # Errors
    /// As [`Transfer::wait`].
    ///
    /// # Panics
    /// Outside a runtime of tokio, or in one without timer or I/O.
    pub async fn done(mut self, deadline: &Deadline) -> Result<P, Failed<P>> {
        if let (core, Some(place)) = self.parts()
            && let Err(ended) = done(core, place, deadline).await
        {
            give_up(Arc::clone(core), place, ended).await;
        }
        self.outcome()
    }
}

impl StripedTransfer {
    /// As [`StripedTransfer::wait`], for a task of tokio; see [`Transfer::done`].
    ///
    /// # Errors
    /// As [`StripedTransfer::wait`].
    ///
    /// # Panics
    /// As [`Transfer::done`].
    pub async fn done(self, deadline: &Deadline) -> Result<DmaBuffer, Failed<DmaBuffer>> {
        let (parts, buffer, refused) = self.into_parts();
        let mut outcomes = [const { None }; 4];
        for (outcome, part) in outcomes.iter_mut().zip(parts) {
            if let Some(part) = part {
                *outcome = Some(part.done(deadline).await);
            }
        }
        settle(buffer, refused, outcomes.into_iter().flatten())
    }
}

async fn done(core: &Arc<Core>, place: Place, deadline: &Deadline) -> Result<(), Ended> {
    for _ in 0..TURNS {
        if core.is_done(place) {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
    let event = core.event.as_ref().and_then(|event| {
        watch(event)
            .inspect_err(|error| tracing::debug!(%error, "looks instead of interrupts"))
            .ok()
    });
    let slice = if event.is_some() { SLICE } else { PAUSE };
    loop {
        // First armed, then looked: what is completed in between interrupts.
        if event.is_some() {
            core.arm();
        }
        if core.is_done(place) {
            return Ok(());
        }
        deadline.check()?;
        let mut pause = pin!(tokio::time::sleep(deadline.remaining().min(slice)));
        let woken = poll_fn(|context| {
            if core.is_done_or_wakes(place, context.waker()) {
                return Poll::Ready(true);
            }
            if let Some(event) = &event
                && let Poll::Ready(Ok(mut ready)) = event.poll_read_ready(context)
            {
                ready.clear_ready();
                if let Some(event) = &core.event {
                    event.take();
                }
                return Poll::Ready(true);
            }
            pause.as_mut().poll(context).map(|()| false)
        });
        if !woken.await {
            core.look();
        }
    }
}

/// A registration of its own with the runtime, for as long as the future waits.
#[expect(
    deprecated,
    reason = "unsound for types that lie about their descriptor only, and its successor is unsafe"
)]
fn watch(event: &Event) -> io::Result<AsyncFd<OwnedFd>> {
    let descriptor = event.as_fd().try_clone_to_owned()?;
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

/// Stops a channel where it may take its time.
async fn give_up(core: Arc<Core>, place: Place, ended: Ended) {
    let stopped = tokio::task::spawn_blocking(move || core.give_up(place, ended)).await;
    stopped.expect("to stop a channel does not panic, and a blocking task is not cancelled");
}
