//! VFIO: functions that the kernel hands to a program, with an IOMMU between them and the memory of
//! the machine.
//!
//! A function that is on the driver `vfio-pci` can do what takes a driver: DMA to memory that was
//! mapped for it and to nothing else, interrupts as eventfds, a reset. The sysfs bus opens such a
//! function in this way by itself; [`bind`] puts functions onto that driver and takes them off.
//!
//! Bus mastering is switched on as of any function, with
//! [`enable`](crate::bus::Function#method.enable). When the last handle, BAR and mapping of a function
//! are gone, the kernel resets it and switches bus mastering off.
//!
//! Source: `Documentation/driver-api/vfio.rst` and `include/uapi/linux/vfio.h` of Linux. The
//! interface used is the one with groups and containers, which every kernel since 3.6 has.

mod abi;
pub mod bind;
mod container;
mod device;
mod error;
mod function;
mod idle;
mod interrupts;
mod ioctl;
mod places;

pub use error::{Holder, Member, VfioError};
pub use places::DRIVER;

pub(crate) use function::VfioFunction;
pub(crate) use idle::see_idle;
pub(crate) use places::Places;
