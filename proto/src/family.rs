//! What differs between the FPGA instance families, as data.
//!
//! Source: `hdk/docs/AWS_Fpga_Pcie_Memory_Map.md` and `AWS_Shell_Interface_Specification.md` on
//! the `master` (F1) and `f2` branches, and `sdk/userspace/include/hal/fpga_common.h`.

use std::fmt;
use std::str::FromStr;

use crate::pci::BarIndex;
use crate::{Bdf, PciIds, ShellVersion};

/// An FPGA instance family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// F1: one Xilinx VU9P a slot.
    F1,
    /// F2: one AMD VU47P with HBM a slot.
    F2,
}

impl Family {
    /// Every family, oldest first.
    pub const ALL: [Self; 2] = [Self::F1, Self::F2];

    /// What is particular to this family.
    pub const fn profile(self) -> &'static FamilyProfile {
        match self {
            Self::F1 => &F1,
            Self::F2 => &F2,
        }
    }

    /// The family whose management function has these ids; `None` for any other device.
    pub fn of_management_function(ids: PciIds) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|family| family.profile().mgmt.same_device(ids))
    }

    /// The family whose slots run this shell; `None` for an unknown one.
    pub fn of_shell(version: ShellVersion) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|family| family.profile().shell(version).is_some())
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.profile().name)
    }
}

impl FromStr for Family {
    type Err = ParseFamilyError;

    fn from_str(text: &str) -> Result<Self, ParseFamilyError> {
        Self::ALL
            .into_iter()
            .find(|family| family.profile().name == text)
            .ok_or_else(|| ParseFamilyError {
                text: text.to_owned(),
            })
    }
}

crate::text::serde_as_text!(Family);

/// A text that names no family.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an FPGA instance family; wanted 'f1' or 'f2'")]
pub struct ParseFamilyError {
    text: String,
}

/// The tables of one family.
#[derive(Debug)]
pub struct FamilyProfile {
    /// Which family this is.
    pub family: Family,
    /// Its name in instance types: `f1`, `f2`.
    pub name: &'static str,
    /// The FPGA.
    pub part: &'static str,
    /// Its instance types.
    pub instance_types: &'static [InstanceType],
    /// Ids of the management function (MgmtPF), which stays through loads.
    pub mgmt: DeviceId,
    /// Ids of the application function (AppPF) of a cleared slot.
    pub cleared: DeviceId,
    /// Where the AppPF is relative to its MgmtPF.
    pub pairing: Pairing,
    /// BARs of the AppPF.
    pub app_bars: &'static [BarSpec],
    /// BARs of the MgmtPF.
    pub mgmt_bars: &'static [BarSpec],
    /// Shells that exist, the one that slots run today first.
    pub shells: &'static [Shell],
    /// Memory of the card as an image with all of its memory controllers sees it.
    pub memory: &'static [MemoryRange],
    /// Images that a slot keeps ready to load (LRU; `hdk/docs/load_times.md`).
    pub cached_images: usize,
    /// Power above which the shell stops an image's clocks, in watts (`hdk/docs/afi_power.md`,
    /// F1; F2 documents no figure and its shell reports 17 all the same).
    pub power_limit_watts: u64,
    /// Whether a slot can keep its DRAM's contents through a load (`hdk/docs/data_retention.md`).
    pub data_retention: bool,
}

impl FamilyProfile {
    /// The shell with this version, if the family has it.
    pub fn shell(&self, version: ShellVersion) -> Option<&'static Shell> {
        self.shells.iter().find(|shell| shell.version == version)
    }

    /// The shell that slots of the family run today.
    pub const fn current_shell(&self) -> &'static Shell {
        &self.shells[0]
    }

    /// The spec of a BAR of the AppPF.
    pub fn app_bar(&self, index: BarIndex) -> Option<&'static BarSpec> {
        self.app_bars.iter().find(|bar| bar.index == index)
    }
}

/// An instance type and its number of slots.
#[derive(Debug)]
pub struct InstanceType {
    /// As EC2 names it.
    pub name: &'static str,
    /// FPGA slots.
    pub slots: u8,
}

/// Vendor and device id: what tells one kind of function from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceId {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
}

impl DeviceId {
    /// Whether a function with these ids is such a device. Subsystem ids are not compared: no
    /// source documents them for the cloud's own functions.
    pub const fn same_device(self, ids: PciIds) -> bool {
        self.vendor == ids.vendor && self.device == ids.device
    }
}

