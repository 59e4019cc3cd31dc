//! What memory a host program finds behind PCIS and the DMA engine, by design.
//!
//! The shell hands every access to AppPF BAR4 (PCIS) and every DMA transfer to the design; which
//! addresses have memory behind them is the design's own business. Designs are told by their ids:
//! the public examples are known here, all others are taken to have the whole range of the BAR.
//!
//! Sources: `hdk/docs/AWS_Fpga_Pcie_Memory_Map.md` (ranges, reserved top of BAR4), and
//! `design/cl_id_defines.vh` of each public example (ids), on the `master` (F1) and `f2` branches.

use std::borrow::Cow;
use std::fmt;

use crate::pci::BarIndex;
use crate::{Family, PciIds};

/// Bytes at the top of AppPF BAR4 that the shell keeps for itself (`AWS_Fpga_Pcie_Memory_Map.md`).
pub const RESERVED_TOP: u64 = 1 << 30;
/// The name of the one range of a design that is not known.
const WHOLE: &str = "PCIS";

/// The public example designs: vendor and subsystem id are the same for all of them.
const VENDOR: u16 = 0x1D0F;
const SUBSYSTEM: u16 = 0x1D51;
static PUBLIC: &[Public] = &[
    // The memory-less examples of F1, and the UltraRAM one, which answers on OCL only.
    public(Family::F1, 0xF000, 0xFEDD, "cl_hello_world", false),
    public(Family::F1, 0xF001, 0xFEDC, "cl_dram_dma", true),
    public(Family::F1, 0xF002, 0xFEDC, "cl_sde", false),
    public(Family::F2, 0xF001, 0xFEDC, "cl_dram_hbm_dma", true),
    public(Family::F2, 0xF002, 0xFEDC, "cl_sde", false),
    public(Family::F2, 0xF004, 0xFEDC, "cl_mem_perf", true),
];

struct Public {
    family: Family,
    device: u16,
    subsystem_vendor: u16,
    name: &'static str,
    memory: bool,
}

const fn public(
    family: Family,
    device: u16,
    subsystem_vendor: u16,
    name: &'static str,
    memory: bool,
) -> Public {
    Public {
        family,
        device,
        subsystem_vendor,
        name,
        memory,
    }
}

/// What is known of the memory of a design.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DesignMemory {
    /// The slot runs no design.
    Cleared,
    /// A public example with memory.
    Known {
        /// Its name.
        design: &'static str,
        /// Its memory.
        map: MemoryMap,
    },
    /// A public example without memory.
    Without {
        /// Its name.
        design: &'static str,
    },
    /// Any other design: the whole range that reaches it.
    Unknown {
        /// That range.
        map: MemoryMap,
    },
}

impl DesignMemory {
    /// What is known of the design whose AppPF has these ids.
    pub fn of(family: Family, ids: PciIds) -> Self {
        let profile = family.profile();
        if profile.cleared.same_device(ids) {
            return Self::Cleared;
        }
        let design = PUBLIC.iter().find(|public| {
            let theirs = PciIds::new(VENDOR, public.device, public.subsystem_vendor, SUBSYSTEM);
            public.family == family && theirs == ids
        });
        match design {
            Some(Public { name, memory, .. }) if *memory => Self::Known {
                design: name,
                map: MemoryMap::of_all_controllers(family),
            },
            Some(Public { name, .. }) => Self::Without { design: name },
            None => Self::Unknown {
                map: MemoryMap::of_pcis(family),
            },
        }
    }
}

/// Ranges of addresses with memory behind them: in order, apart, and none of them empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryMap {
    ranges: Vec<MapRange>,
}

