//! Where the functions of the slots are on the bus.

use afi_proto::{Bdf, Family};

/// The most slots an instance has (f1.16xlarge, f2.48xlarge).
pub const MAX_SLOTS: u8 = 8;

/// Device numbers of the AppPFs of an f1.16xlarge, on bus 0; each MgmtPF is at the next device
/// (`AWS_Fpga_Pcie_Memory_Map.md`). Smaller types have the last ones: f1.2xlarge has 00:1d.0.
const F1_DEVICES: [u8; MAX_SLOTS as usize] = [0x0F, 0x11, 0x13, 0x15, 0x17, 0x19, 0x1B, 0x1D];

/// Buses of the cards of an f2.48xlarge, as `fpga-describe-local-image-slots` lists them
/// (`fpga_mgmt_tools/README.rst` on the `f2` branch).
const F2_BUSES: [u8; MAX_SLOTS as usize] = [0x9F, 0xA1, 0xA3, 0xA5, 0xAE, 0xB0, 0xB2, 0xB4];
/// Bus of the one card of an f2.6xlarge (the same document).
const F2_SINGLE_BUS: u8 = 0x34;

/// Addresses of the functions of an instance with so many slots (at most [`MAX_SLOTS`]), in the
/// order of the slots: each the MgmtPF and its AppPF.
pub fn bdfs(family: Family, slots: u8) -> Vec<(Bdf, Bdf)> {
    let slots = usize::from(slots.min(MAX_SLOTS));
    let mgmt: Vec<Option<Bdf>> = match family {
        Family::F1 => {
            let devices = F1_DEVICES.iter().skip(F1_DEVICES.len() - slots);
            devices.map(|app| Bdf::new(0, 0, app + 1, 0)).collect()
        }
        Family::F2 if slots == 1 => vec![Bdf::new(0, F2_SINGLE_BUS, 0, 1)],
        Family::F2 => {
            let buses = F2_BUSES.iter().take(slots);
            buses.map(|bus| Bdf::new(0, *bus, 0, 1)).collect()
        }
    };
    let pairing = family.profile().pairing;
    mgmt.into_iter()
        .flatten()
        .filter_map(|mgmt| Some((mgmt, pairing.app_of(mgmt)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(family: Family, slots: u8) -> Vec<(String, String)> {
        let pair = |(mgmt, app): (Bdf, Bdf)| (mgmt.to_string(), app.to_string());
        bdfs(family, slots).into_iter().map(pair).collect()
    }

    #[test]
    fn addresses_are_those_of_the_documents() {
        let pair = |mgmt: &str, app: &str| (mgmt.to_owned(), app.to_owned());
        assert_eq!(text(Family::F1, 1), [pair("0000:00:1e.0", "0000:00:1d.0")]);
        let eight = text(Family::F1, 8);
        assert_eq!(eight[0], pair("0000:00:10.0", "0000:00:0f.0"));
        assert_eq!(eight[7], pair("0000:00:1e.0", "0000:00:1d.0"));
        assert_eq!(text(Family::F2, 1), [pair("0000:34:00.1", "0000:34:00.0")]);
        assert_eq!(text(Family::F2, 8)[7], pair("0000:b4:00.1", "0000:b4:00.0"));
    }

    #[test]
    fn every_count_gives_so_many_slots_in_bus_order() {
        for family in Family::ALL {
            for slots in 0..=MAX_SLOTS {
                let mgmt: Vec<Bdf> = bdfs(family, slots).into_iter().map(|pair| pair.0).collect();
                assert_eq!(mgmt.len(), usize::from(slots));
                assert!(mgmt.is_sorted_by(|a, b| a < b));
            }
            assert_eq!(bdfs(family, u8::MAX).len(), usize::from(MAX_SLOTS));
        }
    }
}
