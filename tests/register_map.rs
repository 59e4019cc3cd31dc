//! Every offset and size that driver and device model share, against a table written from the
//! public sources and from nothing else. Driver and model use the same types: without this, a wrong
//! offset would agree with itself.

use afi_proto::config_space;
use afi_proto::mailbox::{
    AddressCount, CommandFlags, DdrCounts, ErrorCode, Header, InterruptStatus, LoadRequest,
    MailboxStatus, Metrics, MetricsBody, MgmtRegister, Opcode, Power, ProtocolErrors, SlotStatus,
    encode,
};
use afi_proto::vfio_user as vu;
use afi_proto::{AgfiId, BarIndex, Family, PciIds};

#[test]
fn management_registers() {
    // fpga_hal_mbox_regs.h; virtual LED and DIP from AWS_Shell_Interface_Specification.md.
    let table = [
        (MgmtRegister::ShellVersion, 0x0000),
        (MgmtRegister::VirtualDipLed, 0x0004),
        (MgmtRegister::Status, 0x000C),
        (MgmtRegister::WriteIndex, 0x0020),
        (MgmtRegister::WriteData, 0x0024),
        (MgmtRegister::WriteLength, 0x0028),
        (MgmtRegister::Depth, 0x002C),
        (MgmtRegister::ReadIndex, 0x0030),
        (MgmtRegister::ReadData, 0x0034),
        (MgmtRegister::ReadLength, 0x0038),
        (MgmtRegister::VirtualLed, 0x00D0),
        (MgmtRegister::VirtualDip, 0x00D4),
        (MgmtRegister::RlReload, 0x2000),
    ];
    assert_eq!(table.len(), MgmtRegister::ALL.len());
    for (register, offset) in table {
        assert_eq!(register.offset(), offset, "{register:?}");
        assert_eq!(MgmtRegister::at(offset), Some(register));
    }
    assert_eq!(MgmtRegister::at(0x0008), None);
    assert_eq!(MailboxStatus::RX_EVENT.bits(), 1);
    assert_eq!(MailboxStatus::TX_EVENT.bits(), 2);
    assert_eq!(MailboxStatus::FLR_EVENT.bits(), 4);
}

#[test]
fn message_header() {
    // struct afi_cmd_hdr: version, op, len_flags, id.
    let bytes = encode(
        Header::response(Opcode(0x0A0B_0C0D), 0x0102_0304),
        &[0xEE; 5],
    );
    let expected = [
        [0x02, 0x00, 0x01, 0x00],
        [0x0D, 0x0C, 0x0B, 0x0A],
        [0x05, 0x00, 0x00, 0x01],
        [0x04, 0x03, 0x02, 0x01],
    ];
    assert_eq!(&bytes[..16], expected.as_flattened());
    let opcodes = [Opcode::ERROR, Opcode::LOAD, Opcode::METRICS, Opcode::CLEAR];
    assert_eq!(opcodes.map(|opcode| opcode.0), [0, 1, 2, 3]);
}

#[test]
fn load_request() {
    // struct afi_cmd_load_req: afi_id[64], four u16, u32 flags, u32 reserved, 3 x 7 x u64.
    let request = LoadRequest {
        image: "agfi-0fedcba9876543210".parse().unwrap(),
        flags: CommandFlags::from_bits_retain(0x1122_3344),
        clocks_hz: [0x0A, 0x0B, 0x0C],
    };
    let bytes = request.encode();
    assert_eq!(bytes.len(), 248);
    assert_eq!(&bytes[..22], b"agfi-0fedcba9876543210");
    assert!(bytes[22..72].iter().all(|byte| *byte == 0));
    assert_eq!(bytes[72..76], [0x44, 0x33, 0x22, 0x11]);
    for (group, value) in [(0, 0x0A), (1, 0x0B), (2, 0x0C)] {
        assert_eq!(bytes[80 + group * 56], value, "clock group {group}");
    }
    assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 22 + 4 + 3);
}

