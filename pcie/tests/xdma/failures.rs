//! What happens when something goes wrong: a typed error inside the deadline, the buffer back only
//! when the device cannot touch it, other channels untouched, and the channel usable again.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use afi_pcie::xdma::{Channel, ChannelOptions, DmaError, STOP_WITHIN, Stripe, Submission};
use afi_pcie::{Cancel, Deadline};
use afi_proto::xdma::{Direction, Status, StatusError};

use crate::reference::MEMORY;
use crate::{Rig, at_once, chains, contents, interrupts, pattern, soon};

/// Every way of submission and completion.
fn ways() -> [ChannelOptions; 3] {
    [ChannelOptions::default(), interrupts(), chains()]
}

fn works(rig: &Rig, channel: &Channel) {
    let data = pattern(5000, 4);
    let mut buffer = rig.buffer(&data);
    channel.write(&mut buffer, 0..5000, 0, &soon()).unwrap();
    assert_eq!(rig.device.memory(0..5000), data);
}

#[test]
fn an_error_ends_its_transfer_and_those_behind_it_and_the_channel_goes_on() {
    for options in ways() {
        let rig = Rig::new();
        let channel = rig.channel(Direction::H2c, options);
        rig.device.set_held(true);
        let submit = |at| channel.submit(rig.buffer(&[3; 64]), 0..64, at).unwrap();
        let (good, bad, behind) = (submit(0), submit(MEMORY as u64), submit(64));
        rig.device.set_held(false);
        let behind = behind.wait(&soon()).unwrap_err();
        assert!(matches!(behind.error, DmaError::Aborted { .. }), "{behind}");
        assert!(behind.error.is_transient());
        good.wait(&soon()).unwrap();
        let bad = bad.wait(&soon()).unwrap_err();
        let errors: Vec<_> = bad.error.engine_errors().collect();
        assert_eq!(errors, [StatusError::CardDecode]);
        assert_eq!(contents(&bad.payload.unwrap()), [3; 64]);
        works(&rig, &channel);
        // What was behind can be submitted again.
        let again = channel.submit(behind.payload.unwrap(), 0..64, 64).unwrap();
        again.wait(&soon()).unwrap();
        assert_eq!(rig.device.memory(64..128), [3; 64]);
    }
}

#[test]
fn every_error_of_the_status_is_told_in_its_own_words() {
    for direction in Direction::ALL {
        for silent in [false, true] {
            let rig = Rig::new();
            let channel = rig.channel(direction, ChannelOptions::default());
            let faults = &rig.device.faults;
            faults.silent_errors.store(silent, Ordering::SeqCst);
            for bit in Status::ERRORS.iter() {
                let Some(wanted) = bit.errors(direction).next() else {
                    continue;
                };
                faults.next_error.store(bit.bits(), Ordering::SeqCst);
                let transfer = channel.submit(rig.buffer(&[1; 8]), 0..8, 0).unwrap();
                let failed = transfer.wait(&soon()).unwrap_err();
                let errors: Vec<_> = failed.error.engine_errors().collect();
                assert_eq!(errors, [wanted], "{failed}");
                assert!(failed.to_string().contains(&wanted.to_string()));
            }
        }
    }
}

#[test]
fn a_device_that_never_completes_is_stopped_at_the_deadline() {
    for options in ways() {
        let rig = Rig::new();
        let channel = rig.channel(Direction::C2h, options);
        let other = rig.engine.channel(Direction::C2h, 1).unwrap();
        rig.device.set_memory(0, &[0xFF; 64]);
        rig.device.set_held(true);
        let submit = |channel: &Channel| channel.submit(rig.buffer(&[1; 64]), 0..64, 0).unwrap();
        let (first, second, elsewhere) = (submit(&channel), submit(&channel), submit(&other));
        let began = Instant::now();
        let failed = second.wait(&at_once()).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(5));
        assert!(matches!(failed.error, DmaError::Ended { .. }), "{failed}");
        assert!(!rig.device.runs(4), "the channel was stopped");
        let first = first.wait(&soon()).unwrap_err();
        assert!(matches!(first.error, DmaError::Aborted { .. }), "{first}");
        // The buffer is the caller's again, and the device does not write to it.
        rig.device.set_held(false);
        assert_eq!(contents(&failed.payload.unwrap()), [1; 64]);
        assert_eq!(contents(&elsewhere.wait(&soon()).unwrap()), [0xFF; 64]);
        let mut buffer = rig.buffer(&[1; 64]);
        channel.read(&mut buffer, 0..64, 0, &soon()).unwrap();
        assert_eq!(contents(&buffer), [0xFF; 64]);
    }
}

