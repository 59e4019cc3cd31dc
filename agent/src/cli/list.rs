//! `afi list`

use afi_pcie::bus::FunctionInfo;
use afi_pcie::names;
use afi_pcie::slots::Slot;
use afi_proto::{Bdf, Family, PciIds, SlotIndex};
use clap::Args;
use serde::Serialize;

use super::environment::Environment;
use crate::output::{Answer, ErrorReport, table};
use crate::serial;

/// List the FPGA slots of the instance
///
/// Shows what the host has enumerated. The slots are not asked and not locked, so that this always
/// answers at once; 'afi describe' asks them.
#[derive(Debug, Args)]
pub(super) struct List {}

#[derive(Debug, Serialize)]
struct SlotReport {
    slot: SlotIndex,
    family: Family,
    part: &'static str,
    mgmt: FunctionReport,
    app_bdf: Bdf,
    app: Option<FunctionReport>,
}

/// A function as the host enumerated it.
#[derive(Debug, Serialize)]
pub(super) struct FunctionReport {
    bdf: Bdf,
    #[serde(serialize_with = "serial::ids")]
    ids: PciIds,
    description: String,
    driver: Option<String>,
}

impl FunctionReport {
    /// For people: ids, what it is, and the driver.
    pub(super) fn to_text(&self) -> String {
        let driver = self.driver.as_ref();
        let driver = driver.map_or_else(String::new, |driver| format!(", driver {driver}"));
        format!("{}, {}{driver}", self.ids, self.description)
    }
}

impl From<&FunctionInfo> for FunctionReport {
    fn from(info: &FunctionInfo) -> Self {
        Self {
            bdf: info.bdf,
            ids: info.ids,
            description: names::describe(info.ids),
            driver: info.driver.clone(),
        }
    }
}

impl List {
    pub(super) fn run(&self, environment: &Environment) -> Result<Answer, Box<ErrorReport>> {
        let slots = environment.instance()?.slots()?;
        let rows: Vec<_> = slots.iter().map(row).collect();
        let text = match rows.as_slice() {
            [] => String::new(),
            rows => table::columns(
                [
                    "SLOT", "FAMILY", "MGMTPF", "APPPF", "IDS", "DRIVER", "DEVICE",
                ],
                rows,
            ),
        };
        let reports: Vec<SlotReport> = slots.iter().map(SlotReport::from).collect();
        let mut answer = Answer::text(text).with("slots", reports);
        if slots.is_empty() {
            let bus = &environment.settings.bus;
            answer.hints.push(format!("no FPGA slots on the {bus} bus"));
        }
        Ok(answer)
    }
}

impl From<&Slot> for SlotReport {
    fn from(slot: &Slot) -> Self {
        Self {
            slot: slot.index,
            family: slot.family,
            part: slot.family.profile().part,
            mgmt: (&slot.mgmt).into(),
            app_bdf: slot.app_bdf,
            app: slot.app.as_ref().map(Into::into),
        }
    }
}

fn row(slot: &Slot) -> [String; 7] {
    let none = || "-".to_owned();
    let app = slot.app.as_ref();
    [
        slot.index.to_string(),
        slot.family.to_string(),
        slot.mgmt.bdf.to_string(),
        slot.app_bdf.to_string(),
        app.map_or_else(none, |app| app.ids.to_string()),
        app.and_then(|app| app.driver.clone()).unwrap_or_else(none),
        app.map_or_else(
            || "not on the bus".to_owned(),
            |app| names::describe(app.ids),
        ),
    ]
}
