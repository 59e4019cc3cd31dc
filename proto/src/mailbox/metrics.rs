//! The response to a metrics request: what a slot runs, and what its shell counted.
//!
//! The layout after the common prefix differs by family; [`Metrics`] is the same for both, with
//! `None` for what a family does not have. Source: `fpga_common.h`, `struct fpga_metrics_common`
//! and its F1 and F2 variants.

use zerocopy::byteorder::little_endian::{I32, U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::command::{ID_BYTES, id_text, ids_from_wire, ids_to_wire};
use super::message::{Header, MessageError};
use super::{ErrorCode, SlotStatus};
use crate::{AgfiId, Family, PciIds};

/// Groups of clocks that the shell gives to custom logic: A, B, C.
pub const CLOCK_GROUPS: usize = 3;
/// Clocks in a group.
pub const CLOCKS_PER_GROUP: usize = 7;
/// Entries in the table of cached images.
const CACHED: usize = 16;
/// Bytes of the family's block that a reader may copy: the larger of the two layouts. The public
/// library copies a union of both, whatever the family.
const BLOCK: usize = size_of::<WireF1>();
/// Bytes of a metrics response with its header: long enough for readers of either layout.
pub const RESPONSE_SIZE: usize = Header::SIZE + size_of::<WirePrefix>() + BLOCK;

/// What a shell may tell in place of an image id when there is none (`fpga_mgmt_tools/README.md`).
const NO_IMAGE: &str = "No AFI";

/// Frequencies in Hz, by group and clock.
pub type ClockGroups = [[u64; CLOCKS_PER_GROUP]; CLOCK_GROUPS];

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct WirePrefix {
    afi_id: [u8; ID_BYTES],
    ids: [U16; 4],
    status: I32,
    qualifier: I32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Wide {
    address: U64,
    count: U32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Narrow {
    address: U32,
    count: U32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct WireDdr {
    writes: U64,
    reads: U64,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct WireTail {
    clocks: [[U64; CLOCKS_PER_GROUP]; CLOCK_GROUPS],
    power_mean: U64,
    power_max: U64,
    power: U64,
    cached: [U64; CACHED],
    flags: U64,
}

/// 504 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct WireF1 {
    int_status: U32,
    pcim_protocol_errors: U32,
    dma_pcis_timeout: Wide,
    pcim_range_error: Wide,
    pcim_protocol_error: Wide,
    reserved: [u8; 12],
    ocl_timeout: Wide,
    bar1_timeout: Wide,
    sda_timeout: Narrow,
    virtual_jtag_timeout: Narrow,
    pcim_writes: U64,
    pcim_reads: U64,
    ddr: [WireDdr; 4],
    tail: WireTail,
}

/// 440 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct WireF2 {
    int_status: U32,
    pcim_protocol_errors: U32,
    pcim_range_error: Wide,
    pcim_protocol_error: Wide,
    pcim_writes: U64,
    pcim_reads: U64,
    dma_pcis_timeout: Wide,
    ocl_timeout: Narrow,
    sda_timeout: Wide,
    virtual_jtag_timeout: Narrow,
    virtual_jtag_writes: U32,
    virtual_jtag_reads: U32,
    ddr: [WireDdr; 1],
    tail: WireTail,
}

bitflags::bitflags! {
    /// Interrupt status of the shell: what has happened since it was cleared.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct InterruptStatus: u32 {
        /// F1: an access through SDA was not answered.
        const SDACL_TIMEOUT = 1 << 0;
        /// A virtual JTAG access was not answered.
        const VIRTUAL_JTAG_TIMEOUT = 1 << 1;
        /// A DMA access was outside its range.
        const DMA_RANGE_ERROR = 1 << 7;
        /// An access through PCIS was not answered.
        const DMA_PCIS_TIMEOUT = 1 << 17;
        /// An access through PCIM was outside its range.
        const PCIM_RANGE_ERROR = 1 << 18;
        /// An access through PCIM broke the AXI protocol.
        const PCIM_PROTOCOL_ERROR = 1 << 19;
        /// An access through SDA was not answered.
        const SDA_TIMEOUT = 1 << 27;
        /// An access through OCL was not answered.
        const OCL_TIMEOUT = 1 << 28;
        /// F1: an access through BAR1 was not answered.
        const BAR1_TIMEOUT = 1 << 29;
        /// Bits without a name survive a round trip.
        const _ = !0;
    }

    /// How PCIM accesses broke the AXI protocol.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct ProtocolErrors: u32 {
        /// A burst crossed 4 KiB.
        const CROSSED_4K = 1 << 1;
        /// Bus mastering was off.
        const BUS_MASTER_DISABLED = 1 << 2;
        /// The size of the request.
        const REQUEST_SIZE = 1 << 3;
        /// A write did not complete.
        const WRITE_INCOMPLETE = 1 << 4;
        /// The byte enables of the first beat.
        const FIRST_BYTE_ENABLE = 1 << 5;
        /// The byte enables of the last beat.
        const LAST_BYTE_ENABLE = 1 << 6;
        /// BREADY did not come.
        const BREADY_TIMEOUT = 1 << 8;
        /// RREADY did not come.
        const RREADY_TIMEOUT = 1 << 9;
        /// The write channel did not come.
        const WCHANNEL_TIMEOUT = 1 << 10;
        /// Bits without a name survive a round trip.
        const _ = !0;
    }
}

/// A counter and the address of the first event counted. For a timeout the low two bits of the
/// address tell the direction: 1 read, 2 write (`hdk/docs/HOWTO_detect_shell_timeout.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AddressCount {
    /// Address of the first event.
    pub address: u64,
    /// Events.
    pub count: u32,
}

