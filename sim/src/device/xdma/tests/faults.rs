//! Faults of the engine, by name.

use afi_proto::config_space::COMMAND;

use super::*;

fn descriptor() -> Descriptor {
    Descriptor::new(BASE, 0, 64, STOP)
}

#[test]
fn a_channel_that_hangs_is_freed_by_a_reset_only() {
    let engine = Engine::new(DmaMode::Inline);
    engine.rig.fault("dma-hang=1");
    engine.put(RING, &[descriptor()]);
    engine.start(H2C, RING, 0, Control::empty());
    engine.stop(H2C);
    assert_eq!(engine.status(H2C), Status::BUSY);
    assert_eq!(
        engine.one((Direction::H2c, 1), descriptor()),
        Status::STOPPED | Status::COMPLETED,
        "others work"
    );
    engine.rig.app.reset();
    engine.rig.app.write_config(COMMAND, &[6]);
    assert_eq!(
        engine.one(H2C, descriptor()),
        Status::STOPPED | Status::COMPLETED
    );
}

#[test]
fn spoiled_descriptors_and_data_end_one_transfer() {
    let engine = Engine::new(DmaMode::Inline);
    let back = Descriptor::new(0, BASE, 64, STOP);
    for (fault, of, descriptor, wanted) in [
        (
            "dma-descriptor-error=1",
            H2C,
            descriptor(),
            Status::DESCRIPTOR_POISONED,
        ),
        ("dma-data-error=1", H2C, descriptor(), Status::READ_3),
        ("dma-data-error=1", C2H, back, Status::READ_1),
    ] {
        engine.rig.fault(fault);
        assert_eq!(engine.one(of, descriptor), wanted, "{fault}");
        assert_eq!(
            engine.one(of, descriptor),
            Status::STOPPED | Status::COMPLETED
        );
    }
}

#[test]
fn a_lost_write_back_and_a_lost_interrupt_are_lost_once() {
    let engine = Engine::new(DmaMode::Inline);
    let event = engine.function.msix(0).unwrap();
    let fired = || {
        let mut count = [0; 8];
        nix::unistd::read(&event, &mut count).is_ok()
    };
    engine.rig.enable_interrupts();
    let block = Target::Channel(Direction::H2c, 0);
    let enabled = Status::STOPPED.bits();
    engine.write(block, channel::INTERRUPT_ENABLE, enabled);
    engine.put(RING, &[descriptor()]);
    let run = || {
        engine.start(H2C, RING, 0, Control::WRITE_BACK);
        engine.read(block, channel::STATUS_RC);
        engine.stop(H2C);
    };
    engine.rig.fault("dma-interrupt-lost=1");
    run();
    assert!(!fired());
    run();
    assert!(fired());
    engine.fill(WRITE_BACKS, &[0; 4]);
    engine.rig.fault("dma-write-back-lost=1");
    run();
    assert_eq!(engine.write_back(H2C).completed, 0);
    run();
    assert_eq!(engine.write_back(H2C).completed, 1);
}

#[test]
fn a_card_that_goes_away_in_flight_reads_as_all_ones_and_moves_nothing() {
    for mode in [DmaMode::Inline, DmaMode::Threads] {
        let engine = Engine::new(mode);
        engine.rig.fault("dma-device-gone");
        engine.put(RING, &[descriptor()]);
        engine.start(H2C, RING, 0, Control::WRITE_BACK);
        let started = Instant::now();
        while engine.status(H2C).bits() != u32::MAX {
            assert!(started.elapsed() < PATIENCE);
        }
        assert_eq!(engine.write_back(H2C).completed, 0);
        assert!(!engine.rig.app.is_present());
    }
}

#[test]
fn a_card_that_is_gone_for_a_while_goes_on_when_it_is_back() {
    let engine = Engine::new(DmaMode::Threads);
    engine.rig.app.write_config(COMMAND, &[2]);
    engine.put(RING, &[descriptor()]);
    engine.start(H2C, RING, 0, Control::empty());
    engine.rig.fault("device-gone");
    assert_eq!(engine.status(H2C).bits(), u32::MAX);
    engine.rig.faults.set(Vec::new());
    assert_eq!(engine.status(H2C), Status::BUSY, "bus mastering is off");
    engine.rig.app.write_config(COMMAND, &[6]);
    assert_eq!(engine.wait_idle(H2C), Status::STOPPED | Status::COMPLETED);
}

#[test]
fn a_slow_channel_takes_its_time_and_can_be_stopped_in_it() {
    let engine = Engine::new(DmaMode::Threads);
    engine.rig.fault("dma-slow=30");
    engine.put(RING, &[descriptor()]);
    let started = Instant::now();
    engine.start(H2C, RING, 0, Control::empty());
    engine.wait_idle(H2C);
    assert!(started.elapsed() >= Duration::from_millis(30));
    engine.stop(H2C);
    engine.rig.fault("dma-slow=3600000");
    engine.start(H2C, RING, 0, Control::empty());
    engine.stop(H2C);
    assert!(engine.wait_idle(H2C).contains(Status::IDLE) || engine.completed(H2C) == 1);
}