#[test]
fn command_flags() {
    // FPGA_CMD_* in fpga_common.h.
    let table = [
        (CommandFlags::GET_HW_METRICS, 1),
        (CommandFlags::CLEAR_HW_METRICS, 2),
        (CommandFlags::FORCE_SHELL_RELOAD, 3),
        (CommandFlags::DRAM_DATA_RETENTION, 4),
        (CommandFlags::EXTENDED_METRICS_SIZE, 6),
        (CommandFlags::PREFETCH, 7),
        (CommandFlags::CLEAR_AFI_CACHE, 8),
    ];
    for (flag, bit) in table {
        assert_eq!(flag.bits(), 1 << bit);
    }
}

/// Metrics in which every field has a value of its own.
fn distinct(family: Family) -> Metrics {
    let counter = |n: u32| AddressCount {
        address: u64::from(0xA0 + n),
        count: 0xC0 + n,
    };
    let is_f1 = family == Family::F1;
    let interfaces = if is_f1 { 4 } else { 1 };
    let mut clocks_hz = [[0; 7]; 3];
    for (at, clock) in clocks_hz.as_flattened_mut().iter_mut().enumerate() {
        *clock = 0x100 + at as u64;
    }
    Metrics {
        image: Some(AgfiId::from_cached(1)),
        ids: PciIds::new(0x11, 0x12, 0x13, 0x14),
        status: SlotStatus(0x15),
        error: ErrorCode(0x16),
        body: MetricsBody {
            interrupts: InterruptStatus::from_bits_retain(0x17),
            pcim_protocol_errors: ProtocolErrors::from_bits_retain(0x18),
            dma_pcis_timeout: counter(1),
            pcim_range_error: counter(2),
            pcim_protocol_error: counter(3),
            ocl_timeout: counter(4),
            bar1_timeout: is_f1.then(|| counter(5)),
            sda_timeout: counter(6),
            virtual_jtag_timeout: counter(7),
            virtual_jtag: (!is_f1).then_some((0x31, 0x32)),
            pcim_writes: 0x33,
            pcim_reads: 0x34,
            ddr: (0..interfaces)
                .map(|n| DdrCounts {
                    writes: 0x40 + n,
                    reads: 0x50 + n,
                })
                .collect(),
            clocks_hz,
            power: Power {
                mean: 0x61,
                max: 0x62,
                last: 0x63,
            },
            cached: (0..16).map(|n| AgfiId::from_cached(0x70 + n)).collect(),
            flags: 0x91,
        },
    }
}

/// Checks that the block consists of these fields, one after the other, and of nothing else.
fn check(block: &[u8], fields: &[(&str, usize, u64)]) -> usize {
    let mut at = 0;
    for (name, bytes, expected) in fields {
        let mut value = [0; 8];
        value[..*bytes.min(&8)].copy_from_slice(&block[at..at + bytes.min(&8)]);
        assert_eq!(u64::from_le_bytes(value), *expected, "{name} at {at}");
        at += bytes;
    }
    at
}

/// What follows the counters in both families.
fn tail() -> Vec<(&'static str, usize, u64)> {
    let clocks = (0..21).map(|n| ("clock", 8, 0x100 + n));
    let power = [
        ("power mean", 8, 0x61),
        ("power max", 8, 0x62),
        ("power", 8, 0x63),
    ];
    let cached = (0..16).map(|n| ("cached agfi", 8, 0x70 + n));
    clocks
        .chain(power)
        .chain(cached)
        .chain([("flags", 8, 0x91)])
        .collect()
}

#[test]
fn metrics_prefix() {
    let payload = distinct(Family::F1).encode(Family::F1);
    assert_eq!(payload.len(), 600 - 16);
    assert_eq!(&payload[..23], b"agfi-00000000000000001\0");
    let fields = [
        ("vendor", 2, 0x11),
        ("device", 2, 0x12),
        ("subsystem vendor", 2, 0x13),
        ("subsystem", 2, 0x14),
        ("status", 4, 0x15),
        ("status qualifier", 4, 0x16),
    ];
    assert_eq!(check(&payload[64..], &fields), 16);
}

