//! `afi poke`

use clap::Args;

use super::environment::{Environment, one_slot};
use super::registers::{self, Access, AccessError, Words};
use super::values;
use crate::instance::SlotName;
use crate::output::{Answer, ErrorReport};

/// Write a word to a slot's BARs
///
/// The slot's lock is held meanwhile. Nothing is read back: that a write was taken only a later
/// read can show.
#[derive(Debug, Args)]
pub(super) struct Poke {
    /// Number or PCI address
    #[arg(value_name = "SLOT")]
    slot: SlotName,
    /// Bytes from the start of the BAR, such as 0x500
    #[arg(value_name = "OFFSET", value_parser = values::number)]
    offset: u64,
    /// The word, such as 0xefbeadde
    #[arg(value_name = "VALUE", value_parser = values::number)]
    value: u64,
    #[command(flatten)]
    access: Access,
}

impl Poke {
    pub(super) fn run(&self, environment: &Environment) -> Result<Answer, Box<ErrorReport>> {
        let Self { offset, value, .. } = *self;
        let width = self.access.width;
        if value > width.ones() {
            let bits = width.bits();
            return Err(AccessError::TooWide { value, bits }.into());
        }
        let instance = environment.instance()?;
        let slot = one_slot(&instance, self.slot)?;
        let _lock = environment.lock(instance.bus(), &slot)?;
        let word = Words {
            offset,
            count: 1,
            width,
        };
        let bar = self.access.bar;
        let open = registers::open(environment, instance.bus(), &slot, bar, word)?;
        open.write(width, offset, value)?;
        Ok(Answer::default()
            .with("slot", slot.index)
            .with("function", open.bdf)
            .with("bar", open.name.to_string())
            .with("width", width.bits())
            .with("offset", offset)
            .with("value", value)
            .with("hex", width.text(value)))
    }
}
