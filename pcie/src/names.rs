//! Names of PCI devices, from the public id database (`pci.ids`).

use afi_proto::{Family, PciIds};
use pci_ids::FromId;

/// What a function with these ids is, for a person: vendor and device name where the database has
/// them. The cloud's own functions, some of which it lacks, are named from the family tables.
pub fn describe(ids: PciIds) -> String {
    for family in Family::ALL {
        let profile = family.profile();
        let name = profile.name.to_uppercase();
        if profile.mgmt.same_device(ids) {
            return format!("Amazon.com, Inc. {name} FPGA management");
        }
        if profile.cleared.same_device(ids) {
            return format!("Amazon.com, Inc. {name} FPGA application, cleared");
        }
    }
    match vendor(ids.vendor) {
        None => format!("unknown vendor {:#06x}", ids.vendor),
        Some(vendor) => {
            let device = pci_ids::Device::from_vid_pid(ids.vendor, ids.device).map_or_else(
                || format!("device {:#06x}", ids.device),
                |d| d.name().to_owned(),
            );
            format!("{vendor} {device}")
        }
    }
}

/// The name of a vendor.
pub fn vendor(id: u16) -> Option<&'static str> {
    pci_ids::Vendor::from_id(id).map(pci_ids::Vendor::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_by_what_they_are() {
        let name = |vendor, device| describe(PciIds::new(vendor, device, 0, 0));
        assert_eq!(name(0x1D0F, 0x1041), "Amazon.com, Inc. F1 FPGA management");
        assert_eq!(
            name(0x1D0F, 0x9048),
            "Amazon.com, Inc. F2 FPGA application, cleared"
        );
        assert_eq!(
            name(0x8086, 0x100E),
            "Intel Corporation 82540EM Gigabit Ethernet Controller"
        );
        assert_eq!(name(0x1D0F, 0xF0FE), "Amazon.com, Inc. device 0xf0fe");
        assert_eq!(name(0x0666, 0), "unknown vendor 0x0666");
    }
}
