//! Registers: what they read after a reset, what writes do, and who gets interrupts.

use std::fs::File;
use std::io::Read;

use afi_proto::xdma::{Identifier, config};

use super::*;

#[test]
fn every_block_tells_what_it_is() {
    let engine = Engine::new(DmaMode::Inline);
    for offset in (0..0x8000).step_by(0x100) {
        let word = read32(&*engine.rig.app, BAR, offset);
        match Target::at(offset) {
            Some((target, _)) => {
                let found = Identifier::parse(word, target).unwrap();
                assert!(!found.is_stream, "{target:?}");
            }
            None => assert_eq!(word, 0, "{offset:#x}"),
        }
    }
    let block = Target::Channel(Direction::C2h, 3);
    assert_eq!(engine.read(block, channel::ALIGNMENTS), 0x0001_0140);
    assert_eq!(engine.read(Target::Config, config::DATA_WIDTH), 3);
    assert_eq!(engine.read(Target::Config, config::BUS_DEV), 0x1D << 3);
}

#[test]
fn a_shell_without_an_engine_has_msix_only() {
    let small = Family::F1.profile().shells.iter().find(|shell| !shell.xdma);
    let rig = Rig::with_shell(Family::F1, small.unwrap().version, Vec::new());
    for offset in [0, 4, 0x2004, 0x6010, 0x7FFC] {
        write32(&*rig.app, BAR, offset, 1);
        assert_eq!(read32(&*rig.app, BAR, offset), u32::MAX);
    }
    assert_eq!(read32(&*rig.app, BAR, 0x800C), 1);
    // An access across the end of the engine's part reaches both.
    let mut across = [0; 8];
    Engine::new(DmaMode::Inline)
        .rig
        .app
        .read_bar(BAR, 0x7FFE, &mut across);
    assert_eq!(across, [0; 8]);
}

#[test]
fn bits_are_set_and_cleared_by_writing_ones() {
    let engine = Engine::new(DmaMode::Inline);
    let block = Target::Channel(Direction::C2h, 1);
    let set = Control::ON_STOPPED.bits() | Control::ON_MAGIC.bits();
    engine.write(block, channel::CONTROL_W1S, set);
    engine.write(block, channel::CONTROL_W1C, Control::ON_MAGIC.bits());
    for register in [channel::CONTROL, channel::CONTROL_W1S, channel::CONTROL_W1C] {
        assert_eq!(engine.read(block, register), Control::ON_STOPPED.bits());
    }
    engine.write(block, channel::INTERRUPT_ENABLE, u32::MAX);
    let mask = Status::all().bits() & !1;
    assert_eq!(engine.read(block, channel::INTERRUPT_ENABLE), mask);
    engine.write(block, channel::INTERRUPT_ENABLE_W1C, 0xFFFF);
    assert_eq!(
        engine.read(block, channel::INTERRUPT_ENABLE),
        mask & !0xFFFF
    );
    engine
        .rig
        .app
        .write_bar(BAR, block.offset() + channel::WRITE_BACK_LOW + 1, &[0xAB]);
    assert_eq!(engine.read(block, channel::WRITE_BACK_LOW), 0xAB00);
    for unaffected in [
        Target::Channel(Direction::C2h, 0),
        Target::Channel(Direction::H2c, 1),
    ] {
        assert_eq!(engine.read(unaffected, channel::CONTROL), 0);
    }
}

#[test]
fn status_goes_by_ones_written_and_by_being_read() {
    let engine = Engine::new(DmaMode::Inline);
    let descriptor = Descriptor::new(BASE, 0, 4, STOP);
    engine.one(H2C, descriptor);
    let block = Target::Channel(Direction::H2c, 0);
    engine.write(block, channel::STATUS, Status::COMPLETED.bits());
    let left = Status::STOPPED | Status::IDLE;
    assert_eq!(
        engine.status(H2C),
        left,
        "stopping an idle channel is noted"
    );
    assert_eq!(engine.read(block, channel::STATUS_RC), left.bits());
    assert_eq!(engine.status(H2C), Status::empty());
    engine.one(H2C, descriptor);
    assert_eq!(engine.completed(H2C), 1, "counted from each start on");
}

