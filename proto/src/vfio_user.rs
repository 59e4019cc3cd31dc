//! Messages of the vfio-user protocol, version 0.1: how a PCI function is served over a socket.
//!
//! A message is a [`Header`], a fixed body and, for some, data; descriptors travel beside it. All
//! integers are in the host's order, which for every host of these cards is little endian.
//!
//! Source: QEMU, `docs/interop/vfio-user.rst`; the bodies that VFIO itself defines:
//! `include/uapi/linux/vfio.h` of Linux.

use std::fmt;

use serde::{Deserialize, Serialize};
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The major version that both sides have to speak.
pub const VERSION_MAJOR: u16 = 0;
/// The minor version that this project speaks.
pub const VERSION_MINOR: u16 = 1;

/// Data bytes of one transfer when the peer tells no other limit (`max_data_xfer_size`).
pub const DEFAULT_MAX_TRANSFER: u32 = 1 << 20;
/// Descriptors in one message when the peer tells no other limit (`max_msg_fds`).
pub const DEFAULT_MAX_FDS: u32 = 1;

macro_rules! wire {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl $name {
            /// Bytes of this structure.
            pub const SIZE: usize = size_of::<Self>();
        }
    };
}

wire!(
    /// The header of every message (section "Header").
    Header {
        /// Chosen by the sender of a command, echoed in its reply.
        id: U16,
        /// A [`Command`].
        command: U16,
        /// Bytes of the message, this header included.
        size: U32,
        /// [`HeaderFlags`].
        flags: U32,
        /// An errno value, in an error reply.
        error: U32,
    }
);

impl Header {
    /// The header of a command with `body` bytes after it.
    pub fn command(id: u16, command: Command, body: usize) -> Self {
        Self::new(id, command, body, HeaderFlags::empty(), 0)
    }

    /// The header of the reply to a command.
    pub fn reply(id: u16, command: Command, body: usize) -> Self {
        Self::new(id, command, body, HeaderFlags::REPLY, 0)
    }

    /// The header of the reply that refuses a command; there is no body.
    pub fn error(id: u16, command: Command, errno: u32) -> Self {
        Self::new(
            id,
            command,
            0,
            HeaderFlags::REPLY | HeaderFlags::ERROR,
            errno,
        )
    }

    fn new(id: u16, command: Command, body: usize, flags: HeaderFlags, errno: u32) -> Self {
        Self {
            id: id.into(),
            command: command.0.into(),
            size: ((Self::SIZE + body) as u32).into(),
            flags: flags.bits().into(),
            error: errno.into(),
        }
    }

    /// The flags, with bits that have no name.
    pub fn flags(&self) -> HeaderFlags {
        HeaderFlags::from_bits_retain(self.flags.get())
    }

    /// Whether this is a reply.
    pub fn is_reply(&self) -> bool {
        self.flags.get() & 0xF == HeaderFlags::REPLY.bits()
    }

    /// Whether this is a command.
    pub fn is_command(&self) -> bool {
        self.flags.get() & 0xF == 0
    }
}

bitflags::bitflags! {
    /// Flags of a header. Bits 3:0 are the type: 0 command, 1 reply.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct HeaderFlags: u32 {
        /// The message is a reply.
        const REPLY = 1;
        /// The command wants no reply.
        const NO_REPLY = 1 << 4;
        /// The reply tells an error.
        const ERROR = 1 << 5;
    }
}

/// What a message asks. An integer, as it comes off a wire: any value can.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Command(pub u16);

macro_rules! commands {
    ($($(#[$meta:meta])* $name:ident = $value:literal,)*) => {
        impl Command {
            $($(#[$meta])* pub const $name: Self = Self($value);)*
        }

        impl fmt::Display for Command {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Self::$name => f.write_str(stringify!($name)),)*
                    Self(other) => write!(f, "command {other}"),
                }
            }
        }
    };
}

commands! {
    /// Agree on a version and limits; the first message.
    VERSION = 1,
    /// Memory of the client that the device may access.
    DMA_MAP = 2,
    /// Memory that it may access no more.
    DMA_UNMAP = 3,
    /// Numbers of regions and interrupts.
    DEVICE_GET_INFO = 4,
    /// Size, flags and descriptor of a region.
    DEVICE_GET_REGION_INFO = 5,
    /// Descriptors that replace messages for parts of a region.
    DEVICE_GET_REGION_IO_FDS = 6,
    /// Number and kind of interrupts.
    DEVICE_GET_IRQ_INFO = 7,
    /// Where interrupts go.
    DEVICE_SET_IRQS = 8,
    /// Read a region.
    REGION_READ = 9,
    /// Write a region.
    REGION_WRITE = 10,
    /// The device reads memory of the client.
    DMA_READ = 11,
    /// The device writes memory of the client.
    DMA_WRITE = 12,
    /// Reset the device.
    DEVICE_RESET = 13,
    /// Several writes in one message.
    REGION_WRITE_MULTI = 15,
    /// Ask for or set a feature.
    DEVICE_FEATURE = 16,
    /// Migration data out.
    MIG_DATA_READ = 17,
    /// Migration data in.
    MIG_DATA_WRITE = 18,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

wire!(
    /// Body of VERSION; JSON text with its NUL follows.
    Version {
        /// Major version.
        major: U16,
        /// Minor version.
        minor: U16,
    }
);

/// The JSON text of VERSION.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionData {
    /// Limits and features of the sender.
    #[serde(default)]
    pub capabilities: Capabilities,
}

/// Limits and features of the sender of VERSION.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Descriptors that it takes in one message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_msg_fds: Option<u32>,
    /// Data bytes of one transfer that it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_data_xfer_size: Option<u32>,
    /// DMA maps that it holds at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_dma_maps: Option<u32>,
    /// Page sizes of DMA maps, or'ed together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pgsizes: Option<u64>,
    /// Whether it takes REGION_WRITE_MULTI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_multiple: Option<bool>,
}

