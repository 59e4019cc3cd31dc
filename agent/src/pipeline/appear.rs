//! Step 6: the host looks at the application function anew.
//!
//! A load changes the ids of the application function; the host goes on showing those it saw when
//! it enumerated the bus, until the function is removed and the bus rescanned. Events tell when it
//! is back. The public library sleeps instead, 0.5 to 8 s a load (`fpga_pci_sysfs.c`).

use std::time::Duration;

use afi_pcie::bus::Watch;
use afi_pcie::slots::Slot;
use afi_pcie::{Bus, BusError, Deadline, Ended};
use afi_proto::PciIds;

use super::error::StepError;
use super::run::Run;
use super::verify::Wanted;
use crate::instance;

/// How long the function may stay away; the public library gives up after five tries, a second
/// apart.
const APPEAR: Duration = Duration::from_secs(10);
/// How long nothing may happen before another rescan is asked for.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How often the function is removed. More than once when a rescan for another slot made the host
/// see it while the shell was still changing it.
const ROUNDS: u32 = 3;

/// What asks for a removal and a rescan, beside what the host shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Because {
    /// Nothing.
    Nothing,
    /// The slot has changed its shell.
    ShellChanged,
    /// The function was taken from its driver, which is to find the new design.
    Detached,
}

impl Because {
    /// What there is in this operation.
    pub(super) const fn of(run: &Run<'_>, shell_changed: bool) -> Self {
        match (run.detached, shell_changed) {
            (true, _) => Self::Detached,
            (false, true) => Self::ShellChanged,
            (false, false) => Self::Nothing,
        }
    }
}

/// Removes and rescans the application function if the host's view of it is out of date, and tells
/// why; `None` when nothing was done.
pub(super) fn refresh(
    bus: &dyn Bus,
    slot: &Slot,
    wanted: &Wanted,
    because: Because,
    deadline: &Deadline,
) -> Result<Option<&'static str>, StepError> {
    let reason = if because == Because::Detached {
        "its driver was detached"
    } else {
        match (out_of_date(bus, slot, wanted, deadline)?, because) {
            (Some(reason), _) => reason,
            (None, Because::ShellChanged) => "the shell changed",
            (None, _) => return Ok(None),
        }
    };
    for _ in 0..ROUNDS {
        tracing::debug!(slot = %slot.index, app = %slot.app_bdf, reason, "remove and rescan");
        // From before the removal on, so that no event is missed.
        let mut watch = bus.watch()?;
        bus.remove(slot.app_bdf)?;
        bus.rescan(slot.app_bdf)?;
        wait_for(bus, slot, &mut *watch, deadline)?;
        if stale(bus, slot, deadline)?.is_none() {
            break;
        }
    }
    Ok(Some(reason))
}

/// Why the host has to look anew, if it has to.
fn out_of_date(
    bus: &dyn Bus,
    slot: &Slot,
    wanted: &Wanted,
    deadline: &Deadline,
) -> Result<Option<&'static str>, StepError> {
    if let Some(reason) = stale(bus, slot, deadline)? {
        return Ok(Some(reason));
    }
    let host = bus.function(slot.app_bdf)?;
    let as_wanted = host.is_some_and(|host| wanted.is(host.ids, slot.family));
    Ok((!as_wanted).then_some("the host shows other ids than the shell reports"))
}

/// Why what the host shows is not what the function is, if so.
fn stale(
    bus: &dyn Bus,
    slot: &Slot,
    deadline: &Deadline,
) -> Result<Option<&'static str>, StepError> {
    let Some(host) = bus.function(slot.app_bdf)? else {
        return Ok(Some("the host did not see the application function"));
    };
    let live = match live_ids(bus, slot, deadline) {
        Ok(live) => live,
        Err(BusError::NotFound { .. } | BusError::Gone { .. }) => {
            return Ok(Some("the application function was away"));
        }
        Err(error) => return Err(error.into()),
    };
    Ok((live != host.ids).then_some("the ids of the application function changed"))
}

fn live_ids(bus: &dyn Bus, slot: &Slot, deadline: &Deadline) -> Result<PciIds, BusError> {
    instance::open_function(bus, slot.app_bdf, deadline)?.live_ids()
}

/// Waits until the host sees the application function.
fn wait_for(
    bus: &dyn Bus,
    slot: &Slot,
    watch: &mut dyn Watch,
    deadline: &Deadline,
) -> Result<(), StepError> {
    let app = slot.app_bdf;
    let limit = deadline.at_most(APPEAR);
    while bus.function(app)?.is_none() {
        match watch.changed(&limit.at_most(ASK_AGAIN)) {
            Ok(()) => {}
            Err(Ended::Cancelled) => return Err(StepError::Interrupted),
            Err(Ended::TimedOut { .. }) => {
                limit.check().map_err(|ended| {
                    StepError::ended(ended, |after| StepError::Missing { app, after })
                })?;
                bus.rescan(app)?;
            }
        }
    }
    Ok(())
}
