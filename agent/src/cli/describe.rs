//! `afi describe`

use afi_pcie::slots::Slot;
use afi_proto::mailbox::CommandFlags;
use clap::Args;
use serde::Serialize;

use super::environment::Environment;
use super::list::FunctionReport;
use crate::instance::{Instance, SlotName};
use crate::output::metrics::MetricsReport;
use crate::output::table::pairs;
use crate::output::{Answer, ErrorReport, report};
use crate::pipeline::{self, SlotError, SlotId, SlotState};

/// Show what slots run, and what their shells have counted
///
/// Asks the shell of each slot, and compares its answer with what the host shows on the bus.
#[derive(Debug, Args)]
pub(super) struct Describe {
    /// Number, PCI address or 'all'
    #[arg(value_name = "SLOT", default_value = "all")]
    slot: SlotName,
    /// Show counters, clocks, power and cached images too
    #[arg(long, short)]
    metrics: bool,
    /// Show the counters, and set them to zero
    #[arg(long)]
    clear_metrics: bool,
    /// Empty the slot's cache of images
    #[arg(long)]
    clear_cache: bool,
    /// Let the host look at the application function anew, if its view is out of date
    #[arg(long)]
    rescan: bool,
}

/// What is known of a slot.
#[derive(Debug, Serialize)]
struct Description {
    #[serde(flatten)]
    slot: SlotId,
    state: SlotState,
    /// The application function as the host shows it.
    host: Option<FunctionReport>,
    /// Whether the host shows other ids than the shell reports for the image that is loaded.
    host_out_of_date: bool,
    /// Why the host was made to look anew, if it was.
    rescanned: Option<&'static str>,
    metrics: Option<MetricsReport>,
}

impl Describe {
    pub(super) fn run(&self, environment: &Environment) -> Result<Answer, Box<ErrorReport>> {
        let instance = environment.instance()?;
        let slots = instance.select(self.slot)?;
        let results = pipeline::at_once(&slots, |slot| self.describe(environment, &instance, slot));
        let mut answer = Answer::default();
        let mut documents = Vec::new();
        for result in results {
            match result {
                Ok(description) => {
                    answer.text += &description.to_text();
                    answer.hints.extend(description.hint());
                    documents.push(crate::output::to_value(description));
                }
                Err(error) => {
                    let report = ErrorReport::from(&*error);
                    documents.push(super::answers::failed(&error, &report));
                    answer.errors.push(report);
                }
            }
        }
        Ok(answer.with("slots", documents))
    }

    fn describe(
        &self,
        environment: &Environment,
        instance: &Instance,
        slot: &Slot,
    ) -> Result<Description, Box<SlotError>> {
        let Environment {
            command, deadline, ..
        } = environment;
        let bus = instance.bus();
        let with_metrics = self.metrics || self.clear_metrics;
        let mut flags = CommandFlags::empty();
        flags.set(CommandFlags::GET_HW_METRICS, with_metrics);
        flags.set(CommandFlags::CLEAR_HW_METRICS, self.clear_metrics);
        flags.set(CommandFlags::CLEAR_AFI_CACHE, self.clear_cache);
        let rescanned = if self.rescan {
            pipeline::rescan(bus, slot, command, deadline)?
        } else {
            None
        };
        let (state, metrics) = pipeline::describe(bus, slot, command, flags, deadline)?;
        // After a rescan or a load elsewhere it is no longer what was found at first.
        let host = bus.function(slot.app_bdf).ok().flatten();
        let loaded = state.status == afi_proto::mailbox::SlotStatus::LOADED;
        Ok(Description {
            slot: slot.into(),
            host_out_of_date: loaded && host.as_ref().is_none_or(|host| host.ids != state.ids),
            state,
            host: host.as_ref().map(Into::into),
            rescanned,
            metrics: with_metrics.then(|| (&metrics.body).into()),
        })
    }
}

impl Description {
    fn to_text(&self) -> String {
        let (id, part) = (&self.slot, self.slot.family.profile().part);
        let host = match &self.host {
            Some(function) => function.to_text(),
            None => "not on the bus".to_owned(),
        };
        let mut lines = vec![
            ("family", format!("{} ({part})", id.family)),
            ("MgmtPF", id.mgmt.to_string()),
            ("AppPF", format!("{}: {host}", id.app)),
        ];
        if let Some(reason) = self.rescanned {
            lines.push(("rescanned", reason.to_owned()));
        }
        let title = format!("slot {}: {}\n", id.index, report::state(&self.state));
        let metrics = self.metrics.as_ref().map(MetricsReport::to_text);
        title + &pairs(lines) + &metrics.unwrap_or_default()
    }

    fn hint(&self) -> Option<String> {
        let slot = self.slot.index;
        self.host_out_of_date.then(|| {
            format!(
                "the host does not show the ids {} that the shell of slot {slot} reports; \
                 'afi describe {slot} --rescan' lets it look anew",
                self.state.ids
            )
        })
    }
}
