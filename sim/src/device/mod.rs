//! The FPGA card of one slot: two PCI functions, a shell, memory, and the custom logic it runs.
//!
//! A [`Card`] is the VU9P of F1 or the VU47P of F2; what differs between them is data, in
//! [`afi_proto::FamilyProfile`]. Both functions share one state behind one lock. There is no timer: a
//! load that takes 30 ms is a point in time that every access compares with the
//! [`Clock`](crate::clock::Clock), so an idle card costs nothing. Threads there are only for channels
//! of the DMA engine, while they are in use; bytes move without the card's lock.
//!
//! | file | question |
//! | --- | --- |
//! | `card` | what is a card made of, and how do accesses reach it? |
//! | `mgmt`, `app` | what do the BARs of each function do? |
//! | `access`, `lanes` | how does an access of any size reach the custom logic? |
//! | `config_space`, `msix` | what does the PCI side look like? |
//! | `mailbox`, `commands` | how does the host talk to the shell? |
//! | `slot`, `verdict`, `cache` | what does the shell do with a load? |
//! | `counters`, `power` | what does the shell measure? |
//! | `xdma` | what does the DMA engine do? |
//! | `gate` | what can its DMA reach, and how is that taken away? |
//! | `memory`, `jtag` | what else is on the card? |

mod access;
mod addresses;
mod app;
mod cache;
mod card;
mod commands;
mod config_space;
pub(crate) mod counters;
mod gate;
mod jtag;
mod lanes;
mod mailbox;
pub mod memory;
mod mgmt;
pub(crate) mod msix;
mod power;
mod slot;
#[cfg(test)]
pub(crate) mod testing;
mod timing;
mod verdict;
pub(crate) mod xdma;

pub use addresses::{MAX_SLOTS, bdfs};
pub use card::{Card, CardConfig};
pub use timing::Timing;
pub use xdma::DmaMode;
