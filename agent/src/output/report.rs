//! Reports of the pipeline, for people.

use std::fmt::Write as _;
use std::time::Duration;

use afi_proto::mailbox::ErrorCode;

use super::table::pairs;
use super::units::duration;
use crate::pipeline::{
    Attempt, BusReport, ChosenBy, ClearReport, DriverReport, LoadReport, Outcome, SlotId,
    SlotState, StepTime,
};

/// A load.
pub fn load(report: &LoadReport) -> String {
    let image = match &report.image.name {
        Some(name) => format!("{} ({})", name.escape_debug(), report.image.agfi),
        None => report.image.agfi.to_string(),
    };
    let slot = report.slot.index;
    let mut text = match report.outcome {
        Outcome::Loaded => format!("slot {slot}: loaded {image}\n"),
        Outcome::Prefetched => {
            format!("slot {slot}: put {image} into the cache; what runs was left alone\n")
        }
        Outcome::Sent => format!(
            "slot {slot}: the shell agreed to load {image}; 'afi describe {slot}' tells when it is done\n"
        ),
        Outcome::WouldLoad => {
            format!("slot {slot}: would load {image}; every check passed, nothing was touched\n")
        }
    };
    let mut lines = vec![
        ("asked for", report.image.asked.escape_debug().to_string()),
        ("resolved by", chosen_by(&report.image.source)),
        ("before", state(&report.before)),
    ];
    if let Some(after) = &report.after {
        lines.push(("after", state(after)));
    }
    if let Some(bus) = &report.bus {
        lines.extend(on_the_bus(&report.slot, bus));
    }
    lines.extend(report.notes.iter().map(|note| ("note", note.clone())));
    text += &pairs(lines);
    text + &times(&report.attempts, &report.steps, report.took)
}

/// A clear.
pub fn clear(report: &ClearReport) -> String {
    let mut text = format!("slot {}: cleared\n", report.slot.index);
    let mut lines = vec![
        ("before", state(&report.before)),
        ("after", state(&report.after)),
    ];
    lines.extend(on_the_bus(&report.slot, &report.bus));
    text += &pairs(lines);
    text + &times(&report.attempts, &report.steps, report.took)
}

/// What a slot runs, in one line.
pub fn state(state: &SlotState) -> String {
    let mut text = state.status.to_string();
    if let Some(image) = state.image {
        let _ = write!(text, ", {image}");
    }
    if state.error != ErrorCode::OK {
        let _ = write!(text, ", error {}: {}", state.error, state.error.meaning());
    }
    let _ = write!(text, ", shell {}", state.shell);
    text
}

/// A try that did not work, in one line.
pub fn attempt(attempt: &Attempt) -> String {
    let mut text = format!(
        "try {} ended in step '{}' after {}",
        attempt.number,
        attempt.step,
        duration(attempt.took)
    );
    if let Some(error) = &attempt.error {
        let _ = write!(text, ": {error}");
    }
    if let Some(pause) = attempt.pause {
        let _ = write!(text, "; tried again after {}", duration(pause));
    }
    text
}

fn chosen_by(source: &ChosenBy) -> String {
    match source {
        ChosenBy::Resolver(source) => source.to_string(),
        ChosenBy::Unchecked => {
            "nobody: the cache does not know it and the API was not asked, so only the shell checks it"
                .to_owned()
        }
    }
}

fn on_the_bus(slot: &SlotId, bus: &BusReport) -> Vec<(&'static str, String)> {
    let mut lines = vec![("on the bus", format!("{} at {}", bus.ids, slot.app))];
    if let Some(reason) = bus.rescanned {
        lines.push(("rescanned", reason.to_owned()));
    }
    if let Some(driver) = &bus.driver {
        lines.push(("driver", driver_change(driver)));
    }
    if !bus.switched_on.is_empty() {
        lines.push(("switched on", bus.switched_on.join(", ")));
    }
    if !bus.bars.is_empty() {
        let bars: Vec<String> = bus
            .bars
            .iter()
            .map(|bar| format!("{} {}", bar.purpose, super::units::bytes(bar.bytes)))
            .collect();
        lines.push(("BARs", bars.join(", ")));
    }
    lines
}

/// What became of the driver of the application function, in one line.
fn driver_change(driver: &DriverReport) -> String {
    let before = driver.before.escape_debug();
    match (&driver.after, driver.detached) {
        (Some(after), true) if *after == driver.before => {
            format!("{before}, detached for this and bound anew")
        }
        (Some(after), false) if *after == driver.before => before.to_string(),
        (Some(after), _) => format!("{} in place of {before}", after.escape_debug()),
        (None, _) => format!("none any more; {before} was bound before, and may be bound again"),
    }
}

fn times(attempts: &[Attempt], steps: &[StepTime], total: Duration) -> String {
    let failed = attempts.iter().filter(|attempt| attempt.error.is_some());
    let lines: Vec<_> = failed
        .map(|failed| ("tries", attempt(failed)))
        .chain(
            steps
                .iter()
                .map(|time| (time.step.name(), duration(time.took))),
        )
        .chain([("total", duration(total))])
        .collect();
    pairs(lines)
}
