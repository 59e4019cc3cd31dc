//! What an operation did.

use std::time::Duration;

use afi_pcie::slots::Slot;
use afi_proto::mailbox::{ErrorCode, Metrics, SlotStatus};
use afi_proto::{AgfiId, BarIndex, Bdf, Family, PciIds, ShellVersion, SlotIndex};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::step::{Attempt, StepTime};
use crate::resolve::Source;
use crate::serial;

/// Which slot it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SlotId {
    /// Its number.
    #[serde(rename = "slot")]
    pub index: SlotIndex,
    /// Its family.
    pub family: Family,
    /// The management function.
    pub mgmt: Bdf,
    /// The application function.
    pub app: Bdf,
}

impl From<&Slot> for SlotId {
    fn from(slot: &Slot) -> Self {
        Self {
            index: slot.index,
            family: slot.family,
            mgmt: slot.mgmt.bdf,
            app: slot.app_bdf,
        }
    }
}

/// What a slot runs, as its shell tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SlotState {
    /// Its status.
    #[serde(serialize_with = "serial::status")]
    pub status: SlotStatus,
    /// Why, when the status is no good one.
    #[serde(serialize_with = "serial::error")]
    pub error: ErrorCode,
    /// The image that is loaded, or whose load was tried last.
    pub image: Option<AgfiId>,
    /// The PCI ids that the shell reports for it.
    #[serde(serialize_with = "serial::ids")]
    pub ids: PciIds,
    /// The version of the shell.
    pub shell: ShellVersion,
}

impl SlotState {
    /// From what a shell answered.
    pub const fn new(metrics: &Metrics, shell: ShellVersion) -> Self {
        Self {
            status: metrics.status,
            error: metrics.error,
            image: metrics.image,
            ids: metrics.ids,
            shell,
        }
    }
}

/// How far a load went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The image runs, and was verified on the bus.
    Loaded,
    /// The image is in the slot's cache; what runs was left alone.
    Prefetched,
    /// The shell has agreed to do it; nobody waited for the end.
    Sent,
    /// Everything was checked and nothing was done.
    WouldLoad,
}

/// What was resolved to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// What the caller gave.
    pub asked: String,
    /// The image.
    pub agfi: AgfiId,
    /// Its name, where it has one and was looked up.
    pub name: Option<String>,
    /// Who said so.
    pub source: ChosenBy,
}

/// Who said which image it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChosenBy {
    /// The resolver.
    Resolver(Source),
    /// Nobody: an AGFI id that the cache does not know, with the API switched off. Only the shell
    /// has checked it.
    Unchecked,
}

impl Serialize for ChosenBy {
    /// As the resolver's [`Source`], and `{"from": "unchecked"}`.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Resolver(source) => source.serialize(to),
            Self::Unchecked => {
                let mut object = to.serialize_struct("ChosenBy", 1)?;
                object.serialize_field("from", "unchecked")?;
                object.end()
            }
        }
    }
}

/// What a load did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// Where.
    #[serde(flatten)]
    pub slot: SlotId,
    /// How far it went.
    pub outcome: Outcome,
    /// What.
    pub image: Chosen,
    /// What the slot ran before.
    pub before: SlotState,
    /// What it runs now; `None` when nobody waited for it.
    pub after: Option<SlotState>,
    /// What appeared on the bus; `None` when nothing should.
    pub bus: Option<BusReport>,
    /// Doubtful things that did not stop the load, as sentences.
    pub notes: Vec<String>,
    /// The tries of the command to the shell.
    pub attempts: Vec<Attempt>,
    /// How long each step took.
    pub steps: Vec<StepTime>,
    /// How long it took in all.
    #[serde(rename = "duration_ms", serialize_with = "serial::millis")]
    pub took: Duration,
}

/// What a clear did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClearReport {
    /// Where.
    #[serde(flatten)]
    pub slot: SlotId,
    /// What the slot ran before.
    pub before: SlotState,
    /// What it runs now.
    pub after: SlotState,
    /// What appeared on the bus.
    pub bus: BusReport,
    /// The tries of the command to the shell.
    pub attempts: Vec<Attempt>,
    /// How long each step took.
    pub steps: Vec<StepTime>,
    /// How long it took in all.
    #[serde(rename = "duration_ms", serialize_with = "serial::millis")]
    pub took: Duration,
}

/// What is on the bus at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BusReport {
    /// The ids of the application function, read from the device.
    #[serde(serialize_with = "serial::ids")]
    pub ids: PciIds,
    /// Why the host had to look anew; `None` when it had not.
    pub rescanned: Option<&'static str>,
    /// The kernel driver that the application function was on, and is on; `None` when it was on none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<DriverReport>,
    /// What was off in the command register and was switched on.
    pub switched_on: Vec<&'static str>,
    /// The BARs that were opened, with their sizes in bytes.
    pub bars: Vec<BarReport>,
    /// A read through the shell's own part of a BAR, which showed that the function answers.
    pub probe: Option<Probe>,
}

/// A kernel driver that the application function was on before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DriverReport {
    /// Its name.
    pub before: String,
    /// Whether it was taken from the function before the command, so as not to go on with state of
    /// the design that is gone.
    pub detached: bool,
    /// The driver that the function is on now; `None` when it is on none.
    pub after: Option<String>,
}

/// A BAR that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BarReport {
    /// Which one.
    #[serde(serialize_with = "bar_number")]
    pub bar: BarIndex,
    /// What it is for.
    pub purpose: &'static str,
    /// Its bytes.
    pub bytes: u64,
}

/// A read that showed that a BAR answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Which BAR.
    #[serde(serialize_with = "bar_number")]
    pub bar: BarIndex,
    /// Where in it.
    pub offset: u64,
    /// What was read.
    pub value: u32,
}

fn bar_number<S: Serializer>(bar: &BarIndex, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u8(bar.get())
}
