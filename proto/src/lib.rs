//! What do the bytes mean? Identifiers, family tables, register maps and wire messages of the FPGA
//! cards of F1 and F2 instances, and of the vfio-user protocol that carries simulated ones.
//!
//! Nothing here does I/O, and nothing here is unsafe. Both sides of each interface use these types:
//! the driver in `afi-pcie` and the device model in `afi-sim`. So that a wrong offset cannot agree
//! with itself, `tests/register_map.rs` compares every layout with an independent table.
//!
//! Sources are public: the [AWS FPGA HDK and SDK](https://github.com/aws/aws-fpga) (file names in
//! the items refer to its `f2` branch unless they say otherwise), the PCI Express Base
//! Specification, and the vfio-user specification in QEMU (`docs/interop/vfio-user.rst`).
#![forbid(unsafe_code)]

pub mod clocks;
pub mod config_space;
pub mod family;
pub mod image;
pub mod mailbox;
pub mod memory_map;
pub mod pci;
mod text;
pub mod vfio_user;
pub mod xdma;

pub use clocks::{ClockGroup, ClockRecipe};
pub use family::{Family, FamilyProfile};
pub use image::{AfiId, AgfiId, ShellVersion};
pub use memory_map::{DesignMemory, MapRange, MemoryMap, MemoryMapError};
pub use pci::{BarIndex, Bdf, PciIds, SlotIndex};