#[test]
fn a_wait_that_is_cancelled_ends_soon() {
    for options in ways() {
        let rig = Rig::new();
        let channel = rig.channel(Direction::H2c, options);
        rig.device.set_held(true);
        let cancel = Cancel::default();
        let deadline = soon().with_cancel(&cancel);
        let mut buffer = rig.buffer(&[1; 64]);
        let failed = std::thread::scope(|scope| {
            scope.spawn(|| cancel.cancel());
            channel.write(&mut buffer, 0..64, 0, &deadline).unwrap_err()
        });
        assert!(matches!(failed, DmaError::Ended { .. }), "{failed}");
        assert_eq!(buffer.length(), 64);
    }
}

#[test]
fn a_channel_that_does_not_stop_takes_a_reset_that_every_channel_survives() {
    let rig = Rig::new();
    let (channel, other) = (rig.writer(), rig.reader());
    rig.device.set_held(true);
    rig.device.faults.stuck.store(1, Ordering::SeqCst);
    let transfer = channel.submit(rig.buffer(&[1; 64]), 0..64, 0).unwrap();
    let elsewhere = other.submit(rig.buffer(&[1; 64]), 0..64, 0).unwrap();
    let began = Instant::now();
    let failed = transfer.wait(&at_once()).unwrap_err();
    assert!(began.elapsed() >= STOP_WITHIN);
    assert!(matches!(failed.error, DmaError::Ended { .. }), "{failed}");
    assert!(failed.payload.is_some());
    let elsewhere = elsewhere.wait(&soon()).unwrap_err();
    assert!(
        matches!(elsewhere.error, DmaError::Reset { .. }),
        "{elsewhere}"
    );
    assert!(rig.device.is_master());
    rig.device.set_held(false);
    works(&rig, &channel);
    let mut buffer = rig.buffer(&[1; 64]);
    other.read(&mut buffer, 0..64, 0, &soon()).unwrap();
}

#[test]
fn without_a_reset_the_function_stays_off_the_bus() {
    let rig = Rig::new();
    let (channel, other) = (rig.writer(), rig.reader());
    rig.device.set_held(true);
    rig.device.faults.stuck.store(1, Ordering::SeqCst);
    rig.device.faults.no_reset.store(true, Ordering::SeqCst);
    let transfer = channel.submit(rig.buffer(&[1; 64]), 0..64, 0).unwrap();
    let failed = transfer.wait(&at_once()).unwrap_err();
    assert!(failed.payload.is_some() && !rig.device.is_master());
    for channel in [&channel, &other] {
        let refused = channel.submit(rig.buffer(&[1]), 0..1, 0).unwrap_err();
        assert!(
            matches!(refused.error, DmaError::Unstoppable { .. }),
            "{refused}"
        );
        assert!(refused.payload.is_some(), "the device never had it");
    }
    assert!(!rig.device.is_master());
}

#[test]
fn what_a_device_cannot_be_kept_from_is_unmapped_and_not_given_back() {
    let rig = Rig::new();
    let before = rig.device.mapped();
    let channel = rig.writer();
    rig.device.set_held(true);
    rig.device.faults.stuck.store(1, Ordering::SeqCst);
    rig.device
        .faults
        .no_master_off
        .store(true, Ordering::SeqCst);
    let mut buffer = rig.buffer(&[1; 64]);
    let failed = channel
        .write(&mut buffer, 0..64, 0, &at_once())
        .unwrap_err();
    assert!(matches!(failed, DmaError::Unstoppable { .. }), "{failed}");
    assert_eq!(rig.device.mapped(), before, "nothing is in its reach");
    assert_eq!(buffer.length(), 0);
    assert!(buffer.copy_in(0, &[1]).is_err() && buffer.share().is_err());
    let refused = channel.write(&mut buffer, 0..64, 0, &soon()).unwrap_err();
    assert!(matches!(refused, DmaError::Buffer { .. }), "{refused}");
}

