//! How long things take, and the task that ends them when their time has come.

use std::sync::Arc;
use std::time::Duration;

use super::world::World;

/// How long the cloud takes. Real creations take half an hour to hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloudTimes {
    /// From the request to an image that is available or failed; longer if its tarball takes longer
    /// to be read.
    pub create: Duration,
    /// A copy of an image.
    pub copy: Duration,
    /// A machine image.
    pub machine_image: Duration,
}

impl Default for CloudTimes {
    /// Long enough to be seen pending, short enough to wait for.
    fn default() -> Self {
        Self {
            create: Duration::from_secs(2),
            copy: Duration::from_secs(1),
            machine_image: Duration::from_secs(1),
        }
    }
}

/// The longest time without a look, for a clock that somebody stepped meanwhile.
const LOOK: Duration = Duration::from_secs(60);

/// Settles the world each time something is due.
pub(super) async fn settle_when_due(world: Arc<World>) {
    loop {
        world.settle();
        let wait = match world.next_due() {
            // At least a millisecond: a stepped clock stands still.
            Some(due) => due.since(world.now()).max(Duration::from_millis(1)),
            None => LOOK,
        };
        // Either way there may be something to do.
        let _ = tokio::time::timeout(wait.min(LOOK), world.rescheduled.notified()).await;
    }
}
