//! How do bytes reach a device? The PCI bus as the host sees it, behind one small set of traits,
//! and the drivers that stand on it.
//!
//! A host program starts at [`bus::open`] with a [`BusChoice`], finds the FPGA slots with
//! [`slots::discover`], and talks to a slot's shell with [`mailbox::Mailbox`]:
//!
//! ```no_run
//! use std::time::Duration;
//! use afi_pcie::{BusChoice, Deadline, bus, mailbox::Mailbox, slots};
//! use afi_proto::mailbox::CommandFlags;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = bus::open(&"socket:/tmp/instance".parse::<BusChoice>()?)?;
//! for slot in slots::discover(bus.as_ref())? {
//!     let mailbox = Mailbox::open(bus.as_ref(), &slot)?;
//!     let deadline = Deadline::after(Duration::from_secs(1));
//!     let metrics = mailbox.describe(CommandFlags::empty(), &deadline)?;
//!     println!("slot {}: {}", slot.index, metrics.status);
//! }
//! # Ok(())
//! # }
//! ```

pub mod bar;
pub mod bus;
pub mod capture;
pub mod card_memory;
pub mod cdev;
mod deadline;
pub mod dma;
mod error;
pub mod mailbox;
pub mod mapping;
pub mod memory;
pub mod names;
pub mod pcis;
pub mod slots;
pub mod socket;
mod striped;
pub mod sysfs;
pub mod vfio;
pub mod vfio_user;
mod watch;
pub mod xdma;

pub use bar::{Bar, BarError};
pub use bus::{Bus, BusChoice, Function, FunctionInfo};
pub use deadline::{Backoff, Cancel, Deadline, Ended};
pub use dma::{DmaBuffer, DmaSpace};
pub use error::BusError;
pub use memory::{PageSize, SharedMemory};
