//! Captures: what a bug report needs of an instance, taken without changing what runs.
//!
//! A capture asks what `afi list` and `afi describe` ask, by the same code, and writes down what it
//! met, right or wrong: whatever does not work is part of it. The form of the file, and the bus that
//! is opened from it, are in [`afi_pcie::capture`].

mod redact;
mod take;
mod write;

pub use redact::to_text;
pub use take::{failures, take};
pub use write::{WriteError, check_target, write};
