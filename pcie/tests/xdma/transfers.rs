//! What is moved, in which order, and at what cost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use afi_pcie::Deadline;
use afi_pcie::xdma::{ChannelOptions, DmaError, ScatterList, Segment, Split, Stripe};
use afi_proto::xdma::Direction;
use proptest::prelude::*;

use crate::reference::MEMORY;
use crate::{Rig, at_once, chains, contents, interrupts, pattern, soon};

#[test]
fn every_channel_moves_bytes_across_every_boundary() {
    let rig = Rig::new();
    let ends = [1, 63, 64, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 20];
    for number in 0..4 {
        let to_card = rig.engine.channel(Direction::H2c, number).unwrap();
        let from_card = rig.engine.channel(Direction::C2h, number).unwrap();
        for (index, length) in ends.into_iter().enumerate() {
            let data = pattern(length, index as u32 + u32::from(number));
            let at = 4096 - index as u64;
            let transfer = to_card.submit(rig.buffer(&data), 0..length as u64, at);
            let mut buffer = transfer.unwrap().wait(&soon()).unwrap();
            assert_eq!(rig.device.memory(at as usize..at as usize + length), data);
            buffer.fill(0..length as u64, 0).unwrap();
            from_card
                .read(&mut buffer, 0..length as u64, at, &soon())
                .unwrap();
            assert_eq!(contents(&buffer), data);
        }
    }
    // The top of the card's memory, and the first byte behind it.
    let top = MEMORY as u64 - 8;
    let to_card = rig.writer();
    let mut buffer = rig.buffer(&[7; 9]);
    to_card.write(&mut buffer, 0..8, top, &soon()).unwrap();
    assert_eq!(rig.device.memory(MEMORY - 8..MEMORY), [7; 8]);
    assert!(to_card.write(&mut buffer, 0..9, top, &soon()).is_err());
}

#[test]
fn a_part_of_a_buffer_moves_and_the_rest_stays() {
    let rig = Rig::new();
    rig.device.set_memory(0x100, &[0xEE; 16]);
    let mut buffer = rig.buffer(&[0x11; 64]);
    let from_card = rig.reader();
    from_card.read(&mut buffer, 20..36, 0x100, &soon()).unwrap();
    let mut wanted = [0x11; 64];
    wanted[20..36].fill(0xEE);
    assert_eq!(contents(&buffer), wanted);
}

#[test]
fn a_submission_is_one_write_and_a_completion_none() {
    let rig = Rig::new();
    let channel = rig.writer();
    let mut buffer = rig.buffer(&pattern(4096, 1));
    rig.device.accesses();
    // More than the ring has descriptors: it wraps.
    for _ in 0..3000 {
        let transfer = channel.submit(buffer, 0..4096, 0).unwrap();
        assert_eq!(rig.device.accesses(), (0, 1), "reads and writes to submit");
        buffer = transfer.try_complete().unwrap().unwrap();
    }
    // So is one of many descriptors.
    let list = ScatterList {
        buffers: vec![buffer],
        segments: (0..1000)
            .map(|at| Segment {
                buffer: 0,
                range: at..at + 1,
                card_address: 0x2000 - at,
            })
            .collect(),
    };
    channel.submit_list(list).unwrap().wait(&soon()).unwrap();
    assert_eq!(rig.device.accesses(), (0, 1));
}

#[test]
fn without_credits_it_is_four_writes() {
    let rig = Rig::new();
    let channel = rig.channel(Direction::H2c, chains());
    let mut buffer = rig.buffer(&pattern(256, 1));
    rig.device.accesses();
    for _ in 0..3000 {
        let transfer = channel.submit(buffer, 0..256, 0).unwrap();
        assert_eq!(rig.device.accesses(), (0, 4));
        buffer = transfer.wait(&soon()).unwrap();
        assert_eq!(rig.device.accesses(), (0, 0));
    }
}

#[test]
fn transfers_queue_up_and_end_in_order() {
    for options in [ChannelOptions::default(), interrupts(), chains()] {
        let rig = Rig::new();
        let channel = rig.channel(Direction::H2c, options);
        rig.device.set_held(true);
        let mut transfers: Vec<_> = (0..20)
            .map(|number: u32| {
                let buffer = rig.buffer(&pattern(512, number));
                channel
                    .submit(buffer, 0..512, u64::from(number) * 512)
                    .unwrap()
            })
            .collect();
        assert!(transfers.iter().all(|transfer| !transfer.is_done()));
        assert!(transfers[3].wait_for(&at_once()).is_err());
        rig.device.set_held(false);
        // Waited for from the last to the first.
        while let Some(transfer) = transfers.pop() {
            transfer.wait(&soon()).unwrap();
        }
        for number in 0..20 {
            let at = number as usize * 512;
            assert_eq!(rig.device.memory(at..at + 512), pattern(512, number));
        }
    }
}

