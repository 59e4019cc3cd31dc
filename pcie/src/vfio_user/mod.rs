//! The vfio-user protocol over a Unix socket: framing for both sides, and the client.
//!
//! Source: QEMU, `docs/interop/vfio-user.rst`. The messages themselves are in
//! [`afi_proto::vfio_user`].

mod client;
mod connection;
mod descriptors;
mod dma;

pub(crate) use client::mappable_length;
pub use client::{Client, ClientError, MappableRegion, RegionDetails};
pub use connection::{Connection, ConnectionError, Frame, MAX_FDS, Received};
