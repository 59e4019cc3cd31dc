//! `afi bind`

use clap::Args;

use super::drivers::{self, Change};
use super::environment::Environment;
use crate::instance::SlotName;
use crate::output::{Answer, ErrorReport};

/// Give a slot's application function to programs, by VFIO
///
/// Puts the function onto the kernel's driver vfio-pci, and takes the management function off a
/// driver that is in the way. Programs can then do DMA and receive interrupts, with the IOMMU between
/// the card and the rest of the machine. It takes root, an IOMMU that is on, and the module vfio-pci.
/// When a step fails, those before it are undone. 'afi unbind' undoes all of it; a reboot does, too.
#[derive(Debug, Args)]
pub(super) struct Bind {
    /// Number, PCI address or 'all'
    #[arg(value_name = "SLOT")]
    slot: SlotName,
}

impl Bind {
    pub(super) fn run(&self, environment: &Environment) -> Result<Answer, Box<ErrorReport>> {
        drivers::change(environment, self.slot, Change::Bind)
    }
}
