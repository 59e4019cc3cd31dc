//! The generators, by their registers.

use std::sync::Arc;

use afi_proto::Family;
use afi_proto::config_space::COMMAND;
use afi_proto::mailbox::{AddressCount, InterruptStatus, ProtocolErrors};

use super::*;
use crate::device::testing::{Host, Rig};
use crate::function::HostPort;

fn rig() -> (Rig, Arc<Host>) {
    let rig = Rig::running(Family::F1, "cl_dram_dma");
    let host = Arc::new(Host::default());
    rig.app.attach(Arc::clone(&host) as _);
    (rig, host)
}

/// Puts an instruction in for writes (`0x1C`) or reads (`0x3C`).
fn put(rig: &Rig, block: u64, half: u64, address: u64, data: u32, length: u32) {
    let words = [address as u32, (address >> 32) as u32, data, length];
    for (register, word) in (half + 4..).step_by(4).zip(words) {
        rig.set_ocl(block + register, word);
    }
}

/// The same burst written and then read and compared.
fn there_and_back(rig: &Rig, block: u64, address: u64, length: u32) {
    rig.set_ocl(block + HAS_PORT, 1);
    rig.set_ocl(block + CONFIG, MODE_COMPARE | MODE_SYNC);
    for half in [WRITE_INDEX, READ_INDEX] {
        rig.set_ocl(block + half, 0);
        put(rig, block, half, address, 0x6C93_AF50, length);
    }
    rig.set_ocl(block + INSTRUCTIONS, 0);
    rig.set_ocl(block + GO, 0b11);
}

