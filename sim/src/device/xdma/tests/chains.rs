//! Chains of descriptors against a model that moves bytes one at a time.

use afi_proto::xdma::{MAX_LENGTH, PAGE};
use proptest::prelude::*;

use super::*;
use crate::device::memory::CardMemory;

const GIB: u64 = 1 << 30;
const DDR: u64 = 16 * GIB;

#[test]
fn data_goes_there_and_back_across_every_boundary() {
    let engine = Engine::new(DmaMode::Inline);
    for (seed, card) in [
        0,
        0xFFF,
        64 << 10,
        DDR - 5,
        3 * DDR - 4096,
        4 * DDR - 7,
        127 * GIB - 300_000,
    ]
    .into_iter()
    .enumerate()
    {
        let data = pattern(seed as u64, 300_000);
        engine.fill(3, &data);
        let there = Descriptor::new(BASE + 3, card, 300_000, STOP);
        assert_eq!(
            engine.one(H2C, there),
            Status::STOPPED | Status::COMPLETED,
            "{card:#x}"
        );
        assert!(engine.card(card, data.len()) == data, "{card:#x}");
        let back = Descriptor::new(card, BASE + 0x10_0001, 300_000, STOP);
        assert_eq!(engine.one(C2H, back), Status::STOPPED | Status::COMPLETED);
        assert!(engine.host(0x10_0001, data.len()) == data, "{card:#x}");
    }
}

#[test]
fn interfaces_are_counted_by_bursts() {
    let engine = Engine::new(DmaMode::Inline);
    engine.one(H2C, Descriptor::new(BASE, DDR - 4096, 8192 + 1, STOP));
    engine.one(C2H, Descriptor::new(2 * DDR + 4000, BASE, 200, STOP));
    let counts = |engine: &Engine| -> Vec<(u64, u64)> {
        let body = engine.rig.hardware().body;
        body.ddr.iter().map(|ddr| (ddr.writes, ddr.reads)).collect()
    };
    assert_eq!(counts(&engine), [(1, 0), (2, 0), (0, 2), (0, 0)]);
    assert_eq!(
        counts(&engine),
        [(1, 0), (2, 0), (0, 2), (0, 0)],
        "and not twice"
    );
}

#[test]
fn reading_what_was_never_written_takes_no_memory() {
    let engine = Engine::new(DmaMode::Inline);
    engine.fill(0, &[7; 3 << 20]);
    engine.one(C2H, Descriptor::new(5 * GIB + 9, BASE, 3 << 20, STOP));
    assert!(engine.host(0, 3 << 20).iter().all(|byte| *byte == 0));
    let memory = engine.rig.app.bar_memory(BarIndex::BAR4).unwrap().memory;
    let blocks = std::os::unix::fs::MetadataExt::blocks(&memory.file().metadata().unwrap());
    assert_eq!(blocks, 0);
}

#[test]
fn a_fixed_address_gets_every_beat() {
    let engine = Engine::new(DmaMode::Inline);
    let data = pattern(1, 256);
    engine.fill(0, &data);
    let there = Descriptor::new(BASE, 0x1000, 256, STOP);
    engine.put(RING, &[there]);
    engine.start(H2C, RING, 0, Control::NON_INCREMENTING);
    assert_eq!(engine.wait_idle(H2C), Status::STOPPED | Status::COMPLETED);
    assert_eq!(engine.card(0x1000, 64), data[192..]);
    assert_eq!(engine.card(0x1040, 64), [0; 64]);
    let back = Descriptor::new(0x1000, BASE + 0x2000, 128, STOP);
    engine.put(RING, &[back]);
    engine.start(C2H, RING, 0, Control::NON_INCREMENTING);
    engine.wait_idle(C2H);
    assert_eq!(
        engine.host(0x2000, 128),
        [&data[192..], &data[192..]].concat()
    );
}

#[test]
fn the_longest_descriptor_is_carried_out() {
    // 256 MiB less a byte: all of host memory that is mapped at one place over and over.
    let engine = Engine::new(DmaMode::Inline);
    let maps: Vec<_> = (0..32_u64)
        .map(|n| engine.map(0x10_0000_0000 + n * SIZE, 0..SIZE, DmaAccess::Read))
        .collect();
    engine.fill(SIZE - 2, &[0xAB]);
    let longest = Descriptor::new(0x10_0000_0000, 0, MAX_LENGTH, STOP);
    assert_eq!(
        engine.one(H2C, longest),
        Status::STOPPED | Status::COMPLETED
    );
    assert_eq!(engine.card(u64::from(MAX_LENGTH) - 1, 2), [0xAB, 0]);
    drop(maps);
}

#[test]
fn credits_let_so_many_descriptors_through() {
    let engine = Engine::new(DmaMode::Inline);
    let common = Target::SgdmaCommon;
    let bit = afi_proto::xdma::common::bit(Direction::H2c, 0);
    engine.write(common, afi_proto::xdma::common::CREDIT_MODE_W1S, bit);
    let descriptors: Vec<_> = (0..8_u64)
        .map(|n| {
            let flags = if n == 7 {
                STOP
            } else {
                DescriptorFlags::empty()
            };
            Descriptor::new(BASE + n, n, 1, flags)
        })
        .collect();
    engine.put(RING, &descriptors);
    engine.start(H2C, RING, 7, Control::empty());
    let fetcher = Target::Sgdma(Direction::H2c, 0);
    for (credits, completed) in [(0, 0), (1, 1), (3, 4)] {
        engine.write(fetcher, sgdma::CREDITS, credits);
        assert_eq!(engine.status(H2C), Status::BUSY);
        assert_eq!(engine.completed(H2C), completed);
    }
    for _ in 0..200 {
        engine.write(fetcher, sgdma::CREDITS, u32::MAX);
    }
    assert_eq!(engine.status(H2C), Status::STOPPED | Status::COMPLETED);
    assert_eq!(engine.completed(H2C), 8);
    engine.stop(H2C);
}