#[test]
fn metrics_of_f1() {
    let payload = distinct(Family::F1).encode(Family::F1);
    let mut fields = vec![
        ("int_status", 4, 0x17),
        ("pcim_axi_protocol_error_status", 4, 0x18),
        ("dma_pcis_timeout_addr", 8, 0xA1),
        ("dma_pcis_timeout_count", 4, 0xC1),
        ("pcim_range_error_addr", 8, 0xA2),
        ("pcim_range_error_count", 4, 0xC2),
        ("pcim_axi_protocol_error_addr", 8, 0xA3),
        ("pcim_axi_protocol_error_count", 4, 0xC3),
        ("reserved", 12, 0),
        ("ocl_slave_timeout_addr", 8, 0xA4),
        ("ocl_slave_timeout_count", 4, 0xC4),
        ("bar1_slave_timeout_addr", 8, 0xA5),
        ("bar1_slave_timeout_count", 4, 0xC5),
        ("sdacl_slave_timeout_addr", 4, 0xA6),
        ("sdacl_slave_timeout_count", 4, 0xC6),
        ("virtual_jtag_slave_timeout_addr", 4, 0xA7),
        ("virtual_jtag_slave_timeout_count", 4, 0xC7),
        ("pcim_write_count", 8, 0x33),
        ("pcim_read_count", 8, 0x34),
    ];
    for n in 0..4 {
        fields.extend([
            ("ddr write_count", 8, 0x40 + n),
            ("ddr read_count", 8, 0x50 + n),
        ]);
    }
    fields.extend(tail());
    assert_eq!(check(&payload[80..], &fields), 504);
}

#[test]
fn metrics_of_f2() {
    let payload = distinct(Family::F2).encode(Family::F2);
    let mut fields = vec![
        ("int_status", 4, 0x17),
        ("pcim_axi_protocol_error_status", 4, 0x18),
        ("pcim_range_error_addr", 8, 0xA2),
        ("pcim_range_error_count", 4, 0xC2),
        ("pcim_axi_protocol_error_addr", 8, 0xA3),
        ("pcim_axi_protocol_error_count", 4, 0xC3),
        ("pcim_write_count", 8, 0x33),
        ("pcim_read_count", 8, 0x34),
        ("dma_pcis_timeout_addr", 8, 0xA1),
        ("dma_pcis_timeout_count", 4, 0xC1),
        ("ocl_slave_timeout_addr", 4, 0xA4),
        ("ocl_slave_timeout_count", 4, 0xC4),
        ("sda_slave_timeout_addr", 8, 0xA6),
        ("sda_slave_timeout_count", 4, 0xC6),
        ("virtual_jtag_slave_timeout_addr", 4, 0xA7),
        ("virtual_jtag_slave_timeout_count", 4, 0xC7),
        ("virtual_jtag_write_count", 4, 0x31),
        ("virtual_jtag_read_count", 4, 0x32),
        ("ddr write_count", 8, 0x40),
        ("ddr read_count", 8, 0x50),
    ];
    fields.extend(tail());
    assert_eq!(check(&payload[80..], &fields), 440);
}

#[test]
fn interrupt_and_protocol_error_bits() {
    // fpga_common.h, FPGA_INT_STATUS_* and FPGA_PAP_*.
    let interrupts = [
        (InterruptStatus::SDACL_TIMEOUT, 0),
        (InterruptStatus::VIRTUAL_JTAG_TIMEOUT, 1),
        (InterruptStatus::DMA_RANGE_ERROR, 7),
        (InterruptStatus::DMA_PCIS_TIMEOUT, 17),
        (InterruptStatus::PCIM_RANGE_ERROR, 18),
        (InterruptStatus::PCIM_PROTOCOL_ERROR, 19),
        (InterruptStatus::SDA_TIMEOUT, 27),
        (InterruptStatus::OCL_TIMEOUT, 28),
        (InterruptStatus::BAR1_TIMEOUT, 29),
    ];
    for (flag, bit) in interrupts {
        assert_eq!(flag.bits(), 1 << bit);
    }
    let errors = [
        (ProtocolErrors::CROSSED_4K, 1),
        (ProtocolErrors::BUS_MASTER_DISABLED, 2),
        (ProtocolErrors::REQUEST_SIZE, 3),
        (ProtocolErrors::WRITE_INCOMPLETE, 4),
        (ProtocolErrors::FIRST_BYTE_ENABLE, 5),
        (ProtocolErrors::LAST_BYTE_ENABLE, 6),
        (ProtocolErrors::BREADY_TIMEOUT, 8),
        (ProtocolErrors::RREADY_TIMEOUT, 9),
        (ProtocolErrors::WCHANNEL_TIMEOUT, 10),
    ];
    for (flag, bit) in errors {
        assert_eq!(flag.bits(), 1 << bit);
    }
}

