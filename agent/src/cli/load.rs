//! `afi load`

use clap::Args;

use super::environment::Environment;
use crate::image::ImageRef;
use crate::instance::SlotName;
use crate::output::{Answer, ErrorReport, report};
use crate::pipeline::{self, Context, LoadPlan, RETRIES};
use crate::resolve::Policy;

/// Load an image into a slot
///
/// Takes the slot's lock, resolves the image, checks that it fits, loads it, and verifies what
/// appeared on the bus. Nothing on the slot is touched before every check has passed. An image that
/// runs already is loaded again, which restarts it.
#[derive(Debug, Args)]
pub(super) struct Load {
    /// Number, PCI address or 'all'
    #[arg(value_name = "SLOT")]
    slot: SlotName,
    /// AGFI id, AFI id, name, or tag:KEY=VALUE
    #[arg(value_name = "IMAGE")]
    image: ImageRef,
    /// Ask the cloud's API even if the image is known
    #[arg(long, conflicts_with = "offline")]
    refresh: bool,
    /// Do not ask the cloud's API; an AGFI id that is not known is loaded unchecked
    #[arg(long)]
    offline: bool,
    /// Return once the shell has agreed, without waiting for the end
    #[arg(long)]
    no_wait: bool,
    /// Reload the shell even if the image does not need it
    #[arg(long, conflicts_with_all = ["prefetch", "retain_dram"])]
    force_shell_reload: bool,
    /// Put the image into the slot's cache only, so that a load is faster later
    #[arg(long, conflicts_with = "retain_dram")]
    prefetch: bool,
    /// Keep the contents of the card's DRAM (F1)
    #[arg(long)]
    retain_dram: bool,
    /// Check everything, touch nothing, and say what would be done
    #[arg(long, conflicts_with = "no_wait")]
    dry_run: bool,
    /// How often to try again after what is known to pass
    #[arg(long, value_name = "N", default_value_t = RETRIES)]
    #[arg(value_parser = clap::value_parser!(u32).range(..=100))]
    retries: u32,
}

impl Load {
    pub(super) fn run(&self, environment: &Environment) -> Result<Answer, Box<ErrorReport>> {
        let instance = environment.instance()?;
        let slots = instance.select(self.slot)?;
        let resolver = environment.resolver();
        let context = Context {
            bus: instance.bus(),
            resolver: &resolver,
            command: &environment.command,
        };
        let progress = environment.progress();
        let results = pipeline::load_all(
            &context,
            &slots,
            &self.plan(),
            |slot| progress.line(slot.index),
            &environment.deadline,
        );
        Ok(super::answers::answer("loads", results, report::load))
    }

    fn plan(&self) -> LoadPlan {
        LoadPlan {
            policy: Policy {
                refresh: self.refresh,
                offline: self.offline,
            },
            prefetch: self.prefetch,
            force_shell_reload: self.force_shell_reload,
            retain_dram: self.retain_dram,
            no_wait: self.no_wait,
            dry_run: self.dry_run,
            retries: self.retries,
            ..LoadPlan::new(self.image.clone())
        }
    }
}
