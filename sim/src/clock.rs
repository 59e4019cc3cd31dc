//! The time of a simulated instance: automatic, or stepped by a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Tells how long the instance has run. Clones tell the same time.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    Automatic(Instant),
    Stepped(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that runs by itself.
    pub fn automatic() -> Self {
        Self(Source::Automatic(Instant::now()))
    }

    /// A clock that stands still until it is stepped.
    pub fn stepped() -> Self {
        Self(Source::Stepped(Arc::default()))
    }

    /// Time since the clock was made.
    pub fn now(&self) -> Duration {
        match &self.0 {
            Source::Automatic(start) => start.elapsed(),
            Source::Stepped(nanoseconds) => {
                Duration::from_nanos(nanoseconds.load(Ordering::SeqCst))
            }
        }
    }

    /// Moves a stepped clock on; an automatic one does that itself.
    pub fn step(&self, by: Duration) {
        if let Source::Stepped(nanoseconds) = &self.0 {
            let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
            nanoseconds.fetch_add(by, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stepped_clock_moves_only_when_told() {
        let clock = Clock::stepped();
        let other = clock.clone();
        assert_eq!(clock.now(), Duration::ZERO);
        clock.step(Duration::from_millis(3));
        assert_eq!(other.now(), Duration::from_millis(3));
    }
}