/// A range of a [`MemoryMap`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapRange {
    /// Its name, for people.
    pub name: Cow<'static, str>,
    /// First address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// Ranges that make no map, or an access that is outside of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryMapError {
    /// There are no ranges.
    #[error("a memory map needs at least one range")]
    Empty,
    /// A range has no bytes, or ends behind the last address.
    #[error("{name} at {base:#x} with {size:#x} bytes is no range of addresses")]
    NoRange {
        /// Its name.
        name: String,
        /// Its first address.
        base: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// Two ranges have addresses in common.
    #[error("{first} and {second} overlap")]
    Overlap {
        /// The name of the one that begins first.
        first: String,
        /// The name of the other.
        second: String,
    },
    /// An access is not inside the map.
    #[error(
        "{length:#x} bytes at {address:#x}: there is no memory at {outside:#x}; the design has {map}"
    )]
    Outside {
        /// Where the access begins.
        address: u64,
        /// Its length in bytes.
        length: u64,
        /// The first of its addresses without memory.
        outside: u64,
        /// The map, in words.
        map: String,
    },
}

impl MemoryMap {
    /// A map of these ranges, in any order.
    ///
    /// # Errors
    /// When there are none, or they are empty or overlap.
    pub fn new(mut ranges: Vec<MapRange>) -> Result<Self, MemoryMapError> {
        ranges.sort_by_key(|range| range.base);
        for range in &ranges {
            if range.size == 0 || range.base.checked_add(range.size).is_none() {
                return Err(MemoryMapError::NoRange {
                    name: range.name.to_string(),
                    base: range.base,
                    size: range.size,
                });
            }
        }
        for pair in ranges.windows(2) {
            if pair[0].end() > pair[1].base {
                return Err(MemoryMapError::Overlap {
                    first: pair[0].name.to_string(),
                    second: pair[1].name.to_string(),
                });
            }
        }
        if ranges.is_empty() {
            return Err(MemoryMapError::Empty);
        }
        Ok(Self { ranges })
    }

    /// What a design with all memory controllers of the card has.
    pub fn of_all_controllers(family: Family) -> Self {
        let ranges = family.profile().memory.iter().map(|range| MapRange {
            name: range.name.into(),
            base: range.base,
            size: range.size,
        });
        let ranges = ranges.collect();
        Self { ranges }
    }

    /// All addresses that reach a design through PCIS.
    pub fn of_pcis(family: Family) -> Self {
        let bar = family.profile().app_bar(BarIndex::BAR4);
        let size = bar.map_or(RESERVED_TOP, |bar| bar.size) - RESERVED_TOP;
        let whole = MapRange {
            name: WHOLE.into(),
            base: 0,
            size,
        };
        Self {
            ranges: vec![whole],
        }
    }

    /// The ranges, in order of their addresses.
    pub fn ranges(&self) -> &[MapRange] {
        &self.ranges
    }

    /// Bytes of memory.
    pub fn size(&self) -> u64 {
        self.ranges.iter().map(|range| range.size).sum()
    }

    /// The range that an address is in.
    pub fn range_at(&self, address: u64) -> Option<&MapRange> {
        let at = self.ranges.partition_point(|range| range.base <= address);
        let range = &self.ranges[at.checked_sub(1)?];
        (address < range.end()).then_some(range)
    }

    /// Whether all bytes of an access have memory behind them. One that goes from a range into the
    /// next has, where they adjoin.
    ///
    /// # Errors
    /// When one has not, or the access ends behind the last address.
    pub fn check(&self, address: u64, length: u64) -> Result<(), MemoryMapError> {
        let mut left = length;
        let mut at = address;
        while left > 0 {
            let Some(range) = self.range_at(at) else {
                return Err(MemoryMapError::Outside {
                    address,
                    length,
                    outside: at,
                    map: self.to_string(),
                });
            };
            let here = left.min(range.end() - at);
            left -= here;
            at += here;
        }
        Ok(())
    }
}

impl MapRange {
    /// The first address behind it.
    pub const fn end(&self) -> u64 {
        self.base + self.size
    }
}

