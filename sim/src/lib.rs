//! What would device and cloud do? A simulated instance: FPGA cards behind the PCI bus, and the
//! cloud's endpoints behind HTTP. Everything above those two interfaces runs unchanged.
#![forbid(unsafe_code)]

pub mod bus;
pub mod catalog;
pub mod clock;
#[cfg(feature = "cloud")]
pub mod cloud;
pub mod custom_logic;
pub mod device;
pub mod fault;
pub mod function;
pub mod image;
pub mod instance;
#[cfg(feature = "cloud")]
pub mod program;
pub mod server;
