//! Names of things on a PCI bus: addresses, ids, BAR numbers, and the slots made of them.

use std::fmt;
use std::str::FromStr;

use crate::text::{hex, serde_as_text};

/// The address of a PCI function: domain, bus, device, function.
///
/// Written as Linux does, `0000:00:1d.0`; the domain may be left out when parsing.
/// Orders as the bus does: by domain, bus, device, function.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bdf {
    domain: u16,
    bus: u8,
    device: u8,
    function: u8,
}

impl Bdf {
    /// Makes an address. `None` when `device` is above 31 or `function` above 7
    /// (PCI Local Bus 3.0, 3.2.2.3.2).
    pub const fn new(domain: u16, bus: u8, device: u8, function: u8) -> Option<Self> {
        if device > 31 || function > 7 {
            return None;
        }
        Some(Self {
            domain,
            bus,
            device,
            function,
        })
    }

    /// The PCI domain (segment).
    pub const fn domain(self) -> u16 {
        self.domain
    }

    /// The bus number in the domain.
    pub const fn bus(self) -> u8 {
        self.bus
    }

    /// The device number on the bus, 0 to 31.
    pub const fn device(self) -> u8 {
        self.device
    }

    /// The function number in the device, 0 to 7.
    pub const fn function(self) -> u8 {
        self.function
    }
}

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            domain,
            bus,
            device,
            function,
        } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function}")
    }
}

impl fmt::Debug for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Bdf {
    type Err = ParseBdfError;

    fn from_str(text: &str) -> Result<Self, ParseBdfError> {
        let parse = || {
            let (address, function) = text.split_once('.')?;
            let mut parts = address.rsplit(':');
            let device = hex(parts.next()?, 2)?;
            let bus = hex(parts.next()?, 2)?;
            let domain = parts.next().map_or(Some(0), |d| hex(d, 4))?;
            if parts.next().is_some() {
                return None;
            }
            let function = hex(function, 1)?;
            Self::new(domain as u16, bus as u8, device as u8, function as u8)
        };
        parse().ok_or_else(|| ParseBdfError {
            text: text.to_owned(),
        })
    }
}

serde_as_text!(Bdf);

/// A text that is not a PCI address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a PCI address; wanted domain:bus:device.function, such as 0000:00:1d.0")]
pub struct ParseBdfError {
    text: String,
}

/// The four ids by which a PCI function tells what it is. They are how an image is recognised on
/// the bus (`AWS_Fpga_Pcie_Memory_Map.md`; AFI manifest keys `pci_vendor_id` and so on).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PciIds {
    /// Vendor id, configuration space 0x00.
    pub vendor: u16,
    /// Device id, 0x02.
    pub device: u16,
    /// Subsystem vendor id, 0x2C.
    pub subsystem_vendor: u16,
    /// Subsystem id, 0x2E.
    pub subsystem: u16,
}

impl PciIds {
    /// Makes ids in the order of a mailbox message: vendor, device, subsystem vendor, subsystem.
    pub const fn new(vendor: u16, device: u16, subsystem_vendor: u16, subsystem: u16) -> Self {
        Self {
            vendor,
            device,
            subsystem_vendor,
            subsystem,
        }
    }

    /// True for what a read of configuration space gives when no device answers.
    pub const fn is_absent(self) -> bool {
        self.vendor == 0xFFFF
    }
}

impl fmt::Display for PciIds {
    /// `vendor:device subsystem_vendor:subsystem` in hexadecimal, as `lspci -n` writes them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            vendor,
            device,
            subsystem_vendor,
            subsystem,
        } = self;
        write!(
            f,
            "{vendor:04x}:{device:04x} {subsystem_vendor:04x}:{subsystem:04x}"
        )
    }
}

impl fmt::Debug for PciIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A BAR number, 0 to 5 (PCI Local Bus 3.0, 6.2.5.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BarIndex(u8);

impl BarIndex {
    /// BAR 0.
    pub const BAR0: Self = Self(0);
    /// BAR 1.
    pub const BAR1: Self = Self(1);
    /// BAR 2.
    pub const BAR2: Self = Self(2);
    /// BAR 4.
    pub const BAR4: Self = Self(4);

    /// Makes a BAR number; `None` above 5.
    pub const fn new(index: u8) -> Option<Self> {
        if index < 6 { Some(Self(index)) } else { None }
    }

    /// The number, 0 to 5.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for BarIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BAR{}", self.0)
    }
}

impl fmt::Debug for BarIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number of an FPGA slot of an instance: its place among the management functions, in bus
/// order (`fpga_pci_get_all_slot_specs` in `fpga_pci_sysfs.c`).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct SlotIndex(pub u8);

impl fmt::Display for SlotIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for SlotIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bdf_reads_what_linux_writes() {
        let bdf: Bdf = "0000:00:1d.0".parse().unwrap();
        assert_eq!(bdf, Bdf::new(0, 0, 0x1d, 0).unwrap());
        assert_eq!("00:1d.0".parse(), Ok(bdf));
        assert_eq!(bdf.to_string(), "0000:00:1d.0");
    }

    #[test]
    fn bdf_refuses_what_is_none() {
        for text in [
            "",
            "0",
            "1d.0.0",
            "00:20.0",
            "00:1d.8",
            "0:0:0:1d.0",
            "00:1d",
            "00:+d.0",
            "00: d.0",
            "10000:00:1d.0",
            "00:1d.0 ",
            ":1d.0",
        ] {
            let error = text.parse::<Bdf>().unwrap_err().to_string();
            assert!(
                error.contains(text) && error.contains("0000:00:1d.0"),
                "{error}"
            );
        }
    }

    #[test]
    fn bdfs_sort_as_the_bus_does() {
        let order = [
            "0000:00:0f.0",
            "0000:00:10.0",
            "0000:00:10.1",
            "0000:01:00.0",
            "0001:00:00.0",
        ];
        let mut bdfs: Vec<Bdf> = order.iter().rev().map(|t| t.parse().unwrap()).collect();
        bdfs.sort();
        let sorted: Vec<String> = bdfs.iter().map(Bdf::to_string).collect();
        assert_eq!(sorted, order);
    }

    proptest! {
        #[test]
        fn bdf_survives_its_text(domain: u16, bus: u8, device in 0u8..32, function in 0u8..8) {
            let bdf = Bdf::new(domain, bus, device, function).unwrap();
            prop_assert_eq!(bdf.to_string().parse(), Ok(bdf));
        }

        #[test]
        fn bdf_parsing_never_panics(text: String) {
            let _ = text.parse::<Bdf>();
        }
    }
}
