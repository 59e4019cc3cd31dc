//! What the bus of a capture shows, and what it refuses.

use std::fs;

use afi_proto::mailbox::{CommandFlags, ErrorCode};
use afi_proto::{BarIndex, ShellVersion, config_space};

use super::super::*;
use super::example::*;
use crate::bus::{Bus, Caching};
use crate::mailbox::{Mailbox, MailboxError};
use crate::slots;
use crate::{BarError, BusError};

#[test]
fn a_captured_slot_is_listed_and_answers_as_it_did() {
    let opened = open(&example());
    let slot = slot(&opened.bus);
    assert_eq!(slot.mgmt.bdf, bdf(MGMT));
    let app = slot.app.as_ref().unwrap();
    assert_eq!(
        (app.ids, app.driver.as_deref(), app.numa_node),
        (metrics(0).ids, Some("xdma"), Some(1))
    );
    let mailbox = mailbox(&opened.bus);
    assert_eq!(mailbox.shell_version().unwrap(), ShellVersion(SHELL));
    for _ in 0..2 {
        let plain = mailbox.describe(CommandFlags::empty(), &moment());
        assert_eq!(plain.unwrap(), metrics(0));
    }
    let counters = || mailbox.describe(CommandFlags::GET_HW_METRICS, &moment());
    let busy = counters().unwrap_err();
    let is_busy = matches!(
        busy,
        MailboxError::Shell {
            error: ErrorCode::BUSY,
            ..
        }
    );
    assert!(is_busy, "{busy}");
    for _ in 0..2 {
        assert_eq!(counters().unwrap(), metrics(20));
    }
    assert_eq!(mailbox.virtual_led().unwrap(), 1);
}

#[test]
fn a_capture_of_a_capture_has_the_same_answers() {
    let opened = open(&example());
    let recording = RecordingBus::new(&opened.bus);
    let mailbox = mailbox(&recording);
    mailbox.describe(CommandFlags::empty(), &moment()).unwrap();
    let counters = || mailbox.describe(CommandFlags::GET_HW_METRICS, &moment());
    counters().unwrap_err();
    counters().unwrap();
    mailbox.virtual_led().unwrap();
    let mut again = recording.recorded(bdf(MGMT));
    // The id of a request is chosen at random.
    for exchange in &mut again.exchanges {
        for response in &mut exchange.responses {
            response.message.0[12..16].copy_from_slice(&ID.to_le_bytes());
            // A whole message is read to the end of its last word.
            assert_eq!(response.message.0.len() % 4, 0);
        }
    }
    assert_eq!(again, example().mailboxes[0]);
}

#[test]
fn nothing_but_questions_goes_through_a_bus_that_records() {
    let opened = open(&example());
    let recording = RecordingBus::new(&opened.bus);
    let mailbox = mailbox(&recording);
    for refused in [
        mailbox.clear(&moment()).unwrap_err(),
        mailbox.set_virtual_dip(1).unwrap_err(),
        mailbox.agree_to_reload().unwrap_err(),
        mailbox
            .describe(CommandFlags::CLEAR_HW_METRICS, &moment())
            .unwrap_err(),
        mailbox
            .describe(CommandFlags::CLEAR_AFI_CACHE, &moment())
            .unwrap_err(),
    ] {
        assert!(
            matches!(refused, MailboxError::Register { .. }),
            "{refused}"
        );
    }
    assert!(recording.recorded(bdf(MGMT)).exchanges.is_empty());
    let function = recording.open(bdf(MGMT)).unwrap();
    assert!(function.write_config(4, &[0]).is_err() && function.reset().is_err());
    assert!(recording.remove(bdf(MGMT)).is_err() && recording.rescan(bdf(MGMT)).is_err());
}

