//! Which functions belong to FPGA slots.
//!
//! A management function is known by its vendor and device id. An application function has whatever
//! ids its image gave it, so it is known by its place beside a management function, in the way of
//! that one's family ([`Pairing`](afi_proto::family::Pairing)). Whatever else is on the bus is never
//! opened or removed, and of the rest only ids are read. A bridge is never taken for an application
//! function, whatever its place: to remove it would take along all that is behind it.

use std::collections::BTreeMap;

use afi_proto::{Bdf, Family, PciIds};

use super::attribute::{self, WANTED_CLASS, WANTED_ID, WANTED_NODE};
use super::tree::{Device, Missed, Tree};
use crate::{BusError, FunctionInfo};

/// Base class of bridges (PCI Code and ID Assignment Specification 1.11, 1.7).
const BRIDGE: u32 = 0x06;

/// The functions of FPGA slots, in bus order; see [`super::SysfsBus`].
pub(super) fn functions(tree: &Tree) -> Result<Vec<FunctionInfo>, BusError> {
    let slots = find_slots(tree)?;
    let mut infos = Vec::new();
    for (bdf, place) in slots.places {
        let info = tree.device(bdf).and_then(|device| {
            if place == Place::Application && is_bridge(&device)? {
                return Err(Missed::Went);
            }
            info(&device)
        });
        match info {
            Ok(info) => infos.push(info),
            Err(Missed::Went) => {}
            Err(Missed::Failed(error)) => return Err(error),
        }
    }
    match slots.skipped {
        Some(error) if infos.is_empty() => Err(error),
        _ => Ok(infos),
    }
}

/// The function at an address, if it belongs to an FPGA slot.
pub(super) fn identify(tree: &Tree, bdf: Bdf) -> Result<Device, Missed> {
    let device = tree.device(bdf)?;
    let (vendor, id) = (read_id(&device, "vendor")?, read_id(&device, "device")?);
    let is_management = Family::of_management_function(PciIds::new(vendor, id, 0, 0)).is_some();
    if is_management || is_beside_management(tree, bdf)? && !is_bridge(&device)? {
        return Ok(device);
    }
    let device = id;
    let error = BusError::NotFpga {
        bdf,
        vendor,
        device,
    };
    Err(error.into())
}

/// What the kernel enumerated of a function.
pub(super) fn info(device: &Device) -> Result<FunctionInfo, Missed> {
    let driver = device.link("driver")?;
    // Not there in a kernel that knows no nodes.
    let numa_node = device.value_if_there("numa_node", WANTED_NODE, attribute::numa_node)?;
    let id = |name| read_id(device, name);
    Ok(FunctionInfo {
        bdf: device.bdf,
        ids: PciIds {
            vendor: id("vendor")?,
            device: id("device")?,
            subsystem_vendor: id("subsystem_vendor")?,
            subsystem: id("subsystem_device")?,
        },
        driver,
        numa_node: numa_node.flatten(),
    })
}

/// What place in a slot an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Management,
    Application,
}

/// What the ids of all functions tell.
#[derive(Default)]
struct Slots {
    /// Where functions of slots are, or belong.
    places: BTreeMap<Bdf, Place>,
    /// Why the first function of those whose ids cannot be read was skipped.
    skipped: Option<BusError>,
}

fn find_slots(tree: &Tree) -> Result<Slots, BusError> {
    let mut slots = Slots::default();
    for bdf in tree.addresses()? {
        match management_family(tree, bdf) {
            Ok(None) | Err(Seen::Went) => {}
            Ok(Some(family)) => {
                // Its ids say what it is, even where it is in the place of another one's.
                slots.places.insert(bdf, Place::Management);
                if let Some(app) = family.profile().pairing.app_of(bdf) {
                    slots.places.entry(app).or_insert(Place::Application);
                }
            }
            Err(Seen::Unknown(error)) => {
                tracing::debug!(%bdf, error = &error as &dyn std::error::Error, "skipped");
                slots.skipped.get_or_insert(error);
            }
            Err(Seen::Ours(error)) => return Err(error),
        }
    }
    Ok(slots)
}

/// Why it is not known whether a function is a management function.
pub(super) enum Seen {
    /// It went.
    Went,
    /// Nothing speaks for it.
    Unknown(BusError),
    /// It is of the vendor of management functions.
    Ours(BusError),
}

/// The family of which the function at this address is a management function.
pub(super) fn management_family(tree: &Tree, bdf: Bdf) -> Result<Option<Family>, Seen> {
    let unknown = |missed| match missed {
        Missed::Went => Seen::Went,
        Missed::Failed(error) => Seen::Unknown(error),
    };
    let device = tree.device(bdf).map_err(unknown)?;
    let vendor = read_id(&device, "vendor").map_err(unknown)?;
    let of_vendor = |family: &Family| family.profile().mgmt.vendor == vendor;
    if !Family::ALL.iter().any(of_vendor) {
        return Ok(None);
    }
    let id = read_id(&device, "device").map_err(|missed| match missed {
        Missed::Went => Seen::Went,
        Missed::Failed(error) => Seen::Ours(error),
    })?;
    Ok(Family::of_management_function(PciIds::new(
        vendor, id, 0, 0,
    )))
}

/// Whether an address is that of the application function of a slot.
fn is_beside_management(tree: &Tree, app: Bdf) -> Result<bool, Missed> {
    let mut failed = None;
    for (family, mgmt) in managers_of(app) {
        match management_family(tree, mgmt) {
            Ok(Some(found)) if found == family => return Ok(true),
            Ok(_) | Err(Seen::Went) => {}
            Err(Seen::Unknown(error) | Seen::Ours(error)) => failed = Some(error),
        }
    }
    failed.map_or(Ok(false), |error| Err(error.into()))
}

/// The addresses of the management function of a slot whose application function is at `app`, one
/// for each family that has one.
fn managers_of(app: Bdf) -> impl Iterator<Item = (Family, Bdf)> {
    let on_bus = (0..32).flat_map(move |device| {
        (0..8).filter_map(move |function| Bdf::new(app.domain(), app.bus(), device, function))
    });
    Family::ALL.into_iter().flat_map(move |family| {
        let pairing = family.profile().pairing;
        let beside = on_bus
            .clone()
            .filter(move |mgmt| pairing.app_of(*mgmt) == Some(app));
        beside.map(move |mgmt| (family, mgmt))
    })
}

fn is_bridge(device: &Device) -> Result<bool, Missed> {
    let class = device.value("class", WANTED_CLASS, attribute::class)?;
    Ok(class >> 16 == BRIDGE)
}

fn read_id(device: &Device, name: &str) -> Result<u16, Missed> {
    device.value(name, WANTED_ID, attribute::id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_management_function_is_where_its_family_has_it() {
        let managers = |app: &str| -> Vec<_> {
            let managers = managers_of(app.parse().unwrap());
            managers.map(|(f, bdf)| (f, bdf.to_string())).collect()
        };
        let (f1, f2) = (Family::F1, Family::F2);
        let expected = [(f1, "0000:00:1e.0".into()), (f2, "0000:00:1d.1".into())];
        assert_eq!(managers("0000:00:1d.0"), expected);
        assert_eq!(managers("0000:00:1f.0"), [(f2, "0000:00:1f.1".into())]);
        assert_eq!(managers("0000:00:1f.1"), []);
    }
}
