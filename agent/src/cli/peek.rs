//! `afi peek`

use clap::Args;
use serde::Serialize;

use super::environment::{Environment, one_slot};
use super::registers::{self, Access, Words};
use super::values;
use crate::instance::SlotName;
use crate::output::{Answer, ErrorReport};

/// Read words from a slot's BARs
///
/// Registers can change when they are read. The slot's lock is held meanwhile.
#[derive(Debug, Args)]
pub(super) struct Peek {
    /// Number or PCI address
    #[arg(value_name = "SLOT")]
    slot: SlotName,
    /// Bytes from the start of the BAR, such as 0x500
    #[arg(value_name = "OFFSET", value_parser = values::number)]
    offset: u64,
    #[command(flatten)]
    access: Access,
    /// How many words, one after the other
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=65536))]
    count: u32,
}

#[derive(Debug, Serialize)]
struct Word {
    offset: u64,
    value: u64,
    hex: String,
}

impl Peek {
    pub(super) fn run(&self, environment: &Environment) -> Result<Answer, Box<ErrorReport>> {
        let instance = environment.instance()?;
        let slot = one_slot(&instance, self.slot)?;
        let _lock = environment.lock(instance.bus(), &slot)?;
        let width = self.access.width;
        let wanted = Words {
            offset: self.offset,
            count: self.count,
            width,
        };
        let bar = self.access.bar;
        let open = registers::open(environment, instance.bus(), &slot, bar, wanted)?;
        let mut words = Vec::new();
        for offset in wanted.offsets() {
            let value = open.read(width, offset)?;
            let hex = width.text(value);
            words.push(Word { offset, value, hex });
        }
        let text: String = words
            .iter()
            .map(|word| format!("{:#010x}: {}\n", word.offset, word.hex))
            .collect();
        let all_ones = words.iter().any(|word| word.value == width.ones());
        let mut answer = Answer::text(text)
            .with("slot", slot.index)
            .with("function", open.bdf)
            .with("bar", open.name.to_string())
            .with("width", width.bits())
            .with("words", words);
        if all_ones {
            let index = slot.index;
            answer.hints.push(format!(
                "a word reads as all ones: a register can hold that, but so does what is not \
                 answered, by a cleared slot for example; 'afi describe {index} --metrics' tells"
            ));
        }
        Ok(answer)
    }
}
