//! A capture that was made here, and ways to open it.

use std::fs;
use std::time::Duration;

use afi_proto::mailbox::{
    CommandFlags, ErrorCode, Header, Metrics, MetricsBody, Opcode, SlotStatus, encode, encode_error,
};
use afi_proto::{Bdf, Family, PciIds};
use tempfile::TempDir;

use super::super::*;
use crate::bus::Bus;
use crate::mailbox::Mailbox;
use crate::slots::{self, Slot};
use crate::{BusError, Deadline};

pub(super) const MGMT: &str = "0000:00:1e.0";
pub(super) const SHELL: u32 = 0x0426_1818;
/// The id of recorded requests; the next ones have others.
pub(super) const ID: u32 = 7;

pub(super) fn bdf(text: &str) -> Bdf {
    text.parse().unwrap()
}

pub(super) fn metrics(power: u64) -> Metrics {
    let mut body = MetricsBody {
        bar1_timeout: Some(Default::default()),
        ddr: vec![Default::default(); 4],
        ..MetricsBody::default()
    };
    body.power.last = power;
    Metrics {
        image: Some("agfi-0fedcba9876543210".parse().unwrap()),
        ids: PciIds::new(0x1D0F, 0xF000, 0xFEDD, 0x1D51),
        status: SlotStatus::LOADED,
        error: ErrorCode::OK,
        body,
    }
}

pub(super) fn message(power: u64) -> Vec<u8> {
    let payload = metrics(power).encode(Family::F1);
    encode(Header::response(Opcode::METRICS, ID), &payload)
}

pub(super) fn flags(flags: CommandFlags) -> Bytes {
    let all = flags | CommandFlags::EXTENDED_METRICS_SIZE;
    Bytes(all.bits().to_le_bytes().to_vec())
}

pub(super) fn response(message: Vec<u8>) -> Response {
    Response {
        answers: true,
        length: message.len().div_ceil(4) as u32,
        message: Bytes(message),
    }
}

pub(super) fn exchange(payload: Bytes, responses: Vec<Response>) -> Exchange {
    Exchange {
        opcode: Opcode::METRICS.0,
        payload,
        taken: true,
        responses,
        gone: false,
    }
}

pub(super) fn function(address: &str, ids: PciIds, bars: &[(u8, u64)]) -> FunctionRecord {
    let mut config = vec![0; 256];
    config[..2].copy_from_slice(&ids.vendor.to_le_bytes());
    FunctionRecord {
        bdf: bdf(address),
        ids: ids.into(),
        driver: Some("xdma".to_owned()),
        numa_node: Some(1),
        config: Bytes(config),
        bars: bars.iter().copied().collect(),
        host: HostView::default(),
        failures: Vec::new(),
    }
}

pub(super) fn failure(class: &str) -> RecordedFailure {
    RecordedFailure {
        what: "describe slot 0".to_owned(),
        class: Some(class.to_owned()),
        message: "it did not work".to_owned(),
    }
}

/// An F1 slot that is loaded, and was busy at the first question for its counters.
pub(super) fn example() -> Capture {
    let mgmt = PciIds::new(0x1D0F, 0x1041, 0x1D0F, 0x1041);
    let counters = flags(CommandFlags::GET_HW_METRICS);
    let prefix = Header::SIZE + Metrics::PREFIX_SIZE;
    let plain = Response {
        message: Bytes(message(0)[..prefix].to_vec()),
        ..response(message(0))
    };
    Capture {
        schema_version: SCHEMA_VERSION,
        tool: Tool {
            name: "afi".to_owned(),
            version: "0.1.0".to_owned(),
        },
        taken_unix_seconds: 1_800_000_000,
        machine: Machine::default(),
        settings: SettingsRecord::default(),
        listing_failure: None,
        functions: vec![
            function(MGMT, mgmt, &[(0, 0x4000), (2, 0x4000)]),
            function(
                "0000:00:1d.0",
                metrics(0).ids,
                &[(0, 32 << 20), (4, 128 << 30)],
            ),
        ],
        mailboxes: vec![MailboxRecord {
            shell_version: Some(SHELL),
            virtual_led: Some(0x0001),
            exchanges: vec![
                exchange(flags(CommandFlags::empty()), vec![plain]),
                exchange(
                    counters.clone(),
                    vec![response(encode_error(ID, ErrorCode::BUSY, None))],
                ),
                exchange(counters, vec![response(message(20))]),
            ],
            ..MailboxRecord::new(bdf(MGMT))
        }],
    }
}

pub(super) struct Opened {
    pub(super) bus: CaptureBus,
    _directory: TempDir,
}

pub(super) fn open_text(text: &[u8]) -> Result<Opened, BusError> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.json");
    fs::write(&file, text).unwrap();
    Ok(Opened {
        bus: CaptureBus::open(&file)?,
        _directory: directory,
    })
}

pub(super) fn text(capture: &Capture) -> String {
    serde_json::to_string_pretty(capture).unwrap()
}

pub(super) fn open(capture: &Capture) -> Opened {
    let opened = open_text(text(capture).as_bytes()).unwrap();
    assert_eq!(opened.bus.capture(), capture);
    opened
}

pub(super) fn slot(bus: &dyn Bus) -> Slot {
    slots::discover(bus).unwrap().remove(0)
}

pub(super) fn moment() -> Deadline {
    Deadline::after(Duration::from_secs(1))
}

pub(super) fn mailbox(bus: &dyn Bus) -> Mailbox {
    Mailbox::open(bus, &slot(bus)).unwrap()
}
