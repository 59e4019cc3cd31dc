//! Puts functions onto the driver `vfio-pci`, and takes them off it.
//!
//! Source: `Documentation/ABI/testing/sysfs-bus-pci` of Linux (`driver_override`, `bind`, `unbind`,
//! `drivers_probe`). Nothing of this outlives the function: once it is removed and found again, it is
//! on no driver, or on one that its ids choose.

mod error;
mod kernel;
mod orders;
#[cfg(test)]
mod tests;

use afi_proto::Bdf;

pub use error::{BindError, NotUndone};
pub(crate) use kernel::{Kernel, RunningKernel};
use orders::Orders;

use super::error::VfioError;
use super::places::{DRIVER, Places};
use crate::Deadline;

/// What binding changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The IOMMU group; `None` when the IOMMU is off.
    pub group: Option<u32>,
    /// The function that was bound or unbound first, then the other one of its slot if its driver
    /// changed, too.
    pub changes: Vec<DriverChange>,
}

/// The driver of a function, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverChange {
    /// The function.
    pub bdf: Bdf,
    /// What it was on.
    pub before: Option<String>,
    /// What it is on.
    pub after: Option<String>,
}

/// Puts `app` onto `vfio-pci`, and takes `mgmt`, the other function of its slot, off its driver if it
/// is in the same IOMMU group: a group is given to a program as a whole. A function that is on
/// `vfio-pci` already is left as it is.
///
/// # Errors
/// When the IOMMU is off, VFIO is not in the kernel, another function of the group is in the way, or
/// the kernel refuses a step. Everything is as it was then, or the error says what is not.
pub(crate) fn bind(
    places: &Places,
    kernel: &dyn Kernel,
    app: Bdf,
    mgmt: Bdf,
    deadline: &Deadline,
) -> Result<Binding, BindError> {
    let group = places.group_of(app)?;
    let driver = places.driver(DRIVER);
    if !driver.exists() {
        let module = "vfio-pci";
        return Err(VfioError::NoModule {
            module,
            path: driver,
        }
        .into());
    }
    let mut others = places.in_the_way(group);
    let names = [app.to_string(), mgmt.to_string()];
    let mgmt_is_in_the_way = others.iter().any(|other| other.name == names[1]);
    others.retain(|other| !names.contains(&other.name));
    if !others.is_empty() {
        return Err(VfioError::NotViable { group, others }.into());
    }
    let mut orders = Orders::new(places, kernel, deadline);
    let before = orders.driver_of(app)?;
    let mut changes = Vec::new();
    let done = (|| {
        if before.as_deref() != Some(DRIVER) {
            orders.unbind(app)?;
            orders.set_override(app, Some(DRIVER))?;
            orders.probe(app)?;
            orders.wait_for(app, DRIVER)?;
        }
        changes.push(DriverChange {
            bdf: app,
            before,
            after: Some(DRIVER.to_owned()),
        });
        if mgmt_is_in_the_way {
            let before = orders.unbind(mgmt)?;
            changes.push(DriverChange {
                bdf: mgmt,
                before,
                after: None,
            });
        }
        Ok(())
    })();
    match done {
        Ok(()) => Ok(Binding {
            group: Some(group),
            changes,
        }),
        Err(failed) => Err(orders.undo(failed)),
    }
}

/// Takes `app` off `vfio-pci`, and lets the kernel choose a driver for it and for `mgmt`, if that is
/// on none. A function that is on another driver is left as it is.
///
/// # Errors
/// When a program has the group open, or the kernel refuses a step. Everything is as it was then, or
/// the error says what is not.
pub(crate) fn unbind(
    places: &Places,
    kernel: &dyn Kernel,
    app: Bdf,
    mgmt: Bdf,
    deadline: &Deadline,
) -> Result<Binding, BindError> {
    let group = places.group_of(app).ok();
    let mut orders = Orders::new(places, kernel, deadline);
    let before = orders.driver_of(app)?;
    let mut changes = Vec::new();
    if before.as_deref() != Some(DRIVER) {
        changes.push(DriverChange {
            bdf: app,
            after: before.clone(),
            before,
        });
        return Ok(Binding { group, changes });
    }
    // The kernel would wait for the program to let go of the function.
    if let Some(group) = group.filter(|group| kernel.is_in_use(&places.group_file(*group))) {
        let holders = places.holders(group);
        return Err(VfioError::Busy { group, holders }.into());
    }
    let done = (|| {
        orders.unbind(app)?;
        orders.set_override(app, None)?;
        orders.probe(app)?;
        let after = orders.driver_of(app)?;
        changes.push(DriverChange {
            bdf: app,
            before,
            after,
        });
        let in_group = |bdf| places.group_of(bdf).ok() == group;
        if orders.driver_of(mgmt)?.is_none() && in_group(mgmt) {
            orders.probe(mgmt)?;
            let after = orders.driver_of(mgmt)?;
            changes.extend(after.is_some().then_some(DriverChange {
                bdf: mgmt,
                before: None,
                after,
            }));
        }
        Ok(())
    })();
    match done {
        Ok(()) => Ok(Binding { group, changes }),
        Err(failed) => Err(orders.undo(failed)),
    }
}
