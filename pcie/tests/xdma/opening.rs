//! What is found, who may have it, and what a predecessor left.

use std::sync::atomic::Ordering;

use afi_pcie::xdma::{ChannelOptions, OpenError, Split, Submission};
use afi_proto::xdma::Direction;

use crate::reference::Device;
use crate::{Rig, open};

#[test]
fn an_engine_has_one_process_and_a_channel_one_user() {
    let rig = Rig::new();
    let second = open(&rig.device, rig.locks.path());
    assert!(matches!(second.err(), Some(OpenError::InUse { .. })));

    let channel = rig.writer();
    let taken = rig.engine.channel(Direction::H2c, 0);
    assert!(matches!(taken, Err(OpenError::Taken { .. })));
    drop(channel);
    let again = rig.writer();

    // A channel outlives the engine that it came from, and keeps the lock.
    let Rig {
        device,
        engine,
        locks,
    } = rig;
    drop(engine);
    let second = open(&device, locks.path());
    assert!(matches!(second.err(), Some(OpenError::InUse { .. })));
    drop(again);
    open(&device, locks.path()).unwrap();
}

#[test]
fn channels_are_found_and_streams_refused() {
    let device = Device::new();
    device.faults.streams.store(1 << 5, Ordering::SeqCst);
    let rig = Rig::of(device);
    assert_eq!(rig.engine.channels().len(), 8);
    let stream = rig.engine.channel(Direction::C2h, 1).unwrap_err();
    assert!(matches!(stream, OpenError::Stream { .. }), "{stream}");
    let beyond = rig.engine.channel(Direction::H2c, 4).unwrap_err();
    assert!(matches!(beyond, OpenError::NoChannel { there: 4, .. }));
}

#[test]
fn options_that_cannot_be_are_refused() {
    let rig = Rig::new();
    let good = ChannelOptions::default();
    let bad = [
        ChannelOptions {
            in_flight: 0,
            ..good
        },
        ChannelOptions {
            descriptors: 1,
            ..good
        },
        ChannelOptions {
            descriptors: 1025,
            ..good
        },
        ChannelOptions {
            split: Split {
                largest: 0,
                ..Split::default()
            },
            ..good
        },
        ChannelOptions {
            split: Split {
                card_boundary: Some(3),
                ..Split::default()
            },
            ..good
        },
    ];
    for options in bad {
        let refused = rig.engine.channel_with(Direction::H2c, 0, options);
        assert!(
            matches!(refused, Err(OpenError::Options { .. })),
            "{options:?}"
        );
    }
    // A refused channel is not taken.
    rig.writer();
}

#[test]
fn a_slot_without_an_engine_or_a_device_says_so() {
    let device = Device::new();
    device.faults.cleared.store(true, Ordering::SeqCst);
    let locks = tempfile::tempdir().unwrap();
    let none = open(&device, locks.path()).err();
    assert!(matches!(none, Some(OpenError::NoEngine { found: 0, .. })));
    device.faults.gone.store(true, Ordering::SeqCst);
    let gone = open(&device, locks.path()).err();
    assert!(matches!(gone, Some(OpenError::Gone { .. })));
}

#[test]
fn what_a_predecessor_left_running_is_stopped() {
    let device = Device::new();
    device.leave_running(2);
    let rig = Rig::of(device);
    assert!(!rig.device.runs(2));
    assert!(rig.device.is_master());
}

#[test]
fn what_a_predecessor_left_and_does_not_stop_takes_a_reset_or_is_refused() {
    let device = Device::new();
    device.leave_running(2);
    device.faults.stuck.store(1 << 2, Ordering::SeqCst);
    device.faults.no_reset.store(true, Ordering::SeqCst);
    device.set_master(true);
    let locks = tempfile::tempdir().unwrap();
    let refused = open(&device, locks.path()).err();
    assert!(matches!(refused, Some(OpenError::DoesNotStop { .. })));
    assert!(!device.is_master(), "it cannot touch memory any more");

    device.faults.no_reset.store(false, Ordering::SeqCst);
    open(&device, locks.path()).unwrap();
    assert!(!device.runs(2) && device.is_master());
}

#[test]
fn an_engine_without_credits_is_told_of_chains() {
    let rig = Rig::new();
    assert_eq!(rig.writer().submission(), Submission::Credits);
    rig.device.faults.no_credits.store(true, Ordering::SeqCst);
    let channel = rig.engine.channel(Direction::H2c, 1).unwrap();
    assert!(matches!(channel.submission(), Submission::Chain { .. }));
}

#[test]
fn a_closed_channel_does_not_run() {
    let rig = Rig::new();
    let channel = rig.writer();
    assert!(rig.device.runs(0));
    drop(channel);
    assert!(!rig.device.runs(0));
}
