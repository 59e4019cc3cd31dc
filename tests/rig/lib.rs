//! Whole instances for tests: a simulated instance, and the programs run in it as a user runs them.

mod process;
mod sim;

pub use process::{Output, program};
pub use sim::{Sim, SimBuilder};