#[test]
fn a_halt_holds_the_fetching_back() {
    let engine = Engine::new(DmaMode::Inline);
    let bit = afi_proto::xdma::common::bit(Direction::C2h, 0);
    let common = Target::SgdmaCommon;
    engine.write(common, afi_proto::xdma::common::HALT_W1S, bit | 0xFFF0_0000);
    assert_eq!(engine.read(common, afi_proto::xdma::common::HALT), bit);
    engine.put(RING, &[Descriptor::new(0, BASE, 4, STOP)]);
    engine.start(C2H, RING, 0, Control::empty());
    assert_eq!(engine.status(C2H), Status::BUSY);
    engine.write(common, afi_proto::xdma::common::HALT_W1C, bit);
    assert_eq!(engine.status(C2H), Status::STOPPED | Status::COMPLETED);
}

/// One descriptor of a random chain.
#[derive(Debug, Clone)]
struct Piece {
    host: u64,
    card: u64,
    length: u32,
    is_told: bool,
    /// Descriptors skipped before it in the ring.
    gap: u64,
}

fn piece() -> impl Strategy<Value = Piece> {
    // Around boundaries of pages, chunks and interfaces, where the card wraps, and anywhere.
    let card = prop_oneof![
        (0..4_u64, -5000..5000_i64).prop_map(|(n, by)| (n * DDR).saturating_add_signed(by)),
        (0..4_u64, -5000..5000_i64).prop_map(|(n, by)| (n << 20).saturating_add_signed(by)),
        0..64_u64 << 10,
    ];
    let length = prop_oneof![1..200_u32, 4000..9000_u32, Just(1 << 20)];
    (0..4_u64 << 20, card, length, any::<bool>(), 0..3_u64).prop_map(
        |(host, card, length, is_told, gap)| Piece {
            host,
            card,
            length,
            is_told,
            gap,
        },
    )
}

/// Places a chain into the ring and links it, with as many adjacent ones as the rules allow.
/// Returns where the first one is, and how many are adjacent to it.
fn place(engine: &Engine, direction: Direction, pieces: &[Piece]) -> (u64, u32) {
    let mut places = Vec::new();
    let mut at = RING + 0x4000;
    for piece in pieces {
        at += piece.gap * Descriptor::SIZE as u64;
        places.push(at);
        at += Descriptor::SIZE as u64;
    }
    // From each one on, how many follow without a gap, in its page.
    let run = |first: usize| {
        let mut count = 0;
        while let Some(next) = places.get(first + count + 1) {
            let expected = places[first] + (count as u64 + 1) * Descriptor::SIZE as u64;
            if *next != expected || next / PAGE != places[first] / PAGE || count == 63 {
                break;
            }
            count += 1;
        }
        count as u8
    };
    for (number, piece) in pieces.iter().enumerate() {
        let (host, card) = (BASE + piece.host, piece.card);
        let (source, destination) = match direction {
            Direction::H2c => (host, card),
            Direction::C2h => (card, host),
        };
        let told = if piece.is_told {
            DescriptorFlags::COMPLETED
        } else {
            DescriptorFlags::empty()
        };
        let descriptor = match places.get(number + 1) {
            None => Descriptor::new(source, destination, piece.length, STOP),
            Some(next) => Descriptor::new(source, destination, piece.length, told)
                .followed_by(BASE + next, run(number + 1)),
        };
        engine.put(places[number], &[descriptor]);
    }
    (places[0], run(0).into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_chain_moves_what_a_model_moves(
        to_card: bool,
        pieces in proptest::collection::vec(piece(), 1..90),
        seed: u64,
    ) {
        let engine = Engine::new(DmaMode::Inline);
        let direction = if to_card { Direction::H2c } else { Direction::C2h };
        let mut host = pattern(seed, 5 << 20);
        engine.fill(0, &host);
        let model = CardMemory::new(Family::F1).unwrap();
        for piece in &pieces {
            // Some of what is read was written before.
            if piece.gap == 1 {
                let data = pattern(piece.card, 700);
                engine.rig.app.write_bar(BarIndex::BAR4, piece.card, &data);
                model.write(piece.card, &data).unwrap();
            }
        }
        let (first, adjacent) = place(&engine, direction, &pieces);
        let of = (direction, 2);
        engine.start(of, first, adjacent, Control::WRITE_BACK);
        for piece in &pieces {
            let (at, length) = (piece.host as usize, piece.length as usize);
            match direction {
                Direction::H2c => model.write(piece.card, &host[at..at + length]).unwrap(),
                Direction::C2h => model.read(piece.card, &mut host[at..at + length]).unwrap(),
            }
        }
        prop_assert_eq!(engine.status(of), Status::STOPPED | Status::COMPLETED);
        prop_assert_eq!(engine.completed(of), pieces.len() as u32);
        let told = WriteBack { completed: pieces.len() as u32, error: false };
        prop_assert_eq!(engine.write_back(of), told);
        prop_assert!(engine.host(0, host.len()) == host);
        for piece in &pieces {
            let mut wanted = vec![0; piece.length as usize + 2];
            let from = piece.card.saturating_sub(1);
            model.read(from, &mut wanted).unwrap();
            prop_assert!(engine.card(from, wanted.len()) == wanted);
        }
    }
}
