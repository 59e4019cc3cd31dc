//! A driver of the kernel that has the application function.
//!
//! The design behind a driver is replaced by a load and a clear. What is right to do then depends on
//! the driver:
//!
//! * one that keeps state of the design, such as `xdma`, has to begin anew. It is taken from the
//!   function before the command, so that it stops its DMA while the design still answers, and the
//!   kernel looks for a driver again when the new design is there;
//! * one that only passes the function on to a program knows nothing of the design. It stays, unless
//!   the function has other ids afterwards and the host has to look at it anew; `vfio-pci` is given
//!   the function again then;
//! * a function that a program uses by VFIO cannot be removed: the kernel would wait for the end of
//!   the program. So what takes a removal is refused then, before anything is touched.

use afi_pcie::vfio;
use afi_proto::PciIds;

use super::error::StepError;
use super::report::DriverReport;
use super::run::{Failed, Run};
use super::step::Step;

/// Drivers that only pass a function on to a program, and keep no state of what is behind it.
const PASS_ON: [&str; 4] = ["vfio-pci", "uio_pci_generic", "igb_uio", "pci-stub"];

/// Sees which driver has the application function, and that it can be removed if it has to be.
/// `stays` tells of the ids that the host shows whether they are known to be those afterwards.
pub(super) fn check(
    run: &mut Run<'_>,
    stays: impl FnOnce(PciIds) -> bool,
) -> Result<(), StepError> {
    let app = run.slot.app_bdf;
    let Some(info) = run.bus.function(app)? else {
        return Ok(());
    };
    run.driver = info.driver;
    let stays = stays(info.ids) && !keeps_state(run.driver.as_deref());
    if run.driver.is_some() && !stays {
        run.bus.can_remove(app)?;
    }
    Ok(())
}

/// Takes the application function from a driver that keeps state of the design, by removing it. The
/// step is left out where there is none.
pub(super) fn detach(run: &mut Run<'_>) -> Result<(), Failed> {
    if !keeps_state(run.driver.as_deref()) {
        return Ok(());
    }
    run.step(Step::Detach, |run| {
        tracing::info!(app = %run.slot.app_bdf, driver = run.driver, "detach");
        run.bus.remove(run.slot.app_bdf)?;
        run.detached = true;
        Ok(())
    })
}

/// Gives the application function back to the driver that passed it on to programs, and tells what
/// has become of the driver. A function that was removed has lost it: such a driver takes only what
/// it is told to.
pub(super) fn restore(run: &Run<'_>) -> Result<Option<DriverReport>, StepError> {
    let Some(before) = run.driver.clone() else {
        return Ok(None);
    };
    let (app, mgmt) = (run.slot.app_bdf, run.slot.mgmt.bdf);
    let now = || Ok::<_, StepError>(run.bus.function(app)?.and_then(|info| info.driver));
    if before == vfio::DRIVER && now()?.is_none() {
        tracing::info!(%app, driver = before, "bind again");
        run.bus.bind(app, mgmt, run.deadline)?;
    }
    Ok(Some(DriverReport {
        before,
        detached: run.detached,
        after: now()?,
    }))
}

fn keeps_state(driver: Option<&str>) -> bool {
    driver.is_some_and(|driver| !PASS_ON.contains(&driver))
}