/// Accesses of a DDR interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DdrCounts {
    /// Writes.
    pub writes: u64,
    /// Reads.
    pub reads: u64,
}

/// Power of the FPGA in watts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Power {
    /// Mean since the load.
    pub mean: u64,
    /// Maximum since the load.
    pub max: u64,
    /// The last reading.
    pub last: u64,
}

/// What a slot runs, and what its shell counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// The image that is loaded, or whose load was tried last.
    pub image: Option<AgfiId>,
    /// The PCI ids that the image was registered with.
    pub ids: PciIds,
    /// State of the slot.
    pub status: SlotStatus,
    /// Why, when the state is no good one.
    pub error: ErrorCode,
    /// Counters and readings; all zero when not asked for.
    pub body: MetricsBody,
}

/// Counters and readings of a slot's shell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetricsBody {
    /// What has happened since it was cleared.
    pub interrupts: InterruptStatus,
    /// How PCIM accesses broke the protocol.
    pub pcim_protocol_errors: ProtocolErrors,
    /// Accesses through PCIS that were not answered.
    pub dma_pcis_timeout: AddressCount,
    /// Accesses through PCIM outside their range.
    pub pcim_range_error: AddressCount,
    /// Accesses through PCIM that broke the protocol.
    pub pcim_protocol_error: AddressCount,
    /// Accesses through OCL that were not answered.
    pub ocl_timeout: AddressCount,
    /// F1: accesses through BAR1 that were not answered.
    pub bar1_timeout: Option<AddressCount>,
    /// Accesses through SDA that were not answered.
    pub sda_timeout: AddressCount,
    /// Virtual JTAG accesses that were not answered.
    pub virtual_jtag_timeout: AddressCount,
    /// F2: virtual JTAG writes and reads.
    pub virtual_jtag: Option<(u32, u32)>,
    /// Writes through PCIM.
    pub pcim_writes: u64,
    /// Reads through PCIM.
    pub pcim_reads: u64,
    /// DDR interfaces: four on F1, one on F2.
    pub ddr: Vec<DdrCounts>,
    /// Clocks of the custom logic.
    pub clocks_hz: ClockGroups,
    /// Power.
    pub power: Power,
    /// Images in the cache, most recently used first.
    pub cached: Vec<AgfiId>,
    /// Flags of the shell; no public document names them.
    pub flags: u64,
}

