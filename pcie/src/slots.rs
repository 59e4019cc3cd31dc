//! FPGA slots: pairs of PCI functions.

use afi_proto::{Bdf, Family, SlotIndex};

use crate::bus::{Bus, FunctionInfo};
use crate::error::BusError;

/// An FPGA slot of the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its number: the place of its management function in bus order.
    pub index: SlotIndex,
    /// The family, told by the management function.
    pub family: Family,
    /// The management function, which stays through loads.
    pub mgmt: FunctionInfo,
    /// Where the application function is, or was or will be during a load.
    pub app_bdf: Bdf,
    /// The application function; `None` while the host does not see it.
    pub app: Option<FunctionInfo>,
}

/// Finds the slots of an instance, in order of their numbers.
///
/// # Errors
/// When the bus cannot be read.
pub fn discover(bus: &dyn Bus) -> Result<Vec<Slot>, BusError> {
    Ok(pair(bus.functions()?))
}

/// Pairs functions into slots.
fn pair(mut functions: Vec<FunctionInfo>) -> Vec<Slot> {
    functions.sort_by_key(|function| function.bdf);
    let managed = functions.iter().filter_map(|mgmt| {
        let family = Family::of_management_function(mgmt.ids)?;
        let app_bdf = family.profile().pairing.app_of(mgmt.bdf)?;
        Some((family, mgmt, app_bdf))
    });
    managed
        .zip(0..=u8::MAX)
        .map(|((family, mgmt, app_bdf), index)| Slot {
            index: SlotIndex(index),
            family,
            mgmt: mgmt.clone(),
            app_bdf,
            app: functions
                .iter()
                .find(|function| function.bdf == app_bdf)
                .cloned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use afi_proto::PciIds;

    fn function(bdf: &str, device: u16) -> FunctionInfo {
        FunctionInfo {
            bdf: bdf.parse().unwrap(),
            ids: PciIds::new(0x1D0F, device, 0, 0),
            driver: None,
            numa_node: None,
        }
    }

    #[test]
    fn slots_are_numbered_in_bus_order_whatever_order_the_host_lists() {
        let slots = pair(vec![
            function("0000:00:1e.0", 0x1041),
            function("0000:00:03.0", 0xEC20),
            function("0000:00:1c.0", 0x1041),
            function("0000:00:1b.0", 0x1042),
            function("0000:00:1d.0", 0xF001),
        ]);
        let found: Vec<_> = slots
            .iter()
            .map(|s| (s.index.0, s.mgmt.bdf.to_string()))
            .collect();
        assert_eq!(
            found,
            [(0, "0000:00:1c.0".into()), (1, "0000:00:1e.0".into())]
        );
        assert_eq!(slots[1].app.as_ref().unwrap().ids.device, 0xF001);
    }

    #[test]
    fn a_slot_whose_application_function_is_away_is_still_a_slot() {
        let slots = pair(vec![
            function("0000:34:00.1", 0x9248),
            function("0000:35:00.0", 0x9048),
        ]);
        assert_eq!(slots.len(), 1);
        assert_eq!(slots[0].family, Family::F2);
        assert_eq!(slots[0].app, None);
        assert_eq!(slots[0].app_bdf.to_string(), "0000:34:00.0");
    }
}
