//! Every offset, size and bit of the DMA engine that driver and device model share, against a table
//! written from the public sources and from nothing else, as in `register_map.rs`.

use afi_proto::BarIndex;
use afi_proto::xdma::{
    BAR, CHANNELS, Control, Descriptor, DescriptorFlags, Direction, Identifier, MAGIC,
    MAX_ADJACENT, MAX_LENGTH, PerformanceControl, Status, Target, WriteBack, channel, common,
    config, irq, sgdma,
};
use zerocopy::IntoBytes;

#[test]
fn blocks() {
    // PG195, "PCIe to DMA Address Map"; libxdma.h: XDMA_OFS_INT_CTRL, XDMA_OFS_CONFIG, and the
    // engines' spacing of 0x100 with 0x1000 between the directions.
    assert_eq!((BAR, CHANNELS), (BarIndex::BAR2, 4));
    let (h2c, c2h) = (Direction::H2c, Direction::C2h);
    let table = [
        (Target::Channel(h2c, 0), 0x0000, 0x1FC0_0000),
        (Target::Channel(h2c, 3), 0x0300, 0x1FC0_0300),
        (Target::Channel(c2h, 0), 0x1000, 0x1FC1_0000),
        (Target::Channel(c2h, 2), 0x1200, 0x1FC1_0200),
        (Target::Irq, 0x2000, 0x1FC2_0000),
        (Target::Config, 0x3000, 0x1FC3_0000),
        (Target::Sgdma(h2c, 1), 0x4100, 0x1FC4_0100),
        (Target::Sgdma(c2h, 3), 0x5300, 0x1FC5_0300),
        (Target::SgdmaCommon, 0x6000, 0x1FC6_0000),
    ];
    for (target, offset, identifier) in table {
        assert_eq!(target.offset(), offset, "{target:?}");
        let bits = Identifier {
            target,
            is_stream: false,
            version: 0,
        }
        .bits();
        assert_eq!(bits, identifier, "{target:?}");
    }
}

#[test]
fn registers() {
    // struct engine_regs, engine_sgdma_regs, sgdma_common_regs, interrupt_regs and config_regs of
    // libxdma.h; PG195, "Register Space".
    let table = [
        (channel::CONTROL, 0x04),
        (channel::CONTROL_W1S, 0x08),
        (channel::CONTROL_W1C, 0x0C),
        (channel::STATUS, 0x40),
        (channel::STATUS_RC, 0x44),
        (channel::COMPLETED, 0x48),
        (channel::ALIGNMENTS, 0x4C),
        (channel::WRITE_BACK_LOW, 0x88),
        (channel::WRITE_BACK_HIGH, 0x8C),
        (channel::INTERRUPT_ENABLE, 0x90),
        (channel::INTERRUPT_ENABLE_W1S, 0x94),
        (channel::INTERRUPT_ENABLE_W1C, 0x98),
        (channel::PERFORMANCE_CONTROL, 0xC0),
        (channel::PERFORMANCE_CYCLES_LOW, 0xC4),
        (channel::PERFORMANCE_CYCLES_HIGH, 0xC8),
        (channel::PERFORMANCE_DATA_LOW, 0xCC),
        (channel::PERFORMANCE_DATA_HIGH, 0xD0),
        (channel::PERFORMANCE_PENDING_LOW, 0xD4),
        (channel::PERFORMANCE_PENDING_HIGH, 0xD8),
        (sgdma::FIRST_LOW, 0x80),
        (sgdma::FIRST_HIGH, 0x84),
        (sgdma::FIRST_ADJACENT, 0x88),
        (sgdma::CREDITS, 0x8C),
        (common::HALT, 0x10),
        (common::HALT_W1S, 0x14),
        (common::HALT_W1C, 0x18),
        (common::CREDIT_MODE, 0x20),
        (common::CREDIT_MODE_W1S, 0x24),
        (common::CREDIT_MODE_W1C, 0x28),
        (irq::USER_ENABLE, 0x04),
        (irq::USER_ENABLE_W1S, 0x08),
        (irq::USER_ENABLE_W1C, 0x0C),
        (irq::CHANNEL_ENABLE, 0x10),
        (irq::CHANNEL_ENABLE_W1S, 0x14),
        (irq::CHANNEL_ENABLE_W1C, 0x18),
        (irq::USER_REQUEST, 0x40),
        (irq::CHANNEL_REQUEST, 0x44),
        (irq::USER_PENDING, 0x48),
        (irq::CHANNEL_PENDING, 0x4C),
        (irq::USER_VECTORS, 0x80),
        (irq::CHANNEL_VECTORS, 0xA0),
        (config::BUS_DEV, 0x04),
        (config::MAX_PAYLOAD, 0x08),
        (config::MAX_READ_REQUEST, 0x0C),
        (config::SYSTEM_ID, 0x10),
        (config::MSI_ENABLE, 0x14),
        (config::DATA_WIDTH, 0x18),
    ];
    for (row, (ours, expected)) in table.into_iter().enumerate() {
        assert_eq!(ours, expected, "row {row}");
    }
    assert_eq!(irq::USER_INTERRUPTS, 16);
    assert_eq!(sgdma::MOST_CREDITS, 0x3FF);
    // C2H channels follow the H2C channels in the interrupt block, and are 16 bits up in the
    // fetchers' common block.
    assert_eq!(irq::channel_number(Direction::H2c, 3), 3);
    assert_eq!(irq::channel_number(Direction::C2h, 0), 4);
    assert_eq!(common::bit(Direction::H2c, 2), 1 << 2);
    assert_eq!(common::bit(Direction::C2h, 1), 1 << 17);
    assert_eq!(irq::vector_field(6), (4, 16));
}