#[test]
fn statuses_and_errors() {
    // FPGA_STATUS_*, FPGA_STATUS2STR.
    let statuses = [
        (0, "loaded"),
        (1, "cleared"),
        (2, "busy"),
        (3, "not-programmed"),
        (4, "afi-cache-in-progress"),
        (5, "rl-reload-needed-drop-pci-link"),
        (6, "internal-error"),
        (7, "load-failed"),
        (8, "internal-error"),
    ];
    for (code, name) in statuses {
        assert_eq!(SlotStatus(code).name(), name);
    }
    // FPGA_ERR_*, FPGA_ERR2STR.
    let errors = [
        (0, "ok"),
        (3, "busy"),
        (5, "invalid-afi-id"),
        (6, "afi-load-timeout"),
        (11, "invalid-afi-cmd-api-version"),
        (12, "cl-id-mismatch"),
        (13, "cl-ddr-calib-failed"),
        (14, "unspecified-error"),
        (16, "shell-version-not-supported"),
        (17, "afi-power-violation"),
        (18, "dram-data-retention-not-possible"),
        (19, "hardware-busy"),
        (20, "pci-device-missing"),
        (21, "afi-command-malformed"),
        (22, "dram-data-retention-failed"),
        (23, "dram-data-retention-setup-failed"),
        (24, "software-problem"),
        (25, "unresponsive"),
        (26, "err-rl-reload-needed-drop-pci-link"),
        (27, "err-incompatible-afi-cmd-flags"),
        (28, "invalid-clkgen-input"),
        (29, "clkgen-ip-not-found"),
        (4, "internal-error"),
        (30, "internal-error"),
    ];
    for (code, name) in errors {
        assert_eq!(ErrorCode(code).name(), name, "{code}");
    }
}

#[test]
fn functions_and_bars() {
    // AWS_Fpga_Pcie_Memory_Map.md: BAR, size, 64-bit, prefetchable.
    const K: u64 = 1 << 10;
    const M: u64 = 1 << 20;
    const G: u64 = 1 << 30;
    let f1_app = [
        (0, 32 * M, false),
        (1, 2 * M, false),
        (2, 64 * K, true),
        (4, 128 * G, true),
    ];
    let f2_app = [(0, 64 * M, true), (2, 64 * K, true), (4, 128 * G, true)];
    let mgmt = [(0, 16 * K, true), (2, 16 * K, true), (4, 4 * M, true)];
    let cases = [
        (Family::F1, 0x1041, 0x1042, &f1_app[..]),
        (Family::F2, 0x9248, 0x9048, &f2_app[..]),
    ];
    for (family, mgmt_device, cleared_device, app) in cases {
        let profile = family.profile();
        assert_eq!(
            (profile.mgmt.vendor, profile.mgmt.device),
            (0x1D0F, mgmt_device)
        );
        assert_eq!(
            (profile.cleared.vendor, profile.cleared.device),
            (0x1D0F, cleared_device)
        );
        for (specs, expected) in [(profile.app_bars, app), (profile.mgmt_bars, &mgmt[..])] {
            assert_eq!(specs.len(), expected.len());
            for (spec, (index, size, is_64bit)) in specs.iter().zip(expected) {
                assert_eq!(spec.index, BarIndex::new(*index).unwrap());
                assert_eq!(
                    (spec.size, spec.is_64bit, spec.prefetchable),
                    (*size, *is_64bit, *is_64bit)
                );
            }
        }
    }
}