#[test]
fn a_full_channel_refuses_and_a_blocking_call_waits_for_room() {
    let rig = Rig::new();
    let few = ChannelOptions {
        in_flight: 2,
        ..ChannelOptions::default()
    };
    let channel = rig.channel(Direction::H2c, few);
    rig.device.set_held(true);
    let submit = || channel.submit(rig.buffer(&[1; 8]), 0..8, 0);
    let (first, second) = (submit().unwrap(), submit().unwrap());
    let refused = submit().unwrap_err();
    assert!(matches!(refused.error, DmaError::Full { in_flight: 2, .. }));
    assert_eq!(contents(&refused.payload.unwrap()), [1; 8]);
    let mut buffer = rig.buffer(&[2; 8]);
    let late = channel.write(&mut buffer, 0..8, 0, &at_once()).unwrap_err();
    assert!(matches!(late, DmaError::Ended { .. }), "{late}");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            rig.device.set_held(false);
            first.wait(&soon()).unwrap();
            second.wait(&soon()).unwrap();
        });
        channel.write(&mut buffer, 0..8, 0, &soon()).unwrap();
    });
    assert_eq!(rig.device.memory(0..8), [2; 8]);
}

#[test]
fn a_transfer_that_is_longer_than_the_ring_is_refused() {
    let rig = Rig::new();
    let small = ChannelOptions {
        descriptors: 8,
        split: Split {
            largest: 16,
            card_boundary: None,
        },
        ..ChannelOptions::default()
    };
    let channel = rig.channel(Direction::H2c, small);
    let mut buffer = rig.buffer(&pattern(128, 5));
    channel.write(&mut buffer, 0..112, 0, &soon()).unwrap();
    let refused = channel.write(&mut buffer, 0..113, 0, &soon()).unwrap_err();
    let DmaError::TooLong {
        descriptors, most, ..
    } = refused
    else {
        panic!("{refused}");
    };
    assert_eq!((descriptors, most), (8, 7));
    assert_eq!(contents(&buffer), pattern(128, 5));
}

#[test]
fn an_interrupt_wakes_whoever_waits() {
    let rig = Rig::new();
    let channel = rig.channel(Direction::H2c, interrupts());
    rig.device.set_held(true);
    let submit = || channel.submit(rig.buffer(&[1; 8]), 0..8, 0).unwrap();
    let (first, second) = (submit(), submit());
    std::thread::scope(|scope| {
        let waits = [first, second].map(|transfer| scope.spawn(|| transfer.wait(&soon()).unwrap()));
        // Not before they sleep: they looked at the status to arm the interrupt.
        while rig.device.reads.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        rig.device.set_held(false);
        for wait in waits {
            wait.join().unwrap();
        }
    });
}

#[test]
fn large_transfers_go_over_several_channels() {
    let rig = Rig::new();
    let channels = |direction| {
        let open = |number| rig.engine.channel(direction, number).unwrap();
        Stripe::new((0..4).map(open).collect())
            .unwrap()
            .with_smallest_part(64 << 10)
    };
    let (to_card, from_card) = (channels(Direction::H2c), channels(Direction::C2h));
    assert!(Stripe::new(Vec::new()).is_err());
    for length in [1, 65536, 131_072, 1_000_001, 1 << 20] {
        let data = pattern(length, 3);
        let buffer = rig.buffer(&data);
        rig.device.accesses();
        let transfer = to_card.submit(buffer, 0..length as u64, 77).unwrap();
        let parts = (length as u64 / (64 << 10)).clamp(1, 4);
        assert_eq!(rig.device.accesses(), (0, parts));
        let mut buffer = transfer.wait(&soon()).unwrap();
        assert_eq!(rig.device.memory(77..77 + length), data);
        buffer.fill(0..length as u64, 0).unwrap();
        from_card
            .copy(&mut buffer, 0..length as u64, 77, &soon())
            .unwrap();
        assert_eq!(contents(&buffer), data);
    }
}

