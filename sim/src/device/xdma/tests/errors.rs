//! What goes wrong ends in the right bits, and the channel works again afterwards.

use afi_proto::config_space::COMMAND;
use afi_proto::mailbox::InterruptStatus;

use super::*;

const GIB: u64 = 1 << 30;

/// A good transfer.
fn good(of: (Direction, u8)) -> Descriptor {
    match of.0 {
        Direction::H2c => Descriptor::new(BASE, 0x100, 64, STOP),
        Direction::C2h => Descriptor::new(0x100, BASE, 64, STOP),
    }
}

fn assert_works(engine: &Engine, of: (Direction, u8)) {
    assert_eq!(
        engine.one(of, good(of)),
        Status::STOPPED | Status::COMPLETED
    );
    assert_eq!(engine.completed(of), 1);
}

#[test]
fn each_error_has_its_bit_and_the_next_transfer_works() {
    let engine = Engine::new(DmaMode::Inline);
    let unmapped = BASE + SIZE;
    let write_only = engine.map(0x1000, 0..4096, DmaAccess::Write);
    let mut no_magic = good(H2C);
    no_magic.as_mut_bytes()[2] ^= 1;
    let cases = [
        (H2C, no_magic, Status::MAGIC),
        (C2H, no_magic, Status::MAGIC),
        (
            H2C,
            Descriptor::new(BASE, 0, 0, STOP),
            Status::INVALID_LENGTH,
        ),
        (H2C, Descriptor::new(unmapped, 0, 4, STOP), Status::READ_0),
        (
            H2C,
            Descriptor::new(unmapped - 4, 0, 8, STOP),
            Status::READ_0,
        ),
        (H2C, Descriptor::new(u64::MAX, 0, 2, STOP), Status::READ_0),
        (
            H2C,
            Descriptor::new(write_only.iova(), 0, 4, STOP),
            Status::READ_0,
        ),
        (
            H2C,
            Descriptor::new(BASE, 127 * GIB - 3, 4, STOP),
            Status::WRITE_DECODE,
        ),
        (
            H2C,
            Descriptor::new(BASE, u64::MAX, 4, STOP),
            Status::WRITE_DECODE,
        ),
        (
            C2H,
            Descriptor::new(127 * GIB, BASE, 4, STOP),
            Status::READ_0,
        ),
        (
            C2H,
            Descriptor::new(u64::MAX - 3, BASE, 4, STOP),
            Status::READ_0,
        ),
    ];
    for (of, descriptor, wanted) in cases {
        assert_eq!(engine.one(of, descriptor), wanted, "{descriptor:?}");
        assert_eq!(engine.completed(of), 0);
        assert_works(&engine, of);
    }
    let body = engine.rig.hardware().body;
    assert_eq!(body.interrupts, InterruptStatus::DMA_RANGE_ERROR);
}

#[test]
fn descriptors_that_cannot_be_fetched() {
    let engine = Engine::new(DmaMode::Inline);
    engine.put(RING, &[good(H2C)]);
    let crossing = RING + 4096 - 64;
    engine.put(crossing, &[good(H2C); 3]);
    for (first, adjacent) in [
        (SIZE, 0),
        (SIZE - 32, 1),
        (0x10_0000_0000, 63),
        (u64::MAX - BASE - 31, 0),
        (crossing, 2),
        (RING + 4, 0),
    ] {
        engine.start(H2C, first, adjacent, Control::empty());
        let status = engine.wait_idle(H2C);
        assert_eq!(
            status,
            Status::DESCRIPTOR_UNSUPPORTED,
            "{first:#x}+{adjacent}"
        );
        engine.stop(H2C);
        assert_works(&engine, H2C);
    }
    // A chain that does not stop goes wherever its last descriptor points.
    for next in [0, 1, BASE + SIZE, u64::MAX] {
        let strays = Descriptor::new(BASE, 0, 4, DescriptorFlags::COMPLETED).followed_by(next, 63);
        let wanted = Status::COMPLETED | Status::DESCRIPTOR_UNSUPPORTED;
        assert_eq!(engine.one(H2C, strays), wanted);
        assert_eq!(engine.completed(H2C), 1);
        assert_works(&engine, H2C);
    }
}

#[test]
fn a_write_that_the_host_refuses_is_lost_and_nobody_is_told() {
    let engine = Engine::new(DmaMode::Inline);
    engine.fill(0, &[5; 4096]);
    let read_only = engine.map(0x1000, 0..4096, DmaAccess::Read);
    for iova in [read_only.iova(), BASE + SIZE] {
        let status = engine.one(C2H, Descriptor::new(0, iova, 64, STOP));
        assert_eq!(status, Status::STOPPED | Status::COMPLETED);
    }
    assert_eq!(engine.host(0, 4096), [5; 4096]);
}

#[test]
fn only_what_the_host_wants_to_know_is_noted() {
    let engine = Engine::new(DmaMode::Inline);
    engine.put(RING, &[Descriptor::new(BASE, 0, 0, STOP)]);
    engine.start(H2C, RING, 0, Control::empty());
    let block = Target::Channel(Direction::H2c, 0);
    engine.stop(H2C);
    engine.write(block, channel::CONTROL, Control::RUN.bits());
    assert_eq!(engine.status(H2C), Status::empty());
    assert_eq!(engine.completed(H2C), 0, "it ended all the same");
}