impl VersionData {
    /// The text as it follows [`Version`], with its NUL.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(0);
        text
    }

    /// Reads what follows [`Version`]: nothing, or JSON that a NUL ends. Names that this version
    /// does not know are skipped.
    ///
    /// # Errors
    /// When the NUL is missing or the text is no such JSON.
    pub fn parse(bytes: &[u8]) -> Result<Self, VersionDataError> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let end = bytes.iter().position(|b| *b == 0);
        let text = &bytes[..end.ok_or(VersionDataError::NoNul)?];
        serde_json::from_slice(text).map_err(|error| VersionDataError::Json {
            reason: error.to_string(),
        })
    }
}

/// Why the text of VERSION cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionDataError {
    /// No NUL ends it.
    #[error("version data does not end in a NUL byte")]
    NoNul,
    /// It is no JSON, or has values of other types.
    #[error("version data is not the JSON that the protocol wants: {reason}")]
    Json {
        /// What the JSON parser saw.
        reason: String,
    },
}

wire!(
    /// Body of DMA_MAP; the descriptor, when there is one, travels beside it.
    DmaMap {
        /// Bytes of this structure.
        argsz: U32,
        /// [`DmaFlags`].
        flags: U32,
        /// Offset in the descriptor's file.
        offset: U64,
        /// First bus address.
        address: U64,
        /// Bytes.
        size: U64,
    }
);

wire!(
    /// Body of DMA_UNMAP and of its reply.
    DmaUnmap {
        /// Bytes of this structure.
        argsz: U32,
        /// None is defined.
        flags: U32,
        /// First bus address.
        address: U64,
        /// Bytes.
        size: U64,
    }
);

bitflags::bitflags! {
    /// What a device may do with mapped memory.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct DmaFlags: u32 {
        /// Read it.
        const READ = 1;
        /// Write it.
        const WRITE = 2;
    }
}

wire!(
    /// Body of DEVICE_GET_INFO and of its reply.
    DeviceInfo {
        /// Bytes of the reply's body.
        argsz: U32,
        /// [`DeviceFlags`].
        flags: U32,
        /// Regions: [`region::COUNT`] for a PCI device.
        num_regions: U32,
        /// Kinds of interrupts: [`irq::COUNT`] for a PCI device.
        num_irqs: U32,
    }
);

bitflags::bitflags! {
    /// Flags of a device.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct DeviceFlags: u32 {
        /// It takes DEVICE_RESET.
        const RESET = 1;
        /// It is a PCI function.
        const PCI = 2;
    }
}

/// Region indexes of a PCI device (`VFIO_PCI_*_REGION_INDEX`).
pub mod region {
    /// The first of six BARs.
    pub const BAR0: u32 = 0;
    /// The last BAR.
    pub const BAR5: u32 = 5;
    /// Expansion ROM.
    pub const ROM: u32 = 6;
    /// Configuration space.
    pub const CONFIG: u32 = 7;
    /// VGA.
    pub const VGA: u32 = 8;
    /// Regions of a PCI device.
    pub const COUNT: u32 = 9;
}

/// Interrupt indexes of a PCI device (`VFIO_PCI_*_IRQ_INDEX`).
pub mod irq {
    /// The interrupt line.
    pub const INTX: u32 = 0;
    /// Message signalled interrupts.
    pub const MSI: u32 = 1;
    /// MSI-X vectors.
    pub const MSIX: u32 = 2;
    /// Error notification.
    pub const ERR: u32 = 3;
    /// Request to let the device go.
    pub const REQ: u32 = 4;
    /// Kinds of interrupts of a PCI device.
    pub const COUNT: u32 = 5;
}

wire!(
    /// Body of DEVICE_GET_REGION_INFO and of its reply (`struct vfio_region_info`).
    RegionInfo {
        /// Bytes of the reply's body that there are or may be.
        argsz: U32,
        /// [`RegionFlags`].
        flags: U32,
        /// Which region.
        index: U32,
        /// Offset of the first capability in the body, or 0.
        cap_offset: U32,
        /// Bytes of the region.
        size: U64,
        /// Offset of the region in the descriptor's file.
        offset: U64,
    }
);