impl fmt::Display for MemoryMap {
    /// `DDR A at 0x0 to 0x3ffffffff, …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, range) in self.ranges.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            let (name, base, last) = (&range.name, range.base, range.end() - 1);
            write!(f, "{separator}{name} at {base:#x} to {last:#x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GIB: u64 = 1 << 30;

    fn range(name: &'static str, base: u64, size: u64) -> MapRange {
        let name = name.into();
        MapRange { name, base, size }
    }

    #[test]
    fn public_designs_are_told_by_all_four_ids() {
        let of = |family, device, subsystem_vendor| {
            DesignMemory::of(
                family,
                PciIds::new(0x1D0F, device, subsystem_vendor, 0x1D51),
            )
        };
        assert!(matches!(
            of(Family::F1, 0xF001, 0xFEDC),
            DesignMemory::Known { design: "cl_dram_dma", map } if map.ranges().len() == 4
        ));
        assert!(matches!(
            of(Family::F2, 0xF001, 0xFEDC),
            DesignMemory::Known { design: "cl_dram_hbm_dma", map } if map.size() == 80 * GIB
        ));
        assert!(matches!(
            of(Family::F1, 0xF000, 0xFEDD),
            DesignMemory::Without {
                design: "cl_hello_world"
            }
        ));
        assert_eq!(of(Family::F1, 0x1042, 0x1D0F), DesignMemory::Cleared);
        assert_eq!(of(Family::F2, 0x9048, 0), DesignMemory::Cleared);
        for (device, subsystem_vendor) in [(0xF000, 0xFEDC), (0xF001, 0xFEDD), (0xF010, 0xFEDC)] {
            let DesignMemory::Unknown { map } = of(Family::F1, device, subsystem_vendor) else {
                panic!("{device:#x}");
            };
            assert_eq!(map.ranges(), [range("PCIS", 0, 127 * GIB)]);
        }
    }

    #[test]
    fn an_access_may_cross_ranges_that_adjoin_and_nothing_else() {
        let f1 = MemoryMap::of_all_controllers(Family::F1);
        assert_eq!(f1.check(16 * GIB - 4, 8), Ok(()));
        assert_eq!(f1.check(0, 64 * GIB), Ok(()));
        let past = f1.check(64 * GIB - 4, 8).unwrap_err();
        assert!(
            matches!(past, MemoryMapError::Outside { outside, .. } if outside == 64 * GIB),
            "{past}"
        );
        let apart = MemoryMap::new(vec![range("b", 0x2000, 0x1000), range("a", 0, 0x1000)]);
        let apart = apart.unwrap();
        assert_eq!(apart.check(0x2000, 0x1000), Ok(()));
        assert_eq!(
            apart.check(0xFFF, 2).unwrap_err().to_string(),
            "0x2 bytes at 0xfff: there is no memory at 0x1000; the design has a at 0x0 to 0xfff, \
             b at 0x2000 to 0x2fff"
        );
        assert!(apart.check(u64::MAX, 2).is_err());
        assert_eq!(apart.check(u64::MAX, 0), Ok(()));
    }

    #[test]
    fn ranges_that_make_no_map_are_refused() {
        let refused = |ranges| MemoryMap::new(ranges).unwrap_err();
        assert_eq!(refused(Vec::new()), MemoryMapError::Empty);
        let empty = refused(vec![range("a", 0, 0)]);
        assert!(matches!(empty, MemoryMapError::NoRange { .. }));
        let long = refused(vec![range("a", u64::MAX, 2)]);
        assert!(matches!(long, MemoryMapError::NoRange { .. }));
        let overlap = refused(vec![range("b", 0xFFF, 1), range("a", 0, 0x1000)]);
        assert_eq!(overlap.to_string(), "a and b overlap");
    }

    proptest! {
        #[test]
        fn a_checked_access_is_inside_byte_by_byte(
            gaps in prop::collection::vec((0_u64..3, 1_u64..5), 1..5),
            address in 0_u64..40,
            length in 0_u64..20,
        ) {
            let mut base = 0;
            let ranges: Vec<_> = gaps.iter().map(|(gap, size)| {
                let here = range("r", base + gap, *size);
                base = here.end();
                here
            }).collect();
            let map = MemoryMap::new(ranges.clone()).unwrap();
            let outside = (address..address + length)
                .find(|at| !ranges.iter().any(|r| (r.base..r.end()).contains(at)));
            match map.check(address, length) {
                Ok(()) => prop_assert_eq!(outside, None),
                Err(MemoryMapError::Outside { outside: seen, .. }) => {
                    prop_assert_eq!(outside, Some(seen));
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}