#[test]
fn an_error_is_told_by_write_back() {
    let engine = Engine::new(DmaMode::Inline);
    let first = Descriptor::new(BASE, 0, 4, DescriptorFlags::empty());
    let bad = Descriptor::new(BASE + SIZE, 0, 4, STOP);
    engine.put(RING, &[first.followed_by(BASE + RING + 32, 0), bad]);
    engine.start(H2C, RING, 1, Control::WRITE_BACK);
    let told = WriteBack {
        completed: 1,
        error: true,
    };
    assert_eq!(engine.write_back(H2C), told);
    engine.stop(H2C);
    assert_works(&engine, H2C);
    assert_eq!(
        engine.write_back(H2C),
        told,
        "the last one did not ask for it"
    );
}

#[test]
fn without_bus_mastering_nothing_moves_until_it_is_on_again() {
    let engine = Engine::new(DmaMode::Inline);
    engine.fill(0, &[9; 64]);
    engine.rig.app.write_config(COMMAND, &[2]);
    engine.put(RING, &[good(H2C)]);
    engine.start(H2C, RING, 0, Control::empty());
    assert_eq!(engine.status(H2C), Status::BUSY);
    engine.stop(H2C);
    assert_eq!(engine.status(H2C), Status::IDLE);
    engine.start(H2C, RING, 0, Control::WRITE_BACK);
    assert_eq!(engine.status(H2C), Status::BUSY);
    assert_eq!(engine.card(0x100, 64), [0; 64]);
    engine.rig.app.write_config(COMMAND, &[6]);
    assert_eq!(engine.write_back(H2C).completed, 1);
    assert_eq!(engine.status(H2C), Status::STOPPED | Status::COMPLETED);
    assert_eq!(engine.card(0x100, 64), [9; 64]);
}

#[test]
fn a_function_in_d3_answers_nothing_and_loses_nothing() {
    let engine = Engine::new(DmaMode::Inline);
    engine.fill(0, &[9; 64]);
    let bit = afi_proto::xdma::common::bit(Direction::H2c, 0);
    let common = afi_proto::xdma::common::HALT;
    engine.write(Target::SgdmaCommon, common, bit);
    engine.put(RING, &[good(H2C)]);
    engine.start(H2C, RING, 0, Control::empty());
    engine.rig.app.write_config(0x44, &[3]);
    assert_eq!(engine.status(H2C).bits(), u32::MAX);
    engine.rig.app.write_config(0x44, &[0]);
    assert_eq!(engine.status(H2C), Status::BUSY, "and loses nothing");
    engine.write(Target::SgdmaCommon, common, 0);
    assert_eq!(engine.status(H2C), Status::STOPPED | Status::COMPLETED);
}

#[test]
fn a_slot_without_a_design_answers_no_transfer() {
    let engine = Engine::new(DmaMode::Inline);
    engine.rig.clear().unwrap();
    for (of, wanted) in [(H2C, Status::WRITE_SLAVE), (C2H, Status::READ_1)] {
        assert_eq!(engine.one(of, good(of)), wanted);
    }
    let body = engine.rig.hardware().body;
    assert_eq!(body.dma_pcis_timeout.count, 2);
    assert_eq!(
        body.dma_pcis_timeout.address, 0x102,
        "the first was a write"
    );
}

#[test]
fn what_is_written_is_gone_after_a_clear() {
    let engine = Engine::new(DmaMode::Inline);
    engine.fill(0, &[9; 64]);
    assert_works(&engine, H2C);
    engine.rig.clear().unwrap();
    engine.rig.clock.step(Duration::from_secs(1));
    engine
        .rig
        .load(1, afi_proto::mailbox::CommandFlags::empty())
        .unwrap();
    engine.rig.clock.step(Duration::from_secs(1));
    assert_eq!(engine.card(0x100, 64), [0; 64]);
    assert_works(&engine, C2H);
    assert_eq!(engine.host(0, 64), [0; 64]);
}

#[test]
fn a_design_without_memory_answers_by_itself_or_not_at_all() {
    let engine = Engine::with_model(DmaMode::Inline, "cl_hello_world");
    assert_eq!(engine.one(H2C, good(H2C)), Status::WRITE_SLAVE);
}

#[test]
fn a_reset_takes_everything_and_leaves_an_engine_that_works() {
    let engine = Engine::new(DmaMode::Inline);
    engine.rig.app.write_config(COMMAND, &[2]);
    engine.put(RING, &[good(H2C)]);
    engine.start(H2C, RING, 0, Control::empty());
    assert_eq!(engine.status(H2C), Status::BUSY);
    engine.rig.app.reset();
    engine.rig.app.write_config(COMMAND, &[6]);
    assert_eq!(engine.status(H2C), Status::empty());
    let control = engine.read(Target::Channel(Direction::H2c, 0), channel::CONTROL);
    assert_eq!(control, 0);
    assert_eq!(engine.card(0x100, 64), [0; 64]);
    assert_works(&engine, H2C);
}

#[test]
fn a_chain_without_end_can_be_stopped() {
    let engine = Engine::new(DmaMode::Inline);
    let forever = Descriptor::new(BASE, 0, 4, DescriptorFlags::empty()).followed_by(BASE + RING, 0);
    engine.put(RING, &[forever]);
    engine.start(H2C, RING, 0, Control::empty());
    assert_eq!(engine.status(H2C), Status::BUSY);
    assert!(engine.completed(H2C) > 1000);
    engine.stop(H2C);
    assert_eq!(engine.status(H2C), Status::IDLE);
    assert_works(&engine, H2C);
}