impl Metrics {
    /// Bytes of the payload before the counters: image, ids, status and error.
    pub const PREFIX_SIZE: usize = size_of::<WirePrefix>();

    /// The payload of a metrics response of this family, as long as the longer layout.
    pub fn encode(&self, family: Family) -> Vec<u8> {
        let mut prefix = WirePrefix::new_zeroed();
        if let Some(image) = self.image {
            let id = image.to_string();
            prefix.afi_id[..id.len()].copy_from_slice(id.as_bytes());
        }
        prefix.ids = ids_to_wire(self.ids);
        prefix.status = self.status.0.into();
        prefix.qualifier = self.error.0.into();
        let mut payload = prefix.as_bytes().to_vec();
        match family {
            Family::F1 => payload.extend_from_slice(self.body.to_f1().as_bytes()),
            Family::F2 => payload.extend_from_slice(self.body.to_f2().as_bytes()),
        }
        payload.resize(size_of::<WirePrefix>() + BLOCK, 0);
        payload
    }

    /// Reads the payload of a metrics response of this family.
    ///
    /// # Errors
    /// When it is shorter than the family's layout, or its image id is none.
    pub fn parse(family: Family, payload: &[u8]) -> Result<Self, MessageError> {
        let block = match family {
            Family::F1 => size_of::<WireF1>(),
            Family::F2 => size_of::<WireF2>(),
        };
        let short = || MessageError::ShortPayload {
            what: "metrics response",
            got: payload.len(),
            wanted: size_of::<WirePrefix>() + block,
        };
        let (prefix, rest) = WirePrefix::read_from_prefix(payload).map_err(|_| short())?;
        let body = match family {
            Family::F1 => {
                MetricsBody::from_f1(&WireF1::read_from_prefix(rest).map_err(|_| short())?.0)
            }
            Family::F2 => {
                MetricsBody::from_f2(&WireF2::read_from_prefix(rest).map_err(|_| short())?.0)
            }
        };
        let id = id_text(&prefix.afi_id);
        let image = match id.as_str() {
            "" | NO_IMAGE => None,
            id => Some(id.parse().map_err(|_| MessageError::Field {
                what: "image id",
                found: id.to_owned(),
            })?),
        };
        Ok(Self {
            image,
            ids: ids_from_wire(prefix.ids),
            status: SlotStatus(prefix.status.get()),
            error: ErrorCode(prefix.qualifier.get()),
            body,
        })
    }
}

impl MetricsBody {
    fn to_f1(&self) -> WireF1 {
        let mut ddr = [WireDdr::new_zeroed(); 4];
        for (wire, counts) in ddr.iter_mut().zip(&self.ddr) {
            *wire = (*counts).into();
        }
        WireF1 {
            int_status: self.interrupts.bits().into(),
            pcim_protocol_errors: self.pcim_protocol_errors.bits().into(),
            dma_pcis_timeout: self.dma_pcis_timeout.into(),
            pcim_range_error: self.pcim_range_error.into(),
            pcim_protocol_error: self.pcim_protocol_error.into(),
            reserved: [0; 12],
            ocl_timeout: self.ocl_timeout.into(),
            bar1_timeout: self.bar1_timeout.unwrap_or_default().into(),
            sda_timeout: self.sda_timeout.into(),
            virtual_jtag_timeout: self.virtual_jtag_timeout.into(),
            pcim_writes: self.pcim_writes.into(),
            pcim_reads: self.pcim_reads.into(),
            ddr,
            tail: self.tail(),
        }
    }