#[test]
fn bits() {
    // XDMA_CTRL_*, XDMA_STAT_* and XDMA_DESC_* of libxdma.h; PG195, "H2C Channel Control",
    // "H2C Channel Status" and "Performance Monitor Control".
    let control = [
        (Control::RUN, 1 << 0),
        (Control::ON_STOPPED, 1 << 1),
        (Control::ON_COMPLETED, 1 << 2),
        (Control::ON_ALIGNMENT, 1 << 3),
        (Control::ON_MAGIC, 1 << 4),
        (Control::ON_INVALID_LENGTH, 1 << 5),
        (Control::ON_IDLE, 1 << 6),
        (Control::ON_READ_ERROR, 0x1F << 9),
        (Control::ON_WRITE_ERROR, 0x03 << 14),
        (Control::ON_DESCRIPTOR_ERROR, 0x1F << 19),
        (Control::NON_INCREMENTING, 1 << 25),
        (Control::WRITE_BACK, 1 << 26),
    ];
    for (ours, expected) in control {
        assert_eq!(ours.bits(), expected, "{ours:?}");
    }
    let status = [
        (Status::BUSY, 0),
        (Status::STOPPED, 1),
        (Status::COMPLETED, 2),
        (Status::ALIGNMENT, 3),
        (Status::MAGIC, 4),
        (Status::INVALID_LENGTH, 5),
        (Status::IDLE, 6),
        (Status::READ_0, 9),
        (Status::READ_4, 13),
        (Status::WRITE_DECODE, 14),
        (Status::WRITE_SLAVE, 15),
        (Status::DESCRIPTOR_UNSUPPORTED, 19),
        (Status::DESCRIPTOR_ABORTED, 20),
        (Status::DESCRIPTOR_PARITY, 21),
        (Status::DESCRIPTOR_POISONED, 22),
        (Status::DESCRIPTOR_UNEXPECTED, 23),
    ];
    for (ours, bit) in status {
        assert_eq!(ours.bits(), 1 << bit, "{ours:?}");
    }
    assert_eq!(DescriptorFlags::STOP.bits(), 1);
    assert_eq!(DescriptorFlags::COMPLETED.bits(), 2);
    assert_eq!(DescriptorFlags::END_OF_PACKET.bits(), 16);
    assert_eq!(PerformanceControl::RUN.bits(), 1);
    assert_eq!(PerformanceControl::CLEAR.bits(), 2);
    assert_eq!(PerformanceControl::AUTO.bits(), 4);
}

#[test]
fn memory() {
    // struct xdma_desc and struct xdma_poll_wb of libxdma.h; PG195, "Descriptor Format".
    assert_eq!((MAGIC, MAX_ADJACENT, MAX_LENGTH), (0xAD4B, 63, 0x0FFF_FFFF));
    assert_eq!((Descriptor::SIZE, WriteBack::SIZE), (32, 32));
    let flags = DescriptorFlags::STOP | DescriptorFlags::END_OF_PACKET;
    let descriptor = Descriptor::new(0x11, 0x22, 0x33, flags).followed_by(0x44, 0x3F);
    let bytes = descriptor.as_bytes();
    assert_eq!(bytes[..4], [0x11, 0x3F, 0x4B, 0xAD]);
    for (at, value) in [(4, 0x33), (8, 0x11), (16, 0x22), (24, 0x44)] {
        assert_eq!(bytes[at], value, "field at {at}");
    }
    let told = WriteBack {
        completed: 0x12_3456,
        error: true,
    };
    assert_eq!(told.bits(), 0x8012_3456);
}
