//! `afi clear`

use clap::Args;

use super::environment::Environment;
use crate::instance::SlotName;
use crate::output::{Answer, ErrorReport, report};
use crate::pipeline::{self, ClearPlan, RETRIES};

/// Clear a slot: stop its image and empty its cache
///
/// The contents of the card's memory are lost.
#[derive(Debug, Args)]
pub(super) struct Clear {
    /// Number, PCI address or 'all'
    #[arg(value_name = "SLOT")]
    slot: SlotName,
    /// How often to try again after what is known to pass
    #[arg(long, value_name = "N", default_value_t = RETRIES)]
    #[arg(value_parser = clap::value_parser!(u32).range(..=100))]
    retries: u32,
}

impl Clear {
    pub(super) fn run(&self, environment: &Environment) -> Result<Answer, Box<ErrorReport>> {
        let instance = environment.instance()?;
        let slots = instance.select(self.slot)?;
        let progress = environment.progress();
        let results = pipeline::clear_all(
            instance.bus(),
            &slots,
            &environment.command,
            &ClearPlan::with_retries(self.retries),
            |slot| progress.line(slot.index),
            &environment.deadline,
        );
        Ok(super::answers::answer("clears", results, report::clear))
    }
}