#[test]
fn an_interrupt_comes_when_a_request_begins() {
    let engine = Engine::new(DmaMode::Inline);
    let events: Vec<File> = (0..9)
        .map(|vector| File::from(engine.function.msix(vector).unwrap()))
        .collect();
    let fired = |vector: usize| {
        let mut count = [0; 8];
        let read = (&events[vector]).read_exact(&mut count);
        read.map_or(0, |()| u64::from_ne_bytes(count))
    };
    let of = (Direction::C2h, 1);
    let block = Target::Channel(Direction::C2h, 1);
    let bit = 1 << irq::channel_number(of.0, of.1);
    let descriptor = Descriptor::new(0, BASE, 4, STOP);
    engine.write(
        block,
        channel::INTERRUPT_ENABLE_W1S,
        Status::COMPLETED.bits(),
    );
    engine.one(of, descriptor);
    assert_eq!(engine.read(Target::Irq, irq::CHANNEL_PENDING), bit);
    assert_eq!(engine.read(Target::Irq, irq::CHANNEL_REQUEST), 0);
    assert_eq!(
        (0..9).map(fired).sum::<u64>(),
        0,
        "the block lets nothing through"
    );
    // Enabled, it comes; and once only, until the request has ended.
    engine.rig.enable_interrupts();
    assert_eq!(engine.read(Target::Irq, irq::CHANNEL_REQUEST), bit);
    assert_eq!((fired(5), (0..9).map(fired).sum::<u64>()), (1, 0));
    engine.write(Target::Irq, irq::CHANNEL_ENABLE_W1S, 0xFF);
    assert_eq!(fired(5), 0);
    // What the driver's handler does: disable, read, enable.
    engine.write(Target::Irq, irq::CHANNEL_ENABLE_W1C, bit);
    engine.read(block, channel::STATUS_RC);
    engine.write(Target::Irq, irq::CHANNEL_ENABLE_W1S, bit);
    assert_eq!(fired(5), 0);
    engine.one(of, descriptor);
    assert_eq!(fired(5), 1);
    // Still requested when it is enabled again: it comes again.
    engine.write(Target::Irq, irq::CHANNEL_ENABLE_W1C, bit);
    engine.write(Target::Irq, irq::CHANNEL_ENABLE_W1S, bit);
    assert_eq!(fired(5), 1);
}

#[test]
fn cycles_and_beats_are_counted_when_armed() {
    let engine = Engine::new(DmaMode::Inline);
    let block = Target::Channel(Direction::H2c, 0);
    let common = Target::SgdmaCommon;
    let bit = afi_proto::xdma::common::bit(Direction::H2c, 0);
    engine.one(H2C, Descriptor::new(BASE, 0, 64, STOP));
    assert_eq!(
        engine.read(block, channel::PERFORMANCE_DATA_LOW),
        0,
        "not armed"
    );
    engine.put(RING, &[Descriptor::new(BASE, 0, 65, STOP)]);
    engine.write(block, channel::PERFORMANCE_CONTROL, 0b101);
    // Held back for 20 s: 5 thousand million cycles, which is more than 32 bits.
    engine.write(common, afi_proto::xdma::common::HALT_W1S, bit);
    engine.start(H2C, RING, 0, Control::empty());
    engine.rig.clock.step(Duration::from_secs(20));
    engine.write(common, afi_proto::xdma::common::HALT_W1C, bit);
    engine.rig.clock.step(Duration::from_secs(1));
    assert_eq!(
        engine.read(block, channel::PERFORMANCE_CONTROL),
        0b100,
        "it stopped itself"
    );
    let low = engine.read(block, channel::PERFORMANCE_CYCLES_LOW);
    let high = engine.read(block, channel::PERFORMANCE_CYCLES_HIGH);
    assert_eq!(u64::from(high) << 32 | u64::from(low), 5_000_000_000);
    assert_eq!(engine.read(block, channel::PERFORMANCE_DATA_LOW), 2);
    engine.write(block, channel::PERFORMANCE_CONTROL, 0b10);
    assert_eq!(engine.read(block, channel::PERFORMANCE_DATA_LOW), 0);
    assert_eq!(engine.read(block, channel::PERFORMANCE_CYCLES_HIGH), 0);
}