bitflags::bitflags! {
    /// Flags of a region.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct RegionFlags: u32 {
        /// It can be read.
        const READ = 1;
        /// It can be written.
        const WRITE = 2;
        /// It can be mapped.
        const MMAP = 4;
        /// Capabilities follow.
        const CAPS = 8;
    }
}

wire!(
    /// A capability in the reply to DEVICE_GET_REGION_INFO (`struct vfio_info_cap_header`).
    CapHeader {
        /// Which capability.
        id: U16,
        /// Its version.
        version: U16,
        /// Offset of the next one in the body, or 0.
        next: U32,
    }
);

impl CapHeader {
    /// Only parts of the region may be mapped (`VFIO_REGION_INFO_CAP_SPARSE_MMAP`).
    pub const SPARSE_MMAP: u16 = 1;
}

wire!(
    /// The sparse-mmap capability after its header; `count` [`SparseArea`]s follow.
    SparseMmap {
        /// Number of areas.
        count: U32,
        /// Zero.
        reserved: U32,
    }
);

wire!(
    /// A part of a region that may be mapped.
    SparseArea {
        /// Offset in the region.
        offset: U64,
        /// Bytes.
        size: U64,
    }
);

wire!(
    /// Body of DEVICE_GET_IRQ_INFO and of its reply (`struct vfio_irq_info`).
    IrqInfo {
        /// Bytes of this structure.
        argsz: U32,
        /// [`IrqInfoFlags`].
        flags: U32,
        /// Which kind.
        index: U32,
        /// Interrupts of this kind.
        count: U32,
    }
);

bitflags::bitflags! {
    /// What can be done with a kind of interrupt.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct IrqInfoFlags: u32 {
        /// It signals an eventfd.
        const EVENTFD = 1;
        /// It can be masked.
        const MASKABLE = 2;
        /// It masks itself when it fires.
        const AUTOMASKED = 4;
        /// Its vectors are set up all at once.
        const NORESIZE = 8;
    }
}

wire!(
    /// Body of DEVICE_SET_IRQS (`struct vfio_irq_set`); a boolean byte a vector may follow, and
    /// descriptors travel beside it.
    IrqSet {
        /// Bytes of this structure and what follows.
        argsz: U32,
        /// [`IrqSetFlags`].
        flags: U32,
        /// Which kind.
        index: U32,
        /// First vector.
        start: U32,
        /// Number of vectors.
        count: U32,
    }
);

bitflags::bitflags! {
    /// What to do to a range of interrupts: one of DATA, one of ACTION.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct IrqSetFlags: u32 {
        /// To all of them.
        const DATA_NONE = 1;
        /// To those whose byte is not 0.
        const DATA_BOOL = 2;
        /// A descriptor each.
        const DATA_EVENTFD = 4;
        /// Mask.
        const ACTION_MASK = 8;
        /// Unmask.
        const ACTION_UNMASK = 16;
        /// Fire.
        const ACTION_TRIGGER = 32;
    }
}

wire!(
    /// Body of REGION_READ and REGION_WRITE and of their replies; data follows a write and the
    /// reply to a read.
    RegionAccess {
        /// Offset in the region.
        offset: U64,
        /// Which region.
        region: U32,
        /// Bytes of data.
        count: U32,
    }
);

wire!(
    /// Body of DMA_READ and DMA_WRITE and of their replies; data follows a write and the reply to a
    /// read.
    DmaAccess {
        /// Bus address.
        address: U64,
        /// Bytes of data.
        count: U64,
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_data_takes_what_peers_send() {
        let qemu = br#"{"capabilities":{"max_msg_fds":8,"max_data_xfer_size":1048576,"pgsizes":4096,"max_dma_maps":65535,"twin_socket":{"supported":false}}}"#;
        let mut bytes = qemu.to_vec();
        bytes.push(0);
        let data = VersionData::parse(&bytes).unwrap();
        assert_eq!(data.capabilities.max_msg_fds, Some(8));
        assert_eq!(data.capabilities.pgsizes, Some(4096));
        assert_eq!(VersionData::parse(&[]), Ok(VersionData::default()));
        assert_eq!(VersionData::parse(&data.to_bytes()), Ok(data));
    }

    #[test]
    fn version_data_refuses_what_it_is_not() {
        assert_eq!(VersionData::parse(b"{}"), Err(VersionDataError::NoNul));
        for text in [
            &b"\0"[..],
            b"7\0",
            b"{\"capabilities\":{\"max_msg_fds\":-1}}\0",
            b"\xff\0",
        ] {
            assert!(matches!(
                VersionData::parse(text),
                Err(VersionDataError::Json { .. })
            ));
        }
    }

    #[test]
    fn a_header_tells_commands_from_replies() {
        let header = Header::error(3, Command::REGION_READ, 22);
        assert!(header.is_reply() && !header.is_command());
        assert_eq!(header.size.get(), 16);
        assert!(Header::command(3, Command(99), 4).is_command());
        assert_eq!(Command(99).to_string(), "command 99");
    }
}