#[test]
fn a_device_that_goes_away_is_noticed_before_the_deadline() {
    for options in [ChannelOptions::default(), interrupts()] {
        let rig = Rig::new();
        let channel = rig.channel(Direction::H2c, options);
        rig.device.set_held(true);
        let transfer = channel.submit(rig.buffer(&[1; 64]), 0..64, 0).unwrap();
        rig.device.faults.gone.store(true, Ordering::SeqCst);
        let failed = transfer.wait(&soon()).unwrap_err();
        assert!(matches!(failed.error, DmaError::Gone { .. }), "{failed}");
        assert!(failed.payload.is_some());
        let refused = channel
            .submit(failed.payload.unwrap(), 0..64, 0)
            .unwrap_err();
        assert!(matches!(refused.error, DmaError::Gone { .. }), "{refused}");
        // And when it comes back, it works.
        rig.device.faults.gone.store(false, Ordering::SeqCst);
        rig.device.set_held(false);
        works(&rig, &channel);
    }
}

#[test]
fn a_slot_that_is_cleared_or_kept_off_the_bus_is_noticed_before_the_deadline() {
    let rig = Rig::new();
    let channel = rig.writer();
    rig.device.set_held(true);
    let submit = || channel.submit(rig.buffer(&[1; 64]), 0..64, 0).unwrap();
    let transfer = submit();
    rig.device.set_master(false);
    let failed = transfer.wait(&soon()).unwrap_err();
    assert!(
        matches!(failed.error, DmaError::BusMasteringOff { .. }),
        "{failed}"
    );

    let transfer = submit();
    rig.device.faults.cleared.store(true, Ordering::SeqCst);
    let failed = transfer.wait(&soon()).unwrap_err();
    assert!(
        matches!(failed.error, DmaError::NoEngine { .. }),
        "{failed}"
    );
    assert!(failed.payload.is_some());
    let refused = channel.submit(rig.buffer(&[1]), 0..1, 0).unwrap_err();
    assert!(
        matches!(refused.error, DmaError::NoEngine { .. }),
        "{refused}"
    );
    rig.device.faults.cleared.store(false, Ordering::SeqCst);
    rig.device.set_held(false);
    works(&rig, &channel);
}

#[test]
fn a_reset_by_somebody_else_is_noticed() {
    let rig = Rig::new();
    let channel = rig.writer();
    rig.device.set_held(true);
    let transfer = channel.submit(rig.buffer(&[1; 64]), 0..64, 0).unwrap();
    rig.device.function().reset().unwrap();
    let failed = transfer.wait(&soon()).unwrap_err();
    assert!(matches!(failed.error, DmaError::Stopped { .. }), "{failed}");
    rig.device.set_held(false);
    works(&rig, &channel);
}

#[test]
fn an_error_that_is_read_and_cleared_while_its_write_back_comes_is_still_told() {
    let rig = Rig::new();
    let channel = rig.channel(Direction::H2c, interrupts());
    rig.device.set_held(true);
    let bad = channel.submit(rig.buffer(&[1; 8]), 0..8, MEMORY as u64);
    let held = &rig.device.faults.held_until_status;
    held.store(true, Ordering::SeqCst);
    let failed = bad.unwrap().wait(&soon()).unwrap_err();
    let errors: Vec<_> = failed.error.engine_errors().collect();
    assert_eq!(errors, [StatusError::CardDecode], "{failed}");
    works(&rig, &channel);
}

