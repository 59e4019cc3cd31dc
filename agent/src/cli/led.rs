//! `afi led`

use clap::Args;
use serde::Serialize;

use afi_proto::SlotIndex;

use super::environment::Environment;
use super::values::in_fours;
use crate::instance::SlotName;
use crate::output::{Answer, ErrorReport};

/// Read the virtual LEDs of a slot
///
/// Sixteen lights that the design drives, the highest first.
#[derive(Debug, Args)]
pub(super) struct Led {
    /// Number, PCI address or 'all'
    #[arg(value_name = "SLOT")]
    slot: SlotName,
}

/// Sixteen lights or switches of a slot.
#[derive(Debug, Serialize)]
pub(super) struct Bits {
    pub(super) slot: SlotIndex,
    pub(super) value: u16,
    pub(super) bits: String,
}

impl Bits {
    pub(super) fn new(slot: SlotIndex, value: u16) -> Self {
        Self {
            slot,
            value,
            bits: in_fours(value),
        }
    }

    /// For people, a line.
    pub(super) fn to_text(&self) -> String {
        let Self { slot, value, bits } = self;
        format!("slot {slot}: {bits} ({value:#06x})\n")
    }
}

/// Lights or switches of several slots.
pub(super) fn bits(field: &str, all: &[Bits]) -> Answer {
    let text: String = all.iter().map(Bits::to_text).collect();
    Answer::text(text).with(field, all)
}

impl Led {
    pub(super) fn run(&self, environment: &Environment) -> Result<Answer, Box<ErrorReport>> {
        let instance = environment.instance()?;
        let mut all = Vec::new();
        for slot in instance.select(self.slot)? {
            let (_lock, mailbox) = environment.mailbox(instance.bus(), &slot)?;
            all.push(Bits::new(slot.index, mailbox.virtual_led()?));
        }
        Ok(bits("leds", &all))
    }
}
