//! Files that are no captures, and captures that no instance gave.

use std::time::Duration;

use afi_proto::BarIndex;
use afi_proto::mailbox::CommandFlags;
use proptest::prelude::*;

use super::super::*;
use super::example::*;
use crate::bus::{Bus, BusChoice};
use crate::mailbox::Mailbox;
use crate::slots;
use crate::{BusError, Deadline};

#[test]
fn a_file_that_is_no_capture_is_refused_with_the_place() {
    let whole = text(&example());
    let changed = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        whole.replacen(from, to, 1)
    };
    let long_config = format!("\"config\": \"{}\"", "00".repeat(4097));
    let config_at = whole.find("\"config\"").unwrap();
    let config_end = config_at + whole[config_at..].find(",\n").unwrap();
    let config = &whole[config_at..config_end];
    for (text, expected) in [
        (String::new(), "line 1, column 0: EOF"),
        ("{}".to_owned(), "missing field `schema_version`"),
        (whole[..whole.len() / 2].to_owned(), "EOF"),
        (
            changed("\"schema_version\": 1", "\"schema_version\": 2"),
            "form 2",
        ),
        (
            changed("\"schema_version\": 1", "\"schema_version\": \"1\""),
            "line 2, column",
        ),
        (
            changed("\"0x1d0f\"", "\"0x1d0ff\""),
            "wanted a 16-bit number",
        ),
        (
            changed("\"0x04261818\"", "\"4261818\""),
            "wanted a 32-bit number",
        ),
        (
            changed("0000:00:1e.0", "0000:00:1e.9"),
            "is not a PCI address",
        ),
        (
            changed("0000:00:1d.0", "0000:00:1e.0"),
            "functions[1]: a second function",
        ),
        (
            changed("\"2\": 16384", "\"7\": 16384"),
            "functions[0].bars: there is no BAR 7",
        ),
        (
            changed(config, "\"config\": \"0\""),
            "pairs of hexadecimal digits",
        ),
        (
            changed(config, &long_config),
            "functions[0].config: 4097 bytes",
        ),
    ] {
        let error = open_text(text.as_bytes()).err().expect(expected);
        let BusError::Capture { source, .. } = error else {
            panic!("{error}");
        };
        let said = source.to_string();
        assert!(said.contains(expected), "'{said}' is not '{expected}'");
    }
}

#[test]
fn a_file_that_is_too_long_or_no_file_is_not_read() {
    let error = Capture::parse(&vec![b' '; MOST_BYTES as usize + 1]).unwrap_err();
    assert!(matches!(error, CaptureError::TooLarge), "{error}");
    for path in ["/dev/zero", "/nonexistent.json", "/tmp"] {
        let choice: BusChoice = format!("capture:{path}").parse().unwrap();
        let error = crate::bus::open(&choice).err().unwrap();
        let read = matches!(
            &error,
            BusError::Capture {
                source: CaptureError::Read { .. },
                ..
            }
        );
        assert!(read, "{error}");
    }
}

#[test]
fn fields_that_a_newer_program_wrote_are_passed_over() {
    let mut value = serde_json::to_value(example()).unwrap();
    value["new"] = true.into();
    value["functions"][0]["new"] = true.into();
    let text = serde_json::to_vec(&value).unwrap();
    assert_eq!(Capture::parse(&text).unwrap(), example());
}

/// Everything that a reader of the bus does.
fn look_at_everything(bus: &dyn Bus) {
    let Ok(slots) = slots::discover(bus) else {
        return;
    };
    for slot in slots {
        for address in [slot.mgmt.bdf, slot.app_bdf] {
            if let Ok(function) = bus.open(address) {
                let _ = function.live_ids();
                let _ = function.bar_size(BarIndex::BAR0);
            }
        }
        let Ok(mailbox) = Mailbox::open(bus, &slot) else {
            continue;
        };
        let deadline = Deadline::after(Duration::from_millis(20));
        let _ = mailbox.virtual_led();
        for flags in [CommandFlags::empty(), CommandFlags::GET_HW_METRICS] {
            let _ = mailbox.describe(flags, &deadline);
        }
    }
}

proptest! {
    #[test]
    fn a_file_with_bytes_changed_never_ends_in_a_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        end in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = text(&example()).into_bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(end) = end {
            bytes.truncate(end.index(bytes.len()));
        }
        if let Ok(opened) = open_text(&bytes) {
            look_at_everything(&opened.bus);
        }
    }

    #[test]
    fn no_answer_of_a_shell_ends_in_a_panic(
        message in proptest::collection::vec(any::<u8>(), 0..128),
        length: u32,
        answers: bool,
        taken: bool,
        gone: bool,
        bar in prop_oneof![Just(0), Just(4), Just(0x4000), any::<u64>()],
    ) {
        let mut capture = example();
        capture.functions[0].bars.insert(0, bar);
        let responses = vec![Response { answers, length, message: Bytes(message) }];
        for exchange in &mut capture.mailboxes[0].exchanges {
            *exchange = Exchange { responses: responses.clone(), taken, gone, ..exchange.clone() };
        }
        look_at_everything(&open(&capture).bus);
    }
}
