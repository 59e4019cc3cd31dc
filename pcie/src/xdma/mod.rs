//! The driver of the XDMA engine of F1's shell, in user space.
//!
//! An [`Engine`] is found by its identifiers behind BAR2 of a slot's application function. Its
//! [`Channel`]s move bytes between a [`DmaBuffer`](crate::DmaBuffer) and the memory of the card.
//! A buffer that is submitted moves into its [`Transfer`], and comes back when the device cannot
//! touch it any more, whatever happened.
//!
//! ```no_run
//! use std::time::Duration;
//! use afi_pcie::{BusChoice, Deadline, bus, xdma::Engine};
//! use afi_proto::xdma::Direction;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = bus::open(&"socket:/tmp/instance".parse::<BusChoice>()?)?;
//! let engine = Engine::open(bus.as_ref(), "0000:00:1d.0".parse()?)?;
//! let (to_card, from_card) = (engine.channel(Direction::H2c, 0)?, engine.channel(Direction::C2h, 0)?);
//! let deadline = Deadline::after(Duration::from_secs(1));
//!
//! let mut buffer = engine.space().buffer(1 << 20)?;
//! buffer.fill(0..1 << 20, 0xA5)?;
//! let transfer = to_card.submit(buffer, 0..1 << 20, 0x4_0000_0000)?;
//! // … something else meanwhile …
//! let mut buffer = transfer.wait(&deadline)?;
//! from_card.read(&mut buffer, 0..1 << 20, 0x4_0000_0000, &deadline)?;
//! # Ok(())
//! # }
//! ```
//!
//! # What a submission costs
//! No allocation and no read of a register. With descriptor credits, one register write; on an
//! engine without them, four. Completions are seen in a word of host memory that the engine writes.
//!
//! Sources: Xilinx PG195, *DMA/Bridge Subsystem for PCI Express*. [`afi_proto::xdma`] has the
//! layouts.

mod channel;
mod completion;
mod core;
mod count;
mod engine;
mod error;
mod failure;
mod flight;
#[cfg(feature = "tokio")]
mod future;
mod lock;
mod ports;
mod recovery;
mod ring;
mod scatter;
mod start;
mod state;
mod stripe;
mod transfer;

pub use channel::{Channel, ChannelOptions, Completion, Submission};
pub use engine::{ChannelInfo, Engine};
pub use error::{ChannelId, DmaError, Failed, OpenError};
pub use recovery::STOP_WITHIN;
pub use scatter::{LARGEST, Piece, Pieces, ScatterList, Segment, Split};
pub use stripe::{SMALLEST_PART, Stripe, StripedTransfer};
pub use transfer::{Payload, Transfer};
