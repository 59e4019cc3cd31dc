//! What the driver makes of a card that fails.

use std::time::{Duration, Instant};

use afi_pcie::xdma::{Channel, ChannelOptions, DmaError, Engine, OpenError};
use afi_proto::config_space::{self, Command};
use afi_proto::xdma::{Direction, StatusError};
use afi_sim::fault::Kind;

use crate::{Rig, WAYS, Way, at_once, contents, options, pattern, soon};

fn works(rig: &Rig, channel: &Channel) {
    let mut buffer = rig.buffer(&pattern(5000, 1));
    channel.write(&mut buffer, 0..5000, 77, &soon()).unwrap();
}

#[test]
fn errors_of_the_engine_are_told_and_the_channel_goes_on() {
    for way in WAYS {
        let rig = Rig::new(way);
        for options in options() {
            let to_card = rig.channel(Direction::H2c, 1, options);
            let from_card = rig.channel(Direction::C2h, 1, options);
            for (kind, of_write, of_read) in [
                (
                    Kind::DmaDescriptorError,
                    StatusError::DescriptorPoisoned,
                    StatusError::DescriptorPoisoned,
                ),
                (
                    Kind::DmaDataError,
                    StatusError::HostPoisoned,
                    StatusError::CardSlave,
                ),
            ] {
                for (channel, wanted) in [(&to_card, of_write), (&from_card, of_read)] {
                    rig.fault(kind, None);
                    let transfer = channel.submit(rig.buffer(&[1; 64]), 0..64, 0).unwrap();
                    let failed = transfer.wait(&soon()).unwrap_err();
                    rig.no_faults();
                    let errors: Vec<_> = failed.error.engine_errors().collect();
                    assert_eq!(errors, [wanted], "{way:?} {options:?} {failed}");
                    assert_eq!(contents(&failed.payload.unwrap()), [1; 64]);
                }
                works(&rig, &to_card);
            }
            // Behind the memory of the card.
            let mut buffer = rig.buffer(&[1; 64]);
            let outside = to_card.write(&mut buffer, 0..64, 1 << 40, &soon());
            let errors: Vec<_> = outside.unwrap_err().engine_errors().collect();
            assert_eq!(errors, [StatusError::CardDecode]);
            works(&rig, &to_card);
        }
    }
}

#[test]
fn a_channel_that_hangs_is_reset_and_works_again() {
    for way in WAYS {
        let rig = Rig::new(way);
        let channel = rig.channel(Direction::H2c, 0, ChannelOptions::default());
        // It strikes when a channel is started: this one fails, and is started anew.
        let mut buffer = rig.buffer(&[1; 64]);
        channel
            .write(&mut buffer, 0..64, 1 << 40, &soon())
            .unwrap_err();
        rig.fault(Kind::DmaHang, None);
        let began = Instant::now();
        let failed = channel.write(&mut buffer, 0..64, 0, &at_once());
        let failed = failed.unwrap_err();
        assert!(matches!(failed, DmaError::Ended { .. }), "{way:?} {failed}");
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(contents(&buffer), [1; 64]);
        rig.no_faults();
        works(&rig, &channel);
    }
}

#[test]
fn lost_write_backs_and_interrupts_cost_time_only() {
    for way in WAYS {
        for kind in [Kind::DmaWriteBackLost, Kind::DmaInterruptLost] {
            let rig = Rig::new(way);
            for options in options() {
                let channel = rig.channel(Direction::C2h, 2, options);
                rig.fault(kind, None);
                let submit = || channel.submit(rig.buffer(&[1; 64]), 0..64, 0).unwrap();
                for transfer in [submit(), submit()] {
                    let buffer = transfer.wait(&soon()).unwrap();
                    assert_eq!(contents(&buffer), [0; 64]);
                }
                rig.no_faults();
                let mut buffer = rig.buffer(&[1; 64]);
                channel.read(&mut buffer, 0..64, 0, &soon()).unwrap();
            }
        }
    }
}

#[test]
fn a_card_that_goes_away_in_a_transfer_is_noticed() {
    for way in WAYS {
        let rig = Rig::new(way);
        let channel = rig.channel(Direction::H2c, 0, ChannelOptions::default());
        rig.fault(Kind::DmaDeviceGone, None);
        let mut buffer = rig.buffer(&[1; 64]);
        let failed = channel.write(&mut buffer, 0..64, 0, &soon()).unwrap_err();
        let gone = matches!(failed, DmaError::Gone { .. } | DmaError::Register { .. });
        assert!(gone, "{way:?} {failed}");
        assert_eq!(contents(&buffer), [1; 64]);
    }
}

#[test]
fn bus_mastering_that_is_switched_off_in_a_transfer_is_noticed() {
    let rig = Rig::new(Way::Threads);
    let function = rig.bus.open(rig.slot.app_bdf).unwrap();
    let channel = rig.channel(Direction::C2h, 0, ChannelOptions::default());
    let off = Command::MEMORY_SPACE.bits().to_le_bytes();
    function.write_config(config_space::COMMAND, &off).unwrap();
    let mut buffer = rig.buffer(&[1; 64]);
    let failed = channel.read(&mut buffer, 0..64, 0, &soon()).unwrap_err();
    assert!(
        matches!(failed, DmaError::BusMasteringOff { .. }),
        "{failed}"
    );
    assert_eq!(contents(&buffer), [1; 64]);
    channel.read(&mut buffer, 0..64, 0, &soon()).unwrap();
}

#[test]
fn a_slot_that_is_cleared_in_a_transfer_ends_it_and_others_are_told() {
    for way in [Way::Threads, Way::Sockets] {
        let rig = Rig::new(way);
        let channel = rig.channel(Direction::H2c, 0, ChannelOptions::default());
        rig.fault(Kind::DmaSlow, Some(20));
        let submit = |at| channel.submit(rig.buffer(&[1; 64]), 0..64, at).unwrap();
        let transfers: Vec<_> = (0..40).map(|number| submit(number * 64)).collect();
        rig.mailbox.clear(&soon()).unwrap();
        let began = Instant::now();
        let deadline = Deadline::after(Duration::from_secs(5));
        let mut failures = 0;
        for transfer in transfers {
            if let Err(failed) = transfer.wait(&deadline) {
                failures += 1;
                assert_eq!(contents(&failed.payload.unwrap()), [1; 64]);
            }
        }
        assert!(failures > 0, "{way:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "{way:?}");
    }
}

#[test]
fn one_engine_has_one_process() {
    let rig = Rig::new(Way::Threads);
    let second = Engine::open(rig.bus.as_ref(), rig.slot.app_bdf).err();
    assert!(
        matches!(second, Some(OpenError::InUse { .. })),
        "{second:?}"
    );
    // The management function has none.
    let mgmt = Engine::open(rig.bus.as_ref(), rig.slot.mgmt.bdf).err();
    assert!(mgmt.is_some());
}

use afi_pcie::Deadline;
