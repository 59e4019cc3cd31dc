//! `afi dip`

use clap::{Args, Subcommand};

use super::environment::Environment;
use super::led::{Bits, bits};
use super::values;
use crate::instance::SlotName;
use crate::output::{Answer, ErrorReport};

/// Read or set the virtual DIP switches of a slot
///
/// Sixteen switches that the design sees, the highest first.
#[derive(Debug, Args)]
pub(super) struct Dip {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read the switches
    Get {
        /// Number, PCI address or 'all'
        #[arg(value_name = "SLOT")]
        slot: SlotName,
    },
    /// Set the switches, and read them back
    Set {
        /// Number, PCI address or 'all'
        #[arg(value_name = "SLOT")]
        slot: SlotName,
        /// Sixteen digits 0 and 1, the highest first, such as 0000-1111-0000-1111, or a number up
        /// to 0xffff
        #[arg(value_name = "VALUE", value_parser = values::switches)]
        value: u16,
    },
}

impl Dip {
    pub(super) fn run(&self, environment: &Environment) -> Result<Answer, Box<ErrorReport>> {
        let (name, value) = match self.command {
            Command::Get { slot } => (slot, None),
            Command::Set { slot, value } => (slot, Some(value)),
        };
        let instance = environment.instance()?;
        let mut all = Vec::new();
        for slot in instance.select(name)? {
            let (_lock, mailbox) = environment.mailbox(instance.bus(), &slot)?;
            if let Some(value) = value {
                mailbox.set_virtual_dip(value)?;
            }
            all.push(Bits::new(slot.index, mailbox.virtual_dip()?));
        }
        Ok(bits("dips", &all))
    }
}