#[test]
fn configuration_space() {
    // PCI Local Bus Specification 3.0, figure 6-1; PCI Express Base 5.0, 7.5.3.
    let offsets = [
        (config_space::VENDOR_ID, 0x00),
        (config_space::DEVICE_ID, 0x02),
        (config_space::COMMAND, 0x04),
        (config_space::STATUS, 0x06),
        (config_space::REVISION_ID, 0x08),
        (config_space::CLASS_CODE, 0x09),
        (config_space::CACHE_LINE_SIZE, 0x0C),
        (config_space::HEADER_TYPE, 0x0E),
        (config_space::BAR0, 0x10),
        (config_space::SUBSYSTEM_VENDOR_ID, 0x2C),
        (config_space::SUBSYSTEM_ID, 0x2E),
        (config_space::CAPABILITIES, 0x34),
        (config_space::INTERRUPT_LINE, 0x3C),
        (config_space::INTERRUPT_PIN, 0x3D),
        (config_space::PCIE_DEVICE_CAPABILITIES, 0x04),
        (config_space::PCIE_DEVICE_CONTROL, 0x08),
        (config_space::MSIX_MESSAGE_CONTROL, 0x02),
    ];
    for (ours, expected) in offsets {
        assert_eq!(ours, expected);
    }
    assert_eq!(config_space::Command::MEMORY_SPACE.bits(), 1 << 1);
    assert_eq!(config_space::Command::BUS_MASTER.bits(), 1 << 2);
    assert_eq!(config_space::Command::INTX_DISABLE.bits(), 1 << 10);
}

#[test]
fn vfio_user_messages() {
    // docs/interop/vfio-user.rst: bytes of each structure, without the header.
    let sizes = [
        (vu::Header::SIZE, 16),
        (vu::Version::SIZE, 4),
        (vu::DmaMap::SIZE, 32),
        (vu::DmaUnmap::SIZE, 24),
        (vu::DeviceInfo::SIZE, 16),
        (vu::RegionInfo::SIZE, 32),
        (vu::CapHeader::SIZE, 8),
        (vu::SparseMmap::SIZE, 8),
        (vu::SparseArea::SIZE, 16),
        (vu::IrqInfo::SIZE, 16),
        (vu::IrqSet::SIZE, 20),
        (vu::RegionAccess::SIZE, 16),
        (vu::DmaAccess::SIZE, 16),
    ];
    for (ours, expected) in sizes {
        assert_eq!(ours, expected);
    }
    let map = vu::DmaMap {
        argsz: 1.into(),
        flags: 2.into(),
        offset: 3.into(),
        address: 4.into(),
        size: 5.into(),
    };
    let bytes = zerocopy::IntoBytes::as_bytes(&map);
    for (at, value) in [(0, 1), (4, 2), (8, 3), (16, 4), (24, 5)] {
        assert_eq!(bytes[at], value, "field at {at}");
    }
    let commands = [
        (vu::Command::VERSION, 1),
        (vu::Command::DMA_MAP, 2),
        (vu::Command::DMA_UNMAP, 3),
        (vu::Command::DEVICE_GET_INFO, 4),
        (vu::Command::DEVICE_GET_REGION_INFO, 5),
        (vu::Command::DEVICE_GET_REGION_IO_FDS, 6),
        (vu::Command::DEVICE_GET_IRQ_INFO, 7),
        (vu::Command::DEVICE_SET_IRQS, 8),
        (vu::Command::REGION_READ, 9),
        (vu::Command::REGION_WRITE, 10),
        (vu::Command::DMA_READ, 11),
        (vu::Command::DMA_WRITE, 12),
        (vu::Command::DEVICE_RESET, 13),
        (vu::Command::REGION_WRITE_MULTI, 15),
        (vu::Command::DEVICE_FEATURE, 16),
        (vu::Command::MIG_DATA_READ, 17),
        (vu::Command::MIG_DATA_WRITE, 18),
    ];
    for (ours, expected) in commands {
        assert_eq!(ours.0, expected);
    }
}
