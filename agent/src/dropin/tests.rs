//! Tests of the tools on a simulated instance. What is expected was read from the format strings
//! of the tools' sources, and checked against those tools, built with a library that answers alike.

mod errors;
mod gated;
pub(super) mod rig;
mod texts;
mod usage;
mod works;