#[test]
fn what_would_change_a_slot_or_is_not_in_the_file_is_refused() {
    let opened = open(&example());
    let bus = &opened.bus;
    let mailbox = mailbox(bus);
    let refused = mailbox.clear(&moment()).unwrap_err();
    let MailboxError::Register { source, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!(
        source.to_string(),
        "a capture has no answer to a clear request: it can be listed and described only"
    );
    let refused = mailbox.virtual_dip().unwrap_err();
    let not_captured = |error: &MailboxError| {
        let MailboxError::Register { source, .. } = error else {
            return false;
        };
        matches!(source, BarError::NotCaptured { .. })
    };
    assert!(not_captured(&refused), "{refused}");
    assert!(not_captured(&mailbox.set_virtual_dip(1).unwrap_err()));
    let unsupported =
        |error: BusError| matches!(error, BusError::Unsupported { bus: "capture", .. });
    assert!(unsupported(bus.remove(bdf(MGMT)).unwrap_err()));
    assert!(unsupported(bus.rescan(bdf(MGMT)).unwrap_err()));
    assert!(unsupported(bus.watch().err().unwrap()));
    let app = bus.open(bdf("0000:00:1d.0")).unwrap();
    assert!(unsupported(app.write_config(4, &[0, 0]).unwrap_err()));
    assert!(unsupported(app.reset().unwrap_err()));
    assert!(unsupported(
        app.bar(BarIndex::BAR4, Caching::None).unwrap_err()
    ));
    let none = app.bar(BarIndex::BAR1, Caching::None).unwrap_err();
    assert!(matches!(none, BusError::NoBar { .. }), "{none}");
    assert_eq!(app.bar_size(BarIndex::BAR4).unwrap(), Some(128 << 30));
    let nowhere = bus.open(bdf("0000:00:01.0")).err().unwrap();
    assert!(matches!(nowhere, BusError::NotFound { .. }), "{nowhere}");
}

#[test]
fn configuration_space_ends_where_it_was_not_read() {
    let mut capture = example();
    let app = open(&capture).bus.open(bdf("0000:00:1d.0")).unwrap();
    let mut bytes = [0; 4];
    app.read_config(252, &mut bytes).unwrap();
    let error = app.read_config(254, &mut bytes).unwrap_err();
    assert!(
        matches!(error, BusError::NoConfig { offset: 254, .. }),
        "{error}"
    );
    assert!(app.read_config(u16::MAX, &mut bytes).is_err());
    capture.functions[1].failures = vec![failure("not-permitted")];
    let app = open(&capture).bus.open(bdf("0000:00:1d.0")).unwrap();
    let error = app.read_config(254, &mut bytes).unwrap_err();
    assert!(matches!(error, BusError::Recorded { .. }), "{error}");
    let past = config_space::SIZE as u16;
    let error = app.read_config(past, &mut bytes).unwrap_err();
    assert!(matches!(error, BusError::NoConfig { .. }), "{error}");
}

#[test]
fn a_shell_that_fell_silent_is_told_at_once() {
    let mut capture = example();
    let mailbox_record = &mut capture.mailboxes[0];
    mailbox_record.exchanges[0].responses.clear();
    mailbox_record.failures = vec![failure("timed-out")];
    let describe = |capture: &Capture| {
        let opened = open(capture);
        mailbox(&opened.bus)
            .describe(CommandFlags::empty(), &moment())
            .unwrap_err()
    };
    let recorded = |error: &MailboxError| {
        let MailboxError::Register { source, .. } = error else {
            return false;
        };
        *source
            == BarError::Recorded {
                source: failure("timed-out"),
            }
    };
    let error = describe(&capture);
    assert!(recorded(&error), "{error}");
    capture.mailboxes[0].exchanges[0].taken = false;
    assert!(recorded(&describe(&capture)));
    capture.mailboxes[0].exchanges[0].gone = true;
    let error = describe(&capture);
    assert!(matches!(error, MailboxError::Gone { .. }), "{error}");
}

#[test]
fn a_mailbox_that_was_not_opened_says_why() {
    let mut capture = example();
    capture.mailboxes[0] = MailboxRecord {
        failures: vec![failure("busy")],
        ..MailboxRecord::new(bdf(MGMT))
    };
    let opened = open(&capture);
    let error = Mailbox::open(&opened.bus, &slot(&opened.bus))
        .err()
        .unwrap();
    let MailboxError::Open { source, .. } = error else {
        panic!("{error}");
    };
    assert!(matches!(source, BusError::Recorded { source } if source == failure("busy")));
    capture.mailboxes[0].shell_version = Some(u32::MAX);
    let opened = open(&capture);
    let error = Mailbox::open(&opened.bus, &slot(&opened.bus))
        .err()
        .unwrap();
    assert!(matches!(error, MailboxError::Gone { .. }), "{error}");
}

#[test]
fn a_list_that_failed_is_no_empty_list() {
    let capture = Capture {
        listing_failure: Some(failure("not-found")),
        functions: Vec::new(),
        mailboxes: Vec::new(),
        ..example()
    };
    let error = slots::discover(&open(&capture).bus).unwrap_err();
    assert!(matches!(error, BusError::Recorded { .. }), "{error}");
}

#[test]
fn locks_are_in_a_directory_of_this_process_which_goes_with_the_bus() {
    let opened = open(&example());
    let locks = opened.bus.lock_directory();
    fs::write(locks.join("slot.lock"), "").unwrap();
    assert_ne!(locks, open(&example()).bus.lock_directory());
    drop(opened);
    assert!(!locks.exists());
}
