//! How long a wait may last, and who may end it sooner.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Lets one part of a program end the waits of another, on Ctrl-C for example. Clones share the
/// flag.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Ends every wait that has this token, at its next look.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The flag itself, for a signal handler to set.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

/// The end of a wait: a point in time, and a token that can bring it forward.
#[derive(Debug, Clone)]
pub struct Deadline {
    started: Instant,
    allowed: Duration,
    cancel: Cancel,
}

/// Why a wait ended without what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The time was up.
    #[error("not done after {}", human(*after))]
    TimedOut {
        /// The time that was allowed.
        after: Duration,
    },
    /// The caller did not want to wait any more.
    #[error("interrupted")]
    Cancelled,
}

/// A duration as a person writes it: `1.5 s`, `20 ms`.
fn human(duration: Duration) -> String {
    if duration >= Duration::from_secs(1) {
        format!("{} s", (duration.as_secs_f64() * 10.0).round() / 10.0)
    } else {
        format!("{} ms", duration.as_millis())
    }
}

impl Deadline {
    /// This much time from now.
    pub fn after(allowed: Duration) -> Self {
        Self {
            started: Instant::now(),
            allowed,
            cancel: Cancel::default(),
        }
    }

    /// The same, and the token can end it sooner.
    pub fn with_cancel(self, cancel: &Cancel) -> Self {
        Self {
            cancel: cancel.clone(),
            ..self
        }
    }

    /// A deadline no later than this one, at most `allowed` from now.
    pub fn at_most(&self, allowed: Duration) -> Self {
        Self {
            started: Instant::now(),
            allowed: allowed.min(self.remaining()),
            cancel: self.cancel.clone(),
        }
    }

    /// The time left; zero once it is over.
    pub fn remaining(&self) -> Duration {
        self.allowed.saturating_sub(self.started.elapsed())
    }

    /// The time that was allowed in all.
    pub const fn allowed(&self) -> Duration {
        self.allowed
    }

    /// Whether to go on waiting.
    ///
    /// # Errors
    /// When the time is up or the wait was cancelled.
    pub fn check(&self) -> Result<(), Ended> {
        if self.cancel.is_cancelled() {
            return Err(Ended::Cancelled);
        }
        if self.remaining().is_zero() {
            return Err(Ended::TimedOut {
                after: self.allowed,
            });
        }
        Ok(())
    }

    /// Sleeps for `pause`, or less when the deadline comes first or cancellation is seen. For
    /// devices that only answer when asked; where there is an event, wait for that instead.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn pause(&self, pause: Duration) -> Result<(), Ended> {
        /// How long cancellation may go unseen.
        const LOOK: Duration = Duration::from_millis(20);
        let end = Instant::now() + pause;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK).min(self.remaining()));
        }
    }
}

/// Waits between looks at something that only answers when asked: a short spin first, then sleeps
/// that double up to a limit.
#[derive(Debug)]
pub struct Backoff {
    looks: u32,
    next: Duration,
    limit: Duration,
}

/// Looks without a sleep between them.
const SPINS: u32 = 8;
/// The first sleep.
const FIRST_SLEEP: Duration = Duration::from_micros(20);

impl Backoff {
    /// Sleeps grow to at most `limit`.
    pub const fn up_to(limit: Duration) -> Self {
        Self {
            looks: 0,
            next: FIRST_SLEEP,
            limit,
        }
    }

    /// Waits until the next look is due.
    ///
    /// # Errors
    /// As [`Deadline::check`].
    pub fn wait(&mut self, deadline: &Deadline) -> Result<(), Ended> {
        deadline.check()?;
        if self.looks < SPINS {
            self.looks += 1;
            std::thread::yield_now();
            return Ok(());
        }
        deadline.pause(self.next)?;
        self.next = (self.next * 2).min(self.limit);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_ends_by_time_and_by_token() {
        let deadline = Deadline::after(Duration::ZERO);
        let after = Duration::ZERO;
        assert_eq!(deadline.check(), Err(Ended::TimedOut { after }));
        let cancel = Cancel::default();
        let deadline = Deadline::after(Duration::from_secs(60)).with_cancel(&cancel);
        assert_eq!(deadline.check(), Ok(()));
        cancel.cancel();
        assert_eq!(
            deadline.pause(Duration::from_secs(60)),
            Err(Ended::Cancelled)
        );
        assert_eq!(
            deadline.at_most(Duration::from_secs(1)).check(),
            Err(Ended::Cancelled)
        );
    }

    #[test]
    fn a_backoff_grows_to_its_limit_and_ends_with_the_deadline() {
        let mut backoff = Backoff::up_to(Duration::from_micros(100));
        let deadline = Deadline::after(Duration::from_secs(60));
        for _ in 0..SPINS + 5 {
            backoff.wait(&deadline).unwrap();
        }
        assert_eq!(backoff.next, Duration::from_micros(100));
        assert!(backoff.wait(&Deadline::after(Duration::ZERO)).is_err());
    }
}
