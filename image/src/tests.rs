//! Archives with one thing wrong with them, and hostile ones.

mod arbitrary;
mod hostile;
mod packing;
mod rig;
mod rules;
mod texts;