/// Where the AppPF of a slot is, given its MgmtPF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// One device number below, same function.
    DeviceBelow,
    /// Function 0 of the same device, the MgmtPF being function 1.
    FunctionZero,
}

impl Pairing {
    /// The address of the AppPF of the slot whose MgmtPF is `mgmt`; `None` where there is no such
    /// address.
    pub const fn app_of(self, mgmt: Bdf) -> Option<Bdf> {
        let (domain, bus) = (mgmt.domain(), mgmt.bus());
        match self {
            Self::DeviceBelow => match mgmt.device().checked_sub(1) {
                Some(device) => Bdf::new(domain, bus, device, mgmt.function()),
                None => None,
            },
            Self::FunctionZero if mgmt.function() == 1 => Bdf::new(domain, bus, mgmt.device(), 0),
            Self::FunctionZero => None,
        }
    }
}

/// The size and kind of a BAR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarSpec {
    /// Which BAR.
    pub index: BarIndex,
    /// Its size in bytes, a power of two.
    pub size: u64,
    /// 64-bit address (and so two BAR registers).
    pub is_64bit: bool,
    /// Reads have no side effects and writes may be merged.
    pub prefetchable: bool,
    /// What it is for, in the field's term.
    pub purpose: &'static str,
}

const fn bar32(index: BarIndex, size: u64, purpose: &'static str) -> BarSpec {
    BarSpec {
        index,
        size,
        is_64bit: false,
        prefetchable: false,
        purpose,
    }
}

const fn bar64(index: BarIndex, size: u64, purpose: &'static str) -> BarSpec {
    BarSpec {
        index,
        size,
        is_64bit: true,
        prefetchable: true,
        purpose,
    }
}

/// A shell version that exists or existed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shell {
    /// Its version.
    pub version: ShellVersion,
    /// What the public documents call it.
    pub name: &'static str,
    /// Whether slots load images for it today.
    pub supported: bool,
    /// Whether it was in use once and was replaced. A shell that is neither supported nor this was
    /// announced and is not there yet.
    pub deprecated: bool,
    /// Whether it has the XDMA engine in the AppPF's BAR2.
    pub xdma: bool,
}

/// A range of the card's memory, as addressed through PCIS and DMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryRange {
    /// Name of the interface.
    pub name: &'static str,
    /// First address.
    pub base: u64,
    /// Length in bytes.
    pub size: u64,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

static F1: FamilyProfile = FamilyProfile {
    family: Family::F1,
    name: "f1",
    part: "xcvu9p",
    instance_types: &[
        InstanceType {
            name: "f1.2xlarge",
            slots: 1,
        },
        InstanceType {
            name: "f1.4xlarge",
            slots: 2,
        },
        InstanceType {
            name: "f1.16xlarge",
            slots: 8,
        },
    ],
    mgmt: DeviceId {
        vendor: 0x1D0F,
        device: 0x1041,
    },
    cleared: DeviceId {
        vendor: 0x1D0F,
        device: 0x1042,
    },
    pairing: Pairing::DeviceBelow,
    app_bars: &[
        bar32(BarIndex::BAR0, 32 * MIB, "OCL"),
        bar32(BarIndex::BAR1, 2 * MIB, "BAR1"),
        bar64(BarIndex::BAR2, 64 * KIB, "XDMA"),
        bar64(BarIndex::BAR4, 128 * GIB, "PCIS"),
    ],
    mgmt_bars: &[
        bar64(BarIndex::BAR0, 16 * KIB, "mailbox"),
        bar64(BarIndex::BAR2, 16 * KIB, "virtual JTAG"),
        bar64(BarIndex::BAR4, 4 * MIB, "SDA"),
    ],
    shells: &[
        Shell {
            version: ShellVersion(0x0426_1818),
            name: "XDMA shell 1.4",
            supported: true,
            deprecated: false,
            xdma: true,
        },
        Shell {
            version: ShellVersion(0x0418_2104),
            name: "small shell",
            supported: true,
            deprecated: false,
            xdma: false,
        },
        Shell {
            version: ShellVersion(0x0714_17D3),
            name: "shell 1.3",
            supported: false,
            deprecated: true,
            xdma: true,
        },
        Shell {
            version: ShellVersion(0x0415_1701),
            name: "shell 1.2",
            supported: false,
            deprecated: true,
            xdma: true,
        },
    ],
    memory: &[
        MemoryRange {
            name: "DDR A",
            base: 0,
            size: 16 * GIB,
        },
        MemoryRange {
            name: "DDR B",
            base: 0x4_0000_0000,
            size: 16 * GIB,
        },
        MemoryRange {
            name: "DDR C",
            base: 0x8_0000_0000,
            size: 16 * GIB,
        },
        MemoryRange {
            name: "DDR D",
            base: 0xC_0000_0000,
            size: 16 * GIB,
        },
    ],
    cached_images: 16,
    power_limit_watts: 85,
    data_retention: true,
};

