//! To the card's memory and back.

use afi_pcie::xdma::{ChannelOptions, ScatterList, Segment, Split, Stripe, Submission};
use afi_proto::Family;
use afi_proto::xdma::Direction;

use crate::{Rig, WAYS, Way, contents, options, pattern, soon};

/// Where the second memory interface begins.
const SECOND: u64 = 16 << 30;

#[test]
fn what_is_written_is_read_on_every_channel_and_across_every_boundary() {
    for way in WAYS {
        let rig = Rig::new(way);
        let memory = Family::F1.profile().memory;
        let end = memory.iter().map(|range| range.base + range.size).max();
        let places = [
            (4096 - 3, 7),
            (65536 - 100, 4096),
            (SECOND - 5000, 10_001),
            (end.unwrap() - (1 << 20), 1 << 20),
        ];
        for (number, options) in (0..4).zip(options().into_iter().cycle()) {
            let to_card = rig.channel(Direction::H2c, number, options);
            let from_card = rig.channel(Direction::C2h, number, options);
            for (at, length) in places {
                let data = pattern(length as usize, u32::from(number) + length as u32);
                let mut buffer = rig.buffer(&data);
                to_card.write(&mut buffer, 0..length, at, &soon()).unwrap();
                buffer.fill(0..length, 0xEE).unwrap();
                from_card.read(&mut buffer, 0..length, at, &soon()).unwrap();
                assert!(contents(&buffer) == data, "{way:?} {at:#x} {options:?}");
            }
        }
    }
}

#[test]
fn the_model_takes_credits() {
    let rig = Rig::new(Way::Inline);
    let channel = rig.channel(Direction::H2c, 0, ChannelOptions::default());
    assert_eq!(channel.submission(), Submission::Credits);
    // In the register access that submits it.
    let transfer = channel.submit(rig.buffer(&[5; 64]), 0..64, 0).unwrap();
    transfer.try_complete().unwrap().unwrap();
}

#[test]
fn many_transfers_on_all_channels_at_once() {
    for way in WAYS {
        let rig = Rig::new(way);
        std::thread::scope(|scope| {
            for (number, options) in (0..4).zip(options().into_iter().cycle()) {
                let rig = &rig;
                scope.spawn(move || {
                    let to_card = rig.channel(Direction::H2c, number, options);
                    let from_card = rig.channel(Direction::C2h, number, options);
                    let base = u64::from(number) << 30;
                    let data = |turn: u32| pattern(3000, turn + u32::from(number) * 1000);
                    let under_way: Vec<_> = (0..60)
                        .map(|turn| {
                            let at = base + u64::from(turn) * 3000;
                            to_card
                                .submit(rig.buffer(&data(turn)), 0..3000, at)
                                .unwrap()
                        })
                        .collect();
                    for (turn, transfer) in under_way.into_iter().enumerate() {
                        let mut buffer = transfer.wait(&soon()).unwrap();
                        let at = base + turn as u64 * 3000;
                        buffer.fill(0..3000, 0).unwrap();
                        from_card.read(&mut buffer, 0..3000, at, &soon()).unwrap();
                        assert!(
                            contents(&buffer) == data(turn as u32),
                            "{way:?} {number} {turn}"
                        );
                    }
                });
            }
        });
    }
}

#[test]
fn lists_and_stripes_arrive_as_they_are_told() {
    for way in WAYS {
        let rig = Rig::new(way);
        let pieces = ChannelOptions {
            split: Split {
                largest: 4096,
                card_boundary: Some(SECOND),
            },
            ..ChannelOptions::default()
        };
        let data = pattern(300_000, 6);
        // In 100 segments, last first, with gaps on the card.
        let segments = (0..100_u64).rev().map(|part| Segment {
            buffer: 0,
            range: part * 3000..(part + 1) * 3000,
            card_address: SECOND - 100_000 + part * 4000,
        });
        let list = ScatterList {
            buffers: vec![rig.buffer(&data)],
            segments: segments.collect(),
        };
        let segments = list.segments.clone();
        let to_card = rig.channel(Direction::H2c, 0, pieces);
        to_card.submit_list(list).unwrap().wait(&soon()).unwrap();
        let back = ScatterList {
            buffers: vec![rig.buffer(&vec![0; 300_000])],
            segments,
        };
        let from_card = rig.channel(Direction::C2h, 0, pieces);
        let back = from_card.submit_list(back).unwrap().wait(&soon()).unwrap();
        assert!(contents(&back.buffers[0]) == data, "{way:?}");
        drop((to_card, from_card));

        let stripe = |direction| {
            let open = |number| rig.channel(direction, number, ChannelOptions::default());
            Stripe::new((0..4).map(open).collect())
                .unwrap()
                .with_smallest_part(64 << 10)
        };
        let length = (9 << 20) + 77;
        let data = pattern(length as usize, 7);
        let mut buffer = rig.buffer(&data);
        let at = SECOND - (5 << 20) - 3;
        let to_card = stripe(Direction::H2c);
        to_card.copy(&mut buffer, 0..length, at, &soon()).unwrap();
        buffer.fill(0..length, 0).unwrap();
        let from_card = stripe(Direction::C2h);
        from_card.copy(&mut buffer, 0..length, at, &soon()).unwrap();
        assert!(contents(&buffer) == data, "{way:?}");
    }
}
