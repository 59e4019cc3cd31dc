//! What would device and cloud do? A simulated instance: FPGA cards behind the PCI bus, and the
//! cloud's endpoints behind HTTP. Everything above those two interfaces runs unchanged.
#![forbid(unsafe_code)]

pub mod clock;
pub mod fault;
pub mod function;
pub mod image;
pub mod server;
