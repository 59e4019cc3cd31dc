//! What a simulated slot knows of images: the part of the catalogue that its shell would see.

use afi_proto::mailbox::ClockGroups;
use afi_proto::{AgfiId, PciIds, ShellVersion};

/// An image as a slot loads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotImage {
    /// Its global id.
    pub agfi: AgfiId,
    /// The PCI ids it was registered with, which appear on the bus when it is loaded.
    pub ids: PciIds,
    /// The shell it was built for.
    pub shell: ShellVersion,
    /// The model of its custom logic, by the name it is registered under.
    pub model: String,
    /// Whether it has all DDR interfaces, and so DRAM can be kept through a load.
    pub data_retention: bool,
    /// Power it draws, in watts.
    pub power_watts: u64,
    /// Its clocks.
    pub clocks_hz: ClockGroups,
}

/// Where slots find images. The cloud's side decides which ones this instance may load: it has to
/// be available, in this region, and this account's, shared or public.
pub trait ImageSource: Send + Sync {
    /// The image with this id, if this instance may load it now.
    fn loadable(&self, agfi: AgfiId) -> Option<SlotImage>;
}