    fn from_f1(wire: &WireF1) -> Self {
        Self {
            interrupts: InterruptStatus::from_bits_retain(wire.int_status.get()),
            pcim_protocol_errors: ProtocolErrors::from_bits_retain(wire.pcim_protocol_errors.get()),
            dma_pcis_timeout: wire.dma_pcis_timeout.into(),
            pcim_range_error: wire.pcim_range_error.into(),
            pcim_protocol_error: wire.pcim_protocol_error.into(),
            ocl_timeout: wire.ocl_timeout.into(),
            bar1_timeout: Some(wire.bar1_timeout.into()),
            sda_timeout: wire.sda_timeout.into(),
            virtual_jtag_timeout: wire.virtual_jtag_timeout.into(),
            virtual_jtag: None,
            pcim_writes: wire.pcim_writes.get(),
            pcim_reads: wire.pcim_reads.get(),
            ddr: wire.ddr.iter().map(|ddr| (*ddr).into()).collect(),
            ..Self::from_tail(&wire.tail)
        }
    }

    fn to_f2(&self) -> WireF2 {
        let (jtag_writes, jtag_reads) = self.virtual_jtag.unwrap_or_default();
        WireF2 {
            int_status: self.interrupts.bits().into(),
            pcim_protocol_errors: self.pcim_protocol_errors.bits().into(),
            pcim_range_error: self.pcim_range_error.into(),
            pcim_protocol_error: self.pcim_protocol_error.into(),
            pcim_writes: self.pcim_writes.into(),
            pcim_reads: self.pcim_reads.into(),
            dma_pcis_timeout: self.dma_pcis_timeout.into(),
            ocl_timeout: self.ocl_timeout.into(),
            sda_timeout: self.sda_timeout.into(),
            virtual_jtag_timeout: self.virtual_jtag_timeout.into(),
            virtual_jtag_writes: jtag_writes.into(),
            virtual_jtag_reads: jtag_reads.into(),
            ddr: [self.ddr.first().copied().unwrap_or_default().into()],
            tail: self.tail(),
        }
    }

    fn from_f2(wire: &WireF2) -> Self {
        Self {
            interrupts: InterruptStatus::from_bits_retain(wire.int_status.get()),
            pcim_protocol_errors: ProtocolErrors::from_bits_retain(wire.pcim_protocol_errors.get()),
            dma_pcis_timeout: wire.dma_pcis_timeout.into(),
            pcim_range_error: wire.pcim_range_error.into(),
            pcim_protocol_error: wire.pcim_protocol_error.into(),
            ocl_timeout: wire.ocl_timeout.into(),
            bar1_timeout: None,
            sda_timeout: wire.sda_timeout.into(),
            virtual_jtag_timeout: wire.virtual_jtag_timeout.into(),
            virtual_jtag: Some((
                wire.virtual_jtag_writes.get(),
                wire.virtual_jtag_reads.get(),
            )),
            pcim_writes: wire.pcim_writes.get(),
            pcim_reads: wire.pcim_reads.get(),
            ddr: wire.ddr.iter().map(|ddr| (*ddr).into()).collect(),
            ..Self::from_tail(&wire.tail)
        }
    }

    fn tail(&self) -> WireTail {
        let mut cached = [U64::ZERO; CACHED];
        let numbers = self.cached.iter().filter_map(|image| image.to_cached());
        for (wire, number) in cached.iter_mut().zip(numbers) {
            *wire = number.into();
        }
        WireTail {
            clocks: self.clocks_hz.map(|group| group.map(U64::new)),
            power_mean: self.power.mean.into(),
            power_max: self.power.max.into(),
            power: self.power.last.into(),
            cached,
            flags: self.flags.into(),
        }
    }

    fn from_tail(wire: &WireTail) -> Self {
        Self {
            clocks_hz: wire.clocks.map(|group| group.map(U64::get)),
            power: Power {
                mean: wire.power_mean.get(),
                max: wire.power_max.get(),
                last: wire.power.get(),
            },
            cached: wire
                .cached
                .iter()
                .filter(|number| number.get() != 0)
                .map(|number| AgfiId::from_cached(number.get()))
                .collect(),
            flags: wire.flags.get(),
            ..Self::default()
        }
    }
}

