//! What is told of a transfer.

use std::time::Duration;

use afi_pcie::card_memory::{CardMemory, Mismatch, Verdict};
use afi_pcie::slots::Slot;
use afi_proto::{Bdf, Family, SlotIndex};
use serde::Serialize;

use crate::output::table::pairs;
use crate::output::units;
use crate::serial;

/// A transfer that took place.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    slot: SlotIndex,
    family: Family,
    app: Bdf,
    operation: &'static str,
    #[serde(flatten)]
    way: WayReport,
    address: u64,
    bytes: u64,
    /// The time of the memory alone.
    #[serde(rename = "transfer_ms", serialize_with = "serial::millis")]
    moving: Duration,
    bytes_per_second: Option<f64>,
    /// With the lock, the opening, and files.
    #[serde(rename = "duration_ms", serialize_with = "serial::millis")]
    took: Duration,
}

/// How the memory was reached.
#[derive(Debug, Serialize)]
pub(super) struct WayReport {
    path: &'static str,
    details: String,
    channels: usize,
    passed_over: Vec<PassedOverReport>,
    /// The design, where it is a public example.
    design: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct PassedOverReport {
    path: &'static str,
    reason: String,
}

/// What a comparison has found.
#[derive(Debug, Serialize)]
pub(super) struct VerdictReport {
    good: bool,
    checked: u64,
    differing: u64,
    first: Option<MismatchReport>,
}

#[derive(Debug, Serialize)]
struct MismatchReport {
    address: u64,
    wanted: String,
    seen: String,
}

impl Report {
    pub(super) fn new(
        operation: &'static str,
        slot: &Slot,
        memory: &CardMemory,
        address: u64,
        bytes: u64,
        moving: Duration,
        took: Duration,
    ) -> Self {
        Self {
            slot: slot.index,
            family: slot.family,
            app: slot.app_bdf,
            operation,
            way: WayReport::new(memory),
            address,
            bytes,
            moving,
            bytes_per_second: per_second(bytes, moving),
            took,
        }
    }

    /// For people; `done` is what was done: `wrote`.
    pub(super) fn to_text(&self, done: &str) -> String {
        let rate = self.bytes_per_second.map(units::rate);
        let rate = rate.map_or_else(String::new, |rate| format!(", {rate}"));
        format!(
            "slot {}: {done} {} at {:#x} in {}{rate}\n{}",
            self.slot,
            units::bytes(self.bytes),
            self.address,
            units::duration(self.moving),
            self.way.to_text()
        )
    }
}

impl WayReport {
    pub(super) fn new(memory: &CardMemory) -> Self {
        let passed_over = memory.passed_over().iter().map(|over| PassedOverReport {
            path: over.path.name(),
            reason: over.reason(),
        });
        Self {
            path: memory.path().name(),
            details: memory.details(),
            channels: memory.channels(),
            passed_over: passed_over.collect(),
            design: memory.design(),
        }
    }

    pub(super) fn to_text(&self) -> String {
        let mut lines = vec![("by", format!("{}: {}", self.path, self.details))];
        for over in &self.passed_over {
            lines.push(("not by", format!("{}: {}", over.path, over.reason)));
        }
        pairs(lines)
    }
}

/// Bytes in a second; `None` where nothing took no time.
pub(super) fn per_second(bytes: u64, time: Duration) -> Option<f64> {
    (!time.is_zero()).then(|| bytes as f64 / time.as_secs_f64())
}

impl From<&Verdict> for VerdictReport {
    fn from(verdict: &Verdict) -> Self {
        let first = verdict
            .first
            .as_ref()
            .map(|first: &Mismatch| MismatchReport {
                address: first.address,
                wanted: hex(&first.wanted),
                seen: hex(&first.seen),
            });
        Self {
            good: verdict.is_good(),
            checked: verdict.checked,
            differing: verdict.differing,
            first,
        }
    }
}

/// Bytes as pairs of digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first byte that differs, as the end of a sentence.
pub(super) fn mismatch(verdict: &Verdict) -> String {
    verdict.first.as_ref().map_or_else(String::new, |first| {
        format!(
            "; the first is at {:#x}: wanted {}, found {}",
            first.address,
            hex(&first.wanted),
            hex(&first.seen)
        )
    })
}
