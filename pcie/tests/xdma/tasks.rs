//! Transfers that are awaited.

use std::time::Duration;

use afi_pcie::xdma::{ChannelOptions, DmaError, Stripe};
use afi_proto::xdma::Direction;
use tokio::runtime::{Builder, Runtime};

use crate::{Rig, at_once, contents, interrupts, pattern, soon};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn transfers_are_awaited_together() {
    for options in [ChannelOptions::default(), interrupts()] {
        let rig = Rig::new();
        let channel = rig.channel(Direction::H2c, options);
        rig.device.set_held(true);
        runtime().block_on(async {
            let transfers: Vec<_> = (0..8_u32)
                .map(|number| {
                    let buffer = rig.buffer(&pattern(512, number));
                    let at = u64::from(number) * 512;
                    let transfer = channel.submit(buffer, 0..512, at).unwrap();
                    tokio::spawn(async move { transfer.done(&soon()).await.unwrap() })
                })
                .collect();
            // Every task sleeps by then.
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert!(transfers.iter().all(|transfer| !transfer.is_finished()));
            rig.device.set_held(false);
            for transfer in transfers {
                assert_eq!(transfer.await.unwrap().length(), 512);
            }
        });
        for number in 0..8 {
            let at = number as usize * 512;
            assert_eq!(rig.device.memory(at..at + 512), pattern(512, number));
        }
    }
}

#[test]
fn a_future_that_is_dropped_leaves_its_buffer_with_the_device() {
    let rig = Rig::new();
    let channel = rig.channel(Direction::C2h, interrupts());
    let before = rig.device.mapped();
    rig.device.set_held(true);
    runtime().block_on(async {
        let transfer = channel.submit(rig.buffer(&[1; 64]), 0..64, 0).unwrap();
        let long = soon();
        let cut = tokio::time::timeout(Duration::from_millis(5), transfer.done(&long)).await;
        assert!(cut.is_err());
    });
    assert_eq!(rig.device.mapped(), before + 1);
    rig.device.set_held(false);
    let mut buffer = rig.buffer(&[1; 64]);
    channel.read(&mut buffer, 0..64, 0, &soon()).unwrap();
    drop(buffer);
    assert_eq!(rig.device.mapped(), before);
}

#[test]
fn a_deadline_ends_a_future_and_the_channel_goes_on() {
    for options in [ChannelOptions::default(), interrupts()] {
        let rig = Rig::new();
        let channel = rig.channel(Direction::H2c, options);
        rig.device.set_held(true);
        runtime().block_on(async {
            let transfer = channel.submit(rig.buffer(&[1; 64]), 0..64, 0).unwrap();
            let failed = transfer.done(&at_once()).await.unwrap_err();
            assert!(matches!(failed.error, DmaError::Ended { .. }), "{failed}");
            assert_eq!(contents(&failed.payload.unwrap()), [1; 64]);
            rig.device.set_held(false);
            let transfer = channel.submit(rig.buffer(&[2; 64]), 0..64, 0).unwrap();
            transfer.done(&soon()).await.unwrap();
        });
        assert_eq!(rig.device.memory(0..64), [2; 64]);
    }
}

#[test]
fn a_striped_transfer_is_awaited() {
    let rig = Rig::new();
    let open = |number| {
        rig.engine
            .channel_with(Direction::H2c, number, interrupts())
    };
    let stripe = Stripe::new((0..4).map(|number| open(number).unwrap()).collect())
        .unwrap()
        .with_smallest_part(64 << 10);
    let data = pattern(1 << 20, 2);
    let transfer = stripe.submit(rig.buffer(&data), 0..1 << 20, 5).unwrap();
    let buffer = runtime().block_on(transfer.done(&soon())).unwrap();
    assert_eq!(contents(&buffer), data);
    assert_eq!(rig.device.memory(5..5 + (1 << 20)), data);
}