#[test]
fn host_memory_is_written_read_and_compared() {
    let (rig, host) = rig();
    let address = Host::BASE + 0x48;
    there_and_back(&rig, 0, address, 0x0301);
    assert_eq!(rig.ocl(GO), 0);
    assert_eq!(rig.ocl(ERROR), 0);
    assert_eq!((rig.ocl(COUNTERS), rig.ocl(0x88), rig.ocl(0xA0)), (1, 1, 1));
    // Words from the first beat's third on, to the second beat's thirteenth.
    let mut memory = [0; 160];
    host.dma_read(Host::BASE + 0x40, &mut memory).unwrap();
    let words: Vec<u32> = memory
        .chunks(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect();
    for (number, word) in words.iter().enumerate() {
        let wanted = match number {
            2..29 => 0x6C93_AF50 + number as u32,
            _ => 0,
        };
        assert_eq!(*word, wanted, "word {number}");
    }
    let body = rig.hardware().body;
    assert_eq!((body.pcim_writes, body.pcim_reads), (1, 1));
}

#[test]
fn a_word_that_differs_is_found_and_shown() {
    let (rig, host) = rig();
    there_and_back(&rig, 0, Host::BASE, 3);
    host.dma_write(Host::BASE + 0x84, &[0xEE; 4]).unwrap();
    rig.set_ocl(BEAT_INDEX, 0);
    rig.set_ocl(CONFIG, MODE_COMPARE);
    rig.set_ocl(GO, 0b10);
    assert_eq!(rig.ocl(ERROR), 1);
    assert_eq!(rig.ocl(ERROR_ADDRESS), Host::BASE as u32 + 0x80);
    let beat = rig.ocl(ERROR_INDEX);
    rig.set_ocl(BEAT_INDEX, beat << 8 | 1);
    assert_eq!(rig.ocl(BEAT_DATA), 0xEEEE_EEEE);
    assert_eq!(rig.ocl(BEAT_EXPECTED), 0x6C93_AF50 + 33);
    assert_eq!(rig.ocl(BEAT_ADDRESS), Host::BASE as u32 + 0x80);
    rig.set_ocl(ERROR, 1);
    assert_eq!(rig.ocl(ERROR), 0);
}

#[test]
fn what_breaks_the_protocol_is_refused_and_counted() {
    let (rig, host) = rig();
    let crossing = Host::BASE + 0xFC0;
    there_and_back(&rig, 0, crossing, 1);
    assert_eq!((rig.ocl(REFUSALS), rig.ocl(0xD4)), (1, 2));
    assert_eq!((rig.ocl(0xD8), rig.ocl(0xDC)), (1, 2));
    let mut memory = [1; 128];
    host.dma_read(crossing, &mut memory).unwrap();
    assert_eq!(memory, [0; 128], "none of it gets through");
    let body = rig.hardware().body;
    assert_eq!(body.pcim_protocol_errors, ProtocolErrors::CROSSED_4K);
    let twice = AddressCount {
        address: crossing,
        count: 2,
    };
    assert_eq!(body.pcim_protocol_error, twice);
    assert_eq!((body.pcim_writes, body.pcim_reads), (0, 0));
    // A size that is told wrong; nothing mapped; bus mastering off.
    rig.set_ocl(CONFIG, MODE_USER);
    rig.set_ocl(WRITE_INDEX, 0);
    put(&rig, 0, WRITE_INDEX, Host::BASE, 1, 17 << 16);
    rig.set_ocl(GO, 1);
    rig.set_ocl(WRITE_INDEX, 0);
    put(&rig, 0, WRITE_INDEX, 0x40, 1, 16 << 16);
    rig.set_ocl(GO, 1);
    rig.app.write_config(COMMAND, &[2]);
    rig.set_ocl(GO, 1);
    assert_eq!(rig.ocl(REFUSALS), 4);
    let body = rig.hardware().body;
    let wanted = ProtocolErrors::CROSSED_4K
        | ProtocolErrors::REQUEST_SIZE
        | ProtocolErrors::BUS_MASTER_DISABLED;
    assert_eq!(body.pcim_protocol_errors, wanted);
    assert_eq!(body.pcim_range_error.address, 0x40);
    let both = InterruptStatus::PCIM_PROTOCOL_ERROR | InterruptStatus::PCIM_RANGE_ERROR;
    assert_eq!(body.interrupts, both);
}

#[test]
fn each_ddr_has_a_generator_that_waits_for_its_port() {
    let (rig, _) = rig();
    for number in 0..4_u64 {
        let block = 0x100 + number * 0x100;
        there_and_back(&rig, block, 0x40, 0);
        assert_eq!(rig.ocl(block + ERROR), 0);
        let address = (number << 34) + 0x40;
        let mut word = [0; 4];
        rig.app
            .read_bar(afi_proto::BarIndex::BAR4, address, &mut word);
        assert_eq!(u32::from_le_bytes(word), 0x6C93_AF50);
    }
    for counts in rig.hardware().body.ddr {
        assert_eq!((counts.writes, counts.reads), (1, 2));
    }
    rig.set_ocl(0x100 + HAS_PORT, 0);
    rig.set_ocl(0x100 + GO, 1);
    assert_eq!(rig.ocl(0x100 + GO), 1);
    rig.set_ocl(0x100 + HAS_PORT, 1);
    assert_eq!(rig.ocl(0x100 + GO), 0);
}

#[test]
fn loops_are_counted_and_one_without_end_is_stopped() {
    let (rig, host) = rig();
    rig.set_ocl(CONFIG, MODE_ITERATIONS | MODE_LOOP_ADDRESS | 8 << 8);
    rig.set_ocl(WRITE_INDEX, 0);
    put(&rig, 0, WRITE_INDEX, Host::BASE, 5, 0);
    put(&rig, 0, WRITE_INDEX, Host::BASE + 0x40, 6, 0);
    assert_eq!(rig.ocl(WRITE_INDEX), 2);
    rig.set_ocl(INSTRUCTIONS, 1);
    rig.set_ocl(ITERATIONS, 3);
    rig.set_ocl(GO, 1);
    assert_eq!((rig.ocl(GO), rig.ocl(0x90), rig.ocl(COUNTERS)), (0, 3, 6));
    let mut word = [0; 4];
    host.dma_read(Host::BASE + 0x240, &mut word).unwrap();
    assert_eq!(word, [6, 0, 0, 0], "the third loop's second burst");
    rig.set_ocl(CONFIG, MODE_CONTINUOUS);
    rig.set_ocl(GO, 1);
    let before = rig.ocl(COUNTERS);
    assert!(rig.ocl(COUNTERS) > before, "it goes on");
    rig.set_ocl(GO, 0);
    let at_end = rig.ocl(COUNTERS);
    assert_eq!((rig.ocl(GO), rig.ocl(COUNTERS)), (0, at_end));
}
