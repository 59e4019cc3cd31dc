//! Host memory that a device reads and writes.
//!
//! A [`DmaSpace`] hands out the bus addresses of one opened function. A [`DmaBuffer`] is memory of
//! this process that the device can reach at such an address until the buffer is dropped.
//!
//! # What safe code can and cannot do with a buffer
//! The device, and whoever holds the descriptor of [`DmaBuffer::share`], can change the memory at
//! any time. So no reference to its bytes is ever formed: they are copied in and out. A caller that
//! wants to work in place follows [`DmaBuffer::as_ptr`] in `unsafe` code of its own, and does so
//! only while no transfer has the buffer.
//!
//! Memory is freed after its mapping has ended, and the end of a mapping waits until the device has
//! let go. So whatever else happens, the device never writes to memory that belongs to somebody
//! else.
//!
//! ```no_run
//! use std::sync::Arc;
//! use afi_pcie::dma::DmaSpace;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let bus = afi_pcie::bus::open(&"sysfs".parse::<afi_pcie::BusChoice>()?)?;
//! # let bdf = "0000:00:1d.0".parse()?;
//! let space = DmaSpace::new(bus.open(bdf)?);
//! let mut buffer = space.buffer(64 << 20)?;
//! buffer.copy_in(0, b"hello")?;
//! println!("{} bytes at {:#x}", buffer.length(), buffer.bus_address());
//! # Ok(())
//! # }
//! ```

mod addresses;
mod buffer;
mod error;
mod space;

pub use addresses::{DEFAULT_ADDRESSES, MSI_WINDOW};
pub use buffer::DmaBuffer;
pub(crate) use buffer::Held;
pub use error::DmaMemoryError;
pub use space::{BufferOptions, DmaSpace};
