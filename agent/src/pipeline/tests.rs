//! Loads and clears of simulated slots, over the bus in the same process.

mod drivers;
mod failures;
mod operations;
pub(crate) mod rig;
