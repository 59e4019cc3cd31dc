//! Loads and clears of simulated slots, over the bus in the same process.

mod failures;
mod operations;
mod rig;