impl From<AddressCount> for Wide {
    fn from(from: AddressCount) -> Self {
        Self {
            address: from.address.into(),
            count: from.count.into(),
        }
    }
}

impl From<Wide> for AddressCount {
    fn from(wire: Wide) -> Self {
        Self {
            address: wire.address.get(),
            count: wire.count.get(),
        }
    }
}

impl From<AddressCount> for Narrow {
    /// The layout has room for the low 32 bits of the address.
    fn from(from: AddressCount) -> Self {
        Self {
            address: (from.address as u32).into(),
            count: from.count.into(),
        }
    }
}

impl From<Narrow> for AddressCount {
    fn from(wire: Narrow) -> Self {
        Self {
            address: wire.address.get().into(),
            count: wire.count.get(),
        }
    }
}

impl From<DdrCounts> for WireDdr {
    fn from(from: DdrCounts) -> Self {
        Self {
            writes: from.writes.into(),
            reads: from.reads.into(),
        }
    }
}

impl From<WireDdr> for DdrCounts {
    fn from(wire: WireDdr) -> Self {
        Self {
            writes: wire.writes.get(),
            reads: wire.reads.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example(family: Family) -> Metrics {
        let counter = |n: u32| AddressCount {
            address: u64::from(n) << 4,
            count: n,
        };
        let interfaces = if family == Family::F1 { 4 } else { 1 };
        Metrics {
            image: Some("agfi-0fedcba9876543210".parse().unwrap()),
            ids: PciIds::new(0x1D0F, 0xF000, 0xFEDD, 0x1D51),
            status: SlotStatus::LOADED,
            error: ErrorCode::OK,
            body: MetricsBody {
                interrupts: InterruptStatus::OCL_TIMEOUT,
                pcim_protocol_errors: ProtocolErrors::CROSSED_4K,
                dma_pcis_timeout: counter(1),
                pcim_range_error: counter(2),
                pcim_protocol_error: counter(3),
                ocl_timeout: counter(4),
                bar1_timeout: (family == Family::F1).then(|| counter(5)),
                sda_timeout: counter(6),
                virtual_jtag_timeout: counter(7),
                virtual_jtag: (family == Family::F2).then_some((8, 9)),
                pcim_writes: 10,
                pcim_reads: 11,
                ddr: (0..interfaces)
                    .map(|n| DdrCounts {
                        writes: n,
                        reads: n + 1,
                    })
                    .collect(),
                clocks_hz: [[1; 7], [2; 7], [3; 7]],
                power: Power {
                    mean: 10,
                    max: 20,
                    last: 15,
                },
                cached: vec![AgfiId::from_cached(7), AgfiId::from_cached(8)],
                flags: 1,
            },
        }
    }

    #[test]
    fn metrics_of_both_families_survive_their_bytes() {
        for family in Family::ALL {
            let metrics = example(family);
            let payload = metrics.encode(family);
            assert_eq!(payload.len() + Header::SIZE, 600);
            assert_eq!(Metrics::parse(family, &payload), Ok(metrics));
        }
    }

    #[test]
    fn a_response_of_the_exact_family_length_is_enough() {
        let metrics = example(Family::F2);
        let payload = &metrics.encode(Family::F2)[..80 + 440];
        assert_eq!(Metrics::parse(Family::F2, payload), Ok(metrics));
        let error = Metrics::parse(Family::F1, payload).unwrap_err().to_string();
        assert_eq!(error, "metrics response of 520 bytes; wanted 584");
    }

    #[test]
    fn a_slot_may_say_in_words_that_it_has_no_image() {
        let mut payload = example(Family::F2).encode(Family::F2);
        payload[..64].fill(0);
        payload[..6].copy_from_slice(b"No AFI");
        assert_eq!(Metrics::parse(Family::F2, &payload).unwrap().image, None);
        payload[..6].copy_from_slice(b"banana");
        assert!(Metrics::parse(Family::F2, &payload).is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
            for family in Family::ALL {
                let _ = Metrics::parse(family, &bytes);
            }
        }
    }
}
