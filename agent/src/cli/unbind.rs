//! `afi unbind`

use clap::Args;

use super::drivers::{self, Change};
use super::environment::Environment;
use crate::instance::SlotName;
use crate::output::{Answer, ErrorReport};

/// Give a slot's application function back to the kernel
///
/// Undoes 'afi bind': takes the function off the driver vfio-pci, and lets the kernel choose drivers
/// for the slot again. A function that a program has open is not taken from it.
#[derive(Debug, Args)]
pub(super) struct Unbind {
    /// Number, PCI address or 'all'
    #[arg(value_name = "SLOT")]
    slot: SlotName,
}

impl Unbind {
    pub(super) fn run(&self, environment: &Environment) -> Result<Answer, Box<ErrorReport>> {
        drivers::change(environment, self.slot, Change::Unbind)
    }
}
