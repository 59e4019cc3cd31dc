//! Requests of the host.

use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::message::MessageError;
use super::metrics::{CLOCK_GROUPS, CLOCKS_PER_GROUP};
use crate::{AgfiId, PciIds};

/// Bytes of an image id in a message, NUL padded (`AFI_ID_STR_MAX`).
pub(super) const ID_BYTES: usize = 64;

bitflags::bitflags! {
    /// Flags of a request (`fpga_common.h`, `FPGA_CMD_*`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct CommandFlags: u32 {
        /// Metrics: include those of the hardware.
        const GET_HW_METRICS = 1 << 1;
        /// Metrics: clear the hardware's after reading.
        const CLEAR_HW_METRICS = 1 << 2;
        /// Load: reload the shell even if it would not be needed.
        const FORCE_SHELL_RELOAD = 1 << 3;
        /// Load: keep the contents of the card's DRAM.
        const DRAM_DATA_RETENTION = 1 << 4;
        /// Metrics: the caller has room for the extended layout. Always set by the tools.
        const EXTENDED_METRICS_SIZE = 1 << 6;
        /// Load: put the image into the cache, leave the running one alone.
        const PREFETCH = 1 << 7;
        /// Metrics: empty the cache of images.
        const CLEAR_AFI_CACHE = 1 << 8;
        /// Bits without a name survive a round trip.
        const _ = !0;
    }
}

/// `struct afi_cmd_load_req`, 248 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct WireLoad {
    afi_id: [u8; ID_BYTES],
    ids: [U16; 4],
    flags: U32,
    reserved: U32,
    clocks: [[U64; CLOCKS_PER_GROUP]; CLOCK_GROUPS],
}

/// A request to load an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadRequest {
    /// The image.
    pub image: AgfiId,
    /// How.
    pub flags: CommandFlags,
    /// Frequency in Hz of the first clock of each of the groups A, B and C; 0 keeps the image's.
    pub clocks_hz: [u64; CLOCK_GROUPS],
}

impl LoadRequest {
    /// Bytes of the payload.
    pub const SIZE: usize = size_of::<WireLoad>();

    /// The payload. Its four PCI ids are zero, as the public tools send them.
    pub fn encode(&self) -> Vec<u8> {
        let mut wire = WireLoad::new_zeroed();
        let id = self.image.to_string();
        wire.afi_id[..id.len()].copy_from_slice(id.as_bytes());
        wire.flags = self.flags.bits().into();
        for (group, hz) in wire.clocks.iter_mut().zip(self.clocks_hz) {
            group[0] = hz.into();
        }
        wire.as_bytes().to_vec()
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// When it is short, or the image id is none: what a shell answers with
    /// `afi-command-malformed` and `invalid-afi-id`.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let (wire, _) =
            WireLoad::read_from_prefix(payload).map_err(|_| MessageError::ShortPayload {
                what: "load request",
                got: payload.len(),
                wanted: Self::SIZE,
            })?;
        let id = id_text(&wire.afi_id);
        let image = id.parse().map_err(|_| MessageError::Field {
            what: "image id",
            found: id,
        })?;
        Ok(Self {
            image,
            flags: CommandFlags::from_bits_retain(wire.flags.get()),
            clocks_hz: wire.clocks.map(|group| group[0].get()),
        })
    }
}

/// The payload of a metrics or clear request is its flags alone.
///
/// # Errors
/// When there are fewer than four bytes.
pub fn read_flags_request(payload: &[u8]) -> Result<CommandFlags, MessageError> {
    let bytes = payload.first_chunk().ok_or(MessageError::ShortPayload {
        what: "request",
        got: payload.len(),
        wanted: 4,
    })?;
    Ok(CommandFlags::from_bits_retain(u32::from_le_bytes(*bytes)))
}

/// The text of a NUL-padded id; what is not UTF-8 is replaced.
pub(super) fn id_text(bytes: &[u8; ID_BYTES]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(ID_BYTES);
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The four ids of a message, in its order.
pub(super) fn ids_from_wire(wire: [U16; 4]) -> PciIds {
    let [vendor, device, subsystem_vendor, subsystem] = wire.map(U16::get);
    PciIds::new(vendor, device, subsystem_vendor, subsystem)
}

/// The four ids as a message carries them.
pub(super) fn ids_to_wire(ids: PciIds) -> [U16; 4] {
    [ids.vendor, ids.device, ids.subsystem_vendor, ids.subsystem].map(U16::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_request_survives_its_bytes() {
        let request = LoadRequest {
            image: "agfi-0fedcba9876543210".parse().unwrap(),
            flags: CommandFlags::PREFETCH | CommandFlags::from_bits_retain(1 << 30),
            clocks_hz: [125_000_000, 0, 400_000_000],
        };
        let bytes = request.encode();
        assert_eq!(bytes.len(), 248);
        assert_eq!(LoadRequest::parse(&bytes), Ok(request));
    }

    #[test]
    fn a_request_without_an_image_is_refused_by_field() {
        let error = LoadRequest::parse(&[0xff; LoadRequest::SIZE]).unwrap_err();
        assert!(matches!(
            error,
            MessageError::Field {
                what: "image id",
                ..
            }
        ));
        assert!(LoadRequest::parse(&[0; 247]).is_err());
    }
}
