//! Captures that were made here.

mod example;
mod hostile;
mod shown;