#[test]
fn ranges_that_cannot_be_are_refused_before_anything_moves() {
    let rig = Rig::new();
    let channel = rig.writer();
    let mut buffer = rig.buffer(&[1; 100]);
    rig.device.accesses();
    // Behind the end, although the page goes on; empty; backwards; around the end of addresses.
    for (start, end, card) in [(0, 101, 0), (5, 5, 0), (9, 3, 0), (0, 2, u64::MAX)] {
        let range = start..end;
        let refused = channel.write(&mut buffer, range.clone(), card, &soon());
        let refused = refused.unwrap_err();
        let typed = matches!(refused, DmaError::Range { .. } | DmaError::CardRange { .. });
        assert!(typed, "{range:?}: {refused}");
    }
    let wrong = channel.read(&mut buffer, 0..1, 0, &soon()).unwrap_err();
    assert!(matches!(wrong, DmaError::WrongWay { .. }));
    let refused = channel.submit_list(ScatterList::default()).unwrap_err();
    assert!(matches!(refused.error, DmaError::Empty));
    assert_eq!(rig.device.accesses(), (0, 0));
    assert_eq!(contents(&buffer), [1; 100]);
}

#[test]
fn a_transfer_that_nobody_waits_for_ends_and_frees_what_it_kept() {
    let rig = Rig::new();
    let channel = rig.writer();
    let before = rig.device.mapped();
    rig.device.set_held(true);
    let data = pattern(4096, 8);
    drop(channel.submit(rig.buffer(&data), 0..4096, 0).unwrap());
    assert_eq!(
        rig.device.mapped(),
        before + 1,
        "the device can still reach it"
    );
    rig.device.set_held(false);
    assert_eq!(rig.device.memory(0..4096), data);
    // Seen by the next one.
    let mut buffer = rig.buffer(&[0; 8]);
    channel.write(&mut buffer, 0..8, 0, &soon()).unwrap();
    drop(buffer);
    assert_eq!(rig.device.mapped(), before);
}

#[test]
fn a_wait_that_is_over_leaves_the_transfer_under_way() {
    let rig = Rig::new();
    let channel = rig.writer();
    rig.device.set_held(true);
    let transfer = channel.submit(rig.buffer(&[9; 8]), 0..8, 0).unwrap();
    let none = Deadline::after(Duration::ZERO);
    assert!(transfer.wait_for(&none).is_err());
    let transfer = transfer.try_complete().unwrap_err();
    rig.device.set_held(false);
    transfer.wait(&none).unwrap();
}

/// A segment of a list: buffer, start, length, card address.
type Part = (usize, u64, u64, u64);

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let part = (0_usize..3, 0_u64..9000, 1_u64..6000, 0_u64..60000);
    proptest::collection::vec(part, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Lists against a model that moves byte for byte, in the order of the segments, with pieces
    /// cut in every way.
    #[test]
    fn a_list_moves_what_a_model_moves(
        parts in parts(), to_card: bool, by_chain: bool,
        largest in 200_u32..5000, boundary in proptest::option::of(8_u32..13),
    ) {
        let rig = Rig::new();
        let options = ChannelOptions {
            split: Split { largest, card_boundary: boundary.map(|bits| 1 << bits) },
            credits: !by_chain,
            ..ChannelOptions::default()
        };
        let direction = if to_card { Direction::H2c } else { Direction::C2h };
        let channel = rig.channel(direction, options);
        let mut card = pattern(70000, 99);
        rig.device.set_memory(0, &card);
        let mut host: Vec<_> = (0..3).map(|seed| pattern(16000, seed)).collect();
        let list = ScatterList {
            buffers: host.iter().map(|data| rig.buffer(data)).collect(),
            segments: parts.iter().map(|&(buffer, start, length, card_address)| Segment {
                buffer,
                range: start..start + length,
                card_address,
            }).collect(),
        };
        for &(buffer, start, length, address) in &parts {
            let host = &mut host[buffer][start as usize..(start + length) as usize];
            let card = &mut card[address as usize..(address + length) as usize];
            if to_card {
                card.copy_from_slice(host);
            } else {
                host.copy_from_slice(card);
            }
        }
        let list = channel.submit_list(list).unwrap().wait(&soon()).unwrap();
        prop_assert_eq!(rig.device.memory(0..70000), card);
        for (buffer, host) in list.buffers.iter().zip(&host) {
            prop_assert_eq!(&contents(buffer), host);
        }
    }
}
