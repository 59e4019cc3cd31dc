//! How long a simulated shell takes.

use std::time::Duration;

/// How long the shell takes for each kind of work.
///
/// Real slots take seconds; `hdk/docs/load_times.md` tells what makes a load faster (the cache, the
/// same shell) and gives no figures. The defaults keep that order, and are short, so that a test
/// can load a hundred times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// A load of an image that the slot does not have in its cache.
    pub load: Duration,
    /// A load of an image that is in the cache.
    pub cached_load: Duration,
    /// What a forced reload of the shell adds to a load on F1.
    pub shell_reload: Duration,
    /// The reload of the shell on F2, from the host's agreement on; the mailbox is silent meanwhile.
    pub rl_reload: Duration,
    /// A clear.
    pub clear: Duration,
    /// Putting an image into the cache.
    pub prefetch: Duration,
}

impl Timing {
    /// Work that is done at the next look: for tests that are not about time.
    pub const INSTANT: Self = Self {
        load: Duration::ZERO,
        cached_load: Duration::ZERO,
        shell_reload: Duration::ZERO,
        rl_reload: Duration::ZERO,
        clear: Duration::ZERO,
        prefetch: Duration::ZERO,
    };

    /// The same, with another time for loads. One from the cache takes a third of it, as by
    /// default.
    pub const fn with_load(self, load: Duration) -> Self {
        Self {
            load,
            cached_load: Duration::from_nanos((load.as_nanos() / 3) as u64),
            ..self
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            load: Duration::from_millis(30),
            cached_load: Duration::from_millis(10),
            shell_reload: Duration::from_millis(20),
            rl_reload: Duration::from_millis(100),
            clear: Duration::from_millis(10),
            prefetch: Duration::from_millis(20),
        }
    }
}