static F2: FamilyProfile = FamilyProfile {
    family: Family::F2,
    name: "f2",
    part: "xcvu47p",
    instance_types: &[
        InstanceType {
            name: "f2.6xlarge",
            slots: 1,
        },
        InstanceType {
            name: "f2.12xlarge",
            slots: 2,
        },
        InstanceType {
            name: "f2.48xlarge",
            slots: 8,
        },
    ],
    mgmt: DeviceId {
        vendor: 0x1D0F,
        device: 0x9248,
    },
    cleared: DeviceId {
        vendor: 0x1D0F,
        device: 0x9048,
    },
    pairing: Pairing::FunctionZero,
    app_bars: &[
        bar64(BarIndex::BAR0, 64 * MIB, "OCL"),
        bar64(BarIndex::BAR2, 64 * KIB, "MSI-X"),
        bar64(BarIndex::BAR4, 128 * GIB, "PCIS"),
    ],
    mgmt_bars: &[
        bar64(BarIndex::BAR0, 16 * KIB, "mailbox"),
        bar64(BarIndex::BAR2, 16 * KIB, "virtual JTAG"),
        bar64(BarIndex::BAR4, 4 * MIB, "SDA"),
    ],
    shells: &[
        Shell {
            version: ShellVersion(0x1021_2415),
            name: "small shell",
            supported: true,
            deprecated: false,
            xdma: false,
        },
        Shell {
            version: ShellVersion(0x1016_2423),
            name: "XDMA shell",
            supported: false,
            deprecated: false,
            xdma: true,
        },
    ],
    memory: &[
        MemoryRange {
            name: "DDR",
            base: 0,
            size: 64 * GIB,
        },
        MemoryRange {
            name: "HBM",
            base: 0x10_0000_0000,
            size: 16 * GIB,
        },
    ],
    cached_images: 16,
    power_limit_watts: 85,
    data_retention: false,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_by_their_management_function_only() {
        let f1 = PciIds::new(0x1D0F, 0x1041, 0, 0);
        let f2 = PciIds::new(0x1D0F, 0x9248, 1, 2);
        assert_eq!(Family::of_management_function(f1), Some(Family::F1));
        assert_eq!(Family::of_management_function(f2), Some(Family::F2));
        let application = PciIds::new(0x1D0F, 0x1042, 0, 0);
        assert_eq!(Family::of_management_function(application), None);
    }

    #[test]
    fn the_application_function_of_each_family_is_where_the_memory_map_says() {
        let of = |family: Family, mgmt: &str| {
            let app = family.profile().pairing.app_of(mgmt.parse().unwrap());
            app.map(|bdf| bdf.to_string())
        };
        assert_eq!(
            of(Family::F1, "0000:00:1e.0").as_deref(),
            Some("0000:00:1d.0")
        );
        assert_eq!(of(Family::F1, "0000:00:00.0"), None);
        assert_eq!(
            of(Family::F2, "0000:34:00.1").as_deref(),
            Some("0000:34:00.0")
        );
        assert_eq!(of(Family::F2, "0000:34:00.0"), None);
    }

    #[test]
    fn bars_are_powers_of_two_and_do_not_overlap() {
        for family in Family::ALL {
            let profile = family.profile();
            for bars in [profile.app_bars, profile.mgmt_bars] {
                let mut next = 0;
                for bar in bars {
                    assert!(bar.size.is_power_of_two());
                    assert!(bar.index.get() >= next, "{family} {}", bar.index);
                    next = bar.index.get() + if bar.is_64bit { 2 } else { 1 };
                }
                assert!(next <= 6);
            }
        }
    }

    #[test]
    fn a_shell_belongs_to_one_family() {
        let version = |text: &str| text.parse::<ShellVersion>().unwrap();
        assert_eq!(Family::of_shell(version("0x04261818")), Some(Family::F1));
        assert_eq!(Family::of_shell(version("0x10212415")), Some(Family::F2));
        assert_eq!(Family::of_shell(version("0x00000001")), None);
        assert!(
            !Family::F1
                .profile()
                .shell(version("0x071417d3"))
                .unwrap()
                .supported
        );
    }
}