#[test]
fn credits_of_an_earlier_run_are_not_used_for_what_is_not_written() {
    let rig = Rig::new();
    let channel = rig.writer();
    rig.device
        .faults
        .keeps_credits
        .store(true, Ordering::SeqCst);
    rig.device.set_held(true);
    let transfer = channel.submit(rig.buffer(&[1; 64]), 0..64, 64).unwrap();
    transfer.wait(&at_once()).unwrap_err();
    rig.device.set_held(false);
    works(&rig, &channel);
    assert!(matches!(channel.submission(), Submission::Chain { .. }));
    works(&rig, &channel);
}

#[test]
fn write_backs_and_interrupts_that_are_lost_cost_time_and_no_transfer() {
    for options in ways() {
        let rig = Rig::new();
        let channel = rig.channel(Direction::H2c, options);
        let faults = &rig.device.faults;
        faults.no_interrupts.store(true, Ordering::SeqCst);
        rig.device.set_held(true);
        let submit = || channel.submit(rig.buffer(&[6; 64]), 0..64, 0).unwrap();
        let mut transfers = vec![submit(), submit(), submit()];
        faults.no_write_back.store(true, Ordering::SeqCst);
        rig.device.set_held(false);
        for transfer in transfers.drain(..) {
            transfer.wait(&soon()).unwrap();
        }
        // The next one is told again, and counts from there.
        faults.no_write_back.store(false, Ordering::SeqCst);
        works(&rig, &channel);
        works(&rig, &channel);
    }
}

#[test]
fn a_count_that_cannot_be_is_not_believed() {
    let rig = Rig::new();
    let channel = rig.writer();
    rig.device.set_held(true);
    let transfer = channel.submit(rig.buffer(&[1; 64]), 0..64, 0).unwrap();
    rig.device.write_back(0, 2);
    let failed = transfer.wait(&soon()).unwrap_err();
    let DmaError::Count { counted, given, .. } = failed.error else {
        panic!("{failed}");
    };
    assert_eq!((counted, given), (2, 1));
    rig.device.set_held(false);
    works(&rig, &channel);
}

#[test]
fn a_channel_that_is_dropped_with_transfers_stops_before_their_memory_goes() {
    let rig = Rig::new();
    let before = rig.device.mapped();
    let channel = rig.writer();
    rig.device.set_held(true);
    drop(channel.submit(rig.buffer(&[1; 64]), 0..64, 0).unwrap());
    let kept = channel.submit(rig.buffer(&[2; 64]), 0..64, 64).unwrap();
    drop(channel);
    assert!(rig.device.runs(0), "a transfer keeps its channel");
    rig.device.set_held(false);
    kept.wait(&soon()).unwrap();
    assert_eq!(rig.device.memory(64..128), [2; 64]);
    assert!(!rig.device.runs(0));
    assert_eq!(rig.device.mapped(), before);
}

#[test]
fn a_striped_transfer_gives_its_buffer_back_when_no_part_has_it() {
    let rig = Rig::new();
    let channels = (0..4).map(|number| rig.engine.channel(Direction::H2c, number).unwrap());
    let stripe = Stripe::new(channels.collect())
        .unwrap()
        .with_smallest_part(64 << 10);
    let mut buffer = rig.buffer(&pattern(1 << 20, 1));
    // The last part is behind the card's memory.
    let at = MEMORY as u64 - (900 << 10);
    let failed = stripe
        .copy(&mut buffer, 0..1 << 20, at, &soon())
        .unwrap_err();
    assert_eq!(failed.engine_errors().next(), Some(StatusError::CardDecode));
    assert_eq!(contents(&buffer), pattern(1 << 20, 1));
    stripe.copy(&mut buffer, 0..1 << 20, 0, &soon()).unwrap();

    rig.device.set_held(true);
    let late = Deadline::after(Duration::ZERO);
    let failed = stripe.copy(&mut buffer, 0..1 << 20, 0, &late).unwrap_err();
    assert!(matches!(failed, DmaError::Ended { .. }), "{failed}");
    assert_eq!(buffer.length(), 1 << 20);
    assert!((0..4).all(|channel| !rig.device.runs(channel)));
}
