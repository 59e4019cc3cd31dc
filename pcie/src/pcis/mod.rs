//! Memory of the card through PCIS, AppPF BAR4: copies by the processor, for slots without a DMA
//! engine (F2's shell, the small shell of F1) and for hosts that cannot do DMA.
//!
//! [`write()`] and [`read`] copy ranges to and from any [`Bar`](crate::Bar); [`Pcis`] is BAR4 of a
//! slot, of which only the parts that are used get mapped.

mod card;
mod copy;
mod level;
#[cfg(test)]
mod tests;
mod wide;

pub use card::{Pcis, WINDOW};
pub use copy::{read, read_with, write, write_with};
pub use level::Level;
