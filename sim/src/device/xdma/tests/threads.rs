//! Channels with threads of their own: in parallel, stopped in flight, and gone when idle.

use afi_proto::config_space::COMMAND;

use super::*;

const ALL: [(Direction, u8); 8] = [
    (Direction::H2c, 0),
    (Direction::H2c, 1),
    (Direction::H2c, 2),
    (Direction::H2c, 3),
    (Direction::C2h, 0),
    (Direction::C2h, 1),
    (Direction::C2h, 2),
    (Direction::C2h, 3),
];

/// Threads of this process that are named after channels.
fn channel_threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|found| found.trim() == name).count()
}

#[test]
fn all_channels_work_at_once_and_disturb_nobody() {
    let engine = Engine::new(DmaMode::Threads);
    const SHARE: u64 = 256 << 10;
    let data = pattern(9, SHARE as usize);
    std::thread::scope(|scope| {
        for of in ALL {
            let (engine, data) = (&engine, &data);
            scope.spawn(move || {
                let number = u64::from(irq::channel_number(of.0, of.1));
                let (host, card) = (number * SHARE, number << 33 | 0x123);
                for round in 0..40_u8 {
                    let bytes: Vec<u8> = data.iter().map(|byte| byte ^ round).collect();
                    let there = Descriptor::new(BASE + host, card, SHARE as u32, STOP);
                    let back = Descriptor::new(card, BASE + host, SHARE as u32, STOP);
                    match of.0 {
                        Direction::H2c => {
                            engine.fill(host, &bytes);
                            engine.one(of, there);
                            assert!(engine.card(card, bytes.len()) == bytes);
                        }
                        Direction::C2h => {
                            engine.rig.app.write_bar(BarIndex::BAR4, card, &bytes);
                            engine.one(of, back);
                            assert!(engine.host(host, bytes.len()) == bytes);
                        }
                    }
                }
            });
        }
    });
}

#[test]
fn chains_without_end_on_all_channels_leave_registers_and_shutdown_alone() {
    let engine = Engine::new(DmaMode::Threads);
    for of in ALL {
        let ring = RING + 0x1000 * u64::from(irq::channel_number(of.0, of.1));
        let (source, destination) = match of.0 {
            Direction::H2c => (BASE, 0),
            Direction::C2h => (0, BASE),
        };
        let forever = Descriptor::new(source, destination, 4096, DescriptorFlags::COMPLETED);
        engine.put(ring, &[forever.followed_by(BASE + ring, 0)]);
        engine.start(of, ring, 0, Control::WRITE_BACK);
    }
    let started = Instant::now();
    for _ in 0..1000 {
        assert!(engine.status(ALL[3]).contains(Status::BUSY));
    }
    assert!(started.elapsed() < PATIENCE);
    for of in &ALL[..4] {
        engine.stop(*of);
        assert!(engine.wait_idle(*of).contains(Status::IDLE));
    }
    // The rest is ended by the card's end, of which nobody moves a byte afterwards.
    let memory = Arc::clone(&engine.memory);
    drop(engine);
    memory.mapping().store(WRITE_BACKS + 7 * 32, 0_u32).unwrap();
    memory.mapping().copy_in(0, &[0xEE; 4096]).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(memory.mapping().load::<u32>(WRITE_BACKS + 7 * 32), Ok(0));
    assert_eq!(memory.mapping().load::<u8>(4095), Ok(0xEE));
}

#[test]
fn what_is_taken_away_in_flight_is_not_touched_afterwards() {
    let mut engine = Engine::new(DmaMode::Threads);
    let forever = Descriptor::new(0, BASE + 0x1000, 4096, DescriptorFlags::empty());
    engine.put(RING, &[forever.followed_by(BASE + RING, 0)]);
    let spoil = |engine: &Engine| {
        engine.fill(0x1000, &[0xEE; 4096]);
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(engine.host(0x1000, 4096), [0xEE; 4096]);
    };
    let moves = |engine: &Engine| {
        let started = Instant::now();
        engine.fill(0x1000, &[0xEE; 4096]);
        while engine.host(0x1000, 1) != [0] {
            assert!(started.elapsed() < PATIENCE);
        }
    };
    engine.start(C2H, RING, 0, Control::empty());
    moves(&engine);
    engine.rig.app.write_config(COMMAND, &[2]);
    spoil(&engine);
    engine.rig.app.write_config(COMMAND, &[6]);
    moves(&engine);
    engine.rig.app.reset();
    engine.rig.app.write_config(COMMAND, &[6]);
    spoil(&engine);
    engine.start(C2H, RING, 0, Control::empty());
    moves(&engine);
    engine.rig.clear().unwrap();
    assert!(engine.wait_idle(C2H).contains(Status::READ_1));
    engine.stop(C2H);
    engine.rig.clock.step(Duration::from_secs(1));
    engine
        .rig
        .load(1, afi_proto::mailbox::CommandFlags::empty())
        .unwrap();
    engine.rig.clock.step(Duration::from_secs(1));
    engine.start(C2H, RING, 0, Control::empty());
    moves(&engine);
    engine.mapping = None;
    spoil(&engine);
    assert!(
        engine
            .wait_idle(C2H)
            .contains(Status::DESCRIPTOR_UNSUPPORTED)
    );
}

#[test]
fn the_thread_of_an_idle_channel_ends() {
    let engine = Engine::new(DmaMode::Threads);
    let of = (Direction::C2h, 3);
    let descriptor = Descriptor::new(0, BASE, 4, STOP);
    engine.one(of, descriptor);
    let started = Instant::now();
    while channel_threads("C2H3") > 0 {
        assert!(started.elapsed() < PATIENCE, "a thread stays");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(
        engine.one(of, descriptor),
        Status::STOPPED | Status::COMPLETED
    );
}
