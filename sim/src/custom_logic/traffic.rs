//! A traffic generator of `cl_dram_dma` (`cl_tst.sv`): carries out instructions, each a burst that is
//! written, or read and compared.
//!
//! A burst moves beats of 64 bytes. Its data count up by words from the instruction's start value,
//! from the beginning of the first beat on; bytes before the address, and words that the instruction
//! takes off the last beat, are left out.
//!
//! It works when the host accesses its block: one that goes on for ever makes some progress each
//! time. Its timers count a cycle for each beat.

mod program;
#[cfg(test)]
mod tests;

use super::ShellPorts;
use program::{BEAT, Burst, Half, MOST_BEATS, half, put_half};

/// Configuration: see the `MODE_…` bits; 13:8 and 21:16 how far the loop's number is shifted into
/// the address of writes and reads.
const CONFIG: u64 = 0x00;
const LIMITS: u64 = 0x04;
/// Bit 0 starts and stops writes, bit 1 reads; they read as busy.
const GO: u64 = 0x08;
const STATE: u64 = 0x0C;
/// Instructions of a loop, less one: writes in 15:0, reads in 31:16.
const INSTRUCTIONS: u64 = 0x10;
const READS_AT_ONCE: u64 = 0x14;
/// Where writes' instructions are put in: index, address (low, high), start value, length. Writing
/// the length puts the instruction in and moves the index on.
const WRITE_INDEX: u64 = 0x1C;
/// Bit 0: the generator has the memory's port. Bursts to DDR wait for it.
const HAS_PORT: u64 = 0x30;
/// The same for reads.
const READ_INDEX: u64 = 0x3C;
/// Which of the last 32 beats that were read is shown (12:8), and which word of it (7:0).
const BEAT_INDEX: u64 = 0x60;
const BEAT_ADDRESS: u64 = 0x64;
const BEAT_DATA: u64 = 0x6C;
const BEAT_EXPECTED: u64 = 0x70;
const BEAT_NEXT: u64 = 0x74;
/// Counters of 64 bits, each in two registers: bursts written and read, loops written and read,
/// answers to reads.
const COUNTERS: u64 = 0x80;
const COUNTERS_END: u64 = 0xA8;
/// Bit 0: data that were read differ; writing it clears. Then where, and in which beat.
const ERROR: u64 = 0xB0;
const ERROR_ADDRESS: u64 = 0xB4;
const ERROR_INDEX: u64 = 0xBC;
/// How many loops, in iteration mode: writes, reads.
const ITERATIONS: u64 = 0xC0;
/// Refused writes and the first one's answer, then the same of reads; writing clears.
const REFUSALS: u64 = 0xD0;
const TIMERS: u64 = 0xF0;

const MODE_CONTINUOUS: u32 = 1 << 0;
const MODE_COMPARE: u32 = 1 << 3;
/// Reads do not pass writes.
const MODE_SYNC: u32 = 1 << 4;
const MODE_ITERATIONS: u32 = 1 << 5;
/// The number of the loop is part of the address.
const MODE_LOOP_ADDRESS: u32 = 1 << 6;
/// The size that is told to the shell comes from the instruction.
const MODE_USER: u32 = 1 << 7;
const MODE_CONSTANT: u32 = 1 << 25;
/// Bits of the configuration that can be set; bit 24 is always set (ids count up).
const CONFIG_BITS: u32 = 0x023F_3FFB;
const CONFIG_FIXED: u32 = 1 << 24;

const REMEMBERED: usize = 32;
/// Beats for one access of the host: no burst begins after so many.
const SHARE: u64 = 256;

/// What a generator's port leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Host memory, through PCIM.
    Host,
    /// The DDR interface of a number.
    Ddr(usize),
}

/// A generator.
#[derive(Debug)]
pub(super) struct Traffic {
    side: Side,
    config: u32,
    limits: u32,
    reads_at_once: u32,
    has_port: bool,
    writes: Half,
    reads: Half,
    responses: u64,
    beats: Vec<Seen>,
    next_beat: usize,
    shown: u32,
    error: Option<(u64, usize)>,
}

/// A beat that was read.
#[derive(Debug, Clone, Copy)]
struct Seen {
    address: u64,
    data: [u8; BEAT],
    expected: [u8; BEAT],
}

impl Traffic {
    pub(super) fn new(side: Side) -> Self {
        Self {
            side,
            config: 0,
            limits: 0,
            reads_at_once: 31,
            has_port: false,
            writes: Half::default(),
            reads: Half::default(),
            responses: 0,
            beats: Vec::new(),
            next_beat: 0,
            shown: 0,
            error: None,
        }
    }

    pub(super) fn read(&mut self, register: u64, shell: &mut ShellPorts<'_>) -> u32 {
        self.run(shell);
        match register {
            CONFIG => self.config | CONFIG_FIXED,
            LIMITS => self.limits,
            GO => u32::from(self.writes.busy) | u32::from(self.reads.busy) << 1,
            // Not writing, and every read answered.
            STATE => 0xFFFF,
            INSTRUCTIONS => u32::from(self.writes.last) | u32::from(self.reads.last) << 16,
            READS_AT_ONCE => self.reads_at_once,
            WRITE_INDEX..=0x2C => self.writes.read(register - WRITE_INDEX),
            HAS_PORT => self.has_port.into(),
            READ_INDEX..=0x4C => self.reads.read(register - READ_INDEX),
            BEAT_INDEX => self.shown,
            BEAT_ADDRESS..=BEAT_EXPECTED => self.read_beat(register),
            BEAT_NEXT => self.next_beat as u32,
            COUNTERS..COUNTERS_END => {
                let Self { writes, reads, .. } = self;
                let counters = [
                    writes.bursts,
                    reads.bursts,
                    writes.loops,
                    reads.loops,
                    self.responses,
                ];
                half(counters[((register - COUNTERS) / 8) as usize], register)
            }
            ERROR => self.error.is_some().into(),
            ERROR_ADDRESS => self.error.map_or(0, |(address, _)| address as u32),
            0xB8 => self.error.map_or(0, |(address, _)| (address >> 32) as u32),
            ERROR_INDEX => self.error.map_or(0, |(_, index)| index as u32),
            ITERATIONS..=0xC4 => half(self.writes.iterations, register),
            0xC8..=0xCC => half(self.reads.iterations, register),
            REFUSALS => self.writes.refused,
            0xD4 => self.writes.first_refusal,
            0xD8 => self.reads.refused,
            0xDC => self.reads.first_refusal,
            TIMERS..=0xF4 => half(self.writes.timer, register),
            0xF8..=0xFC => half(self.reads.timer, register),
            _ => u32::MAX,
        }
    }

    pub(super) fn write(&mut self, register: u64, value: u32, shell: &mut ShellPorts<'_>) {
        match register {
            CONFIG => self.config = value & CONFIG_BITS,
            LIMITS => self.limits = value,
            GO => {
                self.writes.go(value & 1 != 0);
                if value & 2 != 0 && !self.reads.busy {
                    self.responses = 0;
                }
                self.reads.go(value & 2 != 0);
            }
            INSTRUCTIONS => {
                self.writes.last = value as u16;
                self.reads.last = (value >> 16) as u16;
            }
            READS_AT_ONCE => self.reads_at_once = value.min(511),
            WRITE_INDEX..=0x2C => self.writes.write(register - WRITE_INDEX, value),
            HAS_PORT => self.has_port = value & 1 != 0,
            READ_INDEX..=0x4C => self.reads.write(register - READ_INDEX, value),
            BEAT_INDEX => self.shown = value & 0xFFFF,
            ERROR if value & 1 != 0 => self.error = None,
            ITERATIONS..=0xC4 => put_half(&mut self.writes.iterations, register, value),
            0xC8..=0xCC => put_half(&mut self.reads.iterations, register, value),
            REFUSALS => self.writes.refused = 0,
            0xD4 => self.writes.first_refusal = 0,
            0xD8 => self.reads.refused = 0,
            0xDC => self.reads.first_refusal = 0,
            _ => {}
        }
        self.run(shell);
    }

    /// Carries out what there is to do, up to a share.
    fn run(&mut self, shell: &mut ShellPorts<'_>) {
        // A burst to DDR waits for the port, which the shell's accesses have otherwise.
        if self.side != Side::Host && !self.has_port {
            return;
        }
        let begun = self.writes.timer.wrapping_add(self.reads.timer);
        let beats = |of: &Self| {
            of.writes
                .timer
                .wrapping_add(of.reads.timer)
                .wrapping_sub(begun)
        };
        while beats(self) < SHARE {
            let wrote = self.writes.busy;
            if wrote {
                self.write_burst(shell);
            }
            let holds = self.config & MODE_SYNC != 0 && self.reads.bursts >= self.writes.bursts;
            let reads = self.reads.busy && !holds;
            if reads {
                self.read_burst(shell);
            }
            if !wrote && !reads {
                return;
            }
        }
    }

    fn write_burst(&mut self, shell: &mut ShellPorts<'_>) {
        let shift = self.config >> 8 & 0x3F;
        let burst = Burst::of(&self.writes, self.config, shift);
        let mut data = [0; MOST_BEATS * BEAT];
        burst.fill(&mut data, self.config);
        let accepted = match self.side {
            Side::Host => {
                let bytes = &data[burst.skip..burst.end];
                let told = burst.check_size(self.config, shell);
                told && shell.write_host_burst(burst.start(), bytes).is_ok()
            }
            Side::Ddr(number) => {
                let bytes = &data[burst.skip..burst.end];
                let at = shell.ddr_address(number, burst.start());
                at.is_some_and(|at| shell.write_memory(at, bytes).is_ok())
            }
        };
        self.writes.advance(self.config, burst.beats, accepted);
    }

    fn read_burst(&mut self, shell: &mut ShellPorts<'_>) {
        let shift = self.config >> 16 & 0x3F;
        let burst = Burst::of(&self.reads, self.config, shift);
        let mut data = [0; MOST_BEATS * BEAT];
        let mut expected = [0; MOST_BEATS * BEAT];
        burst.fill(&mut expected, self.config);
        let (bytes, start) = (&mut data[burst.skip..burst.end], burst.start());
        let accepted = match self.side {
            Side::Host => {
                let told = burst.check_size(self.config, shell);
                told && shell.read_host_burst(start, bytes).is_ok()
            }
            Side::Ddr(number) => {
                let at = shell.ddr_address(number, start);
                at.is_some_and(|at| shell.read_memory(at, bytes).is_ok())
            }
        };
        if !accepted {
            bytes.fill(0xFF);
        }
        self.responses += 1;
        self.reads.advance(self.config, burst.beats, accepted);
        self.look_at(&burst, &data, &expected);
    }

    /// Remembers the beats that were read, and stops at the first that differs.
    fn look_at(&mut self, burst: &Burst, data: &[u8], expected: &[u8]) {
        let beats = data.chunks_exact(BEAT).zip(expected.chunks_exact(BEAT));
        for (number, (data, expected)) in beats.take(burst.beats).enumerate() {
            if self.error.is_some() {
                return;
            }
            let (mut seen, first) = (
                Seen {
                    address: burst.address.wrapping_add((number * BEAT) as u64),
                    data: [0; BEAT],
                    expected: [0; BEAT],
                },
                number * BEAT,
            );
            seen.data.copy_from_slice(data);
            seen.expected.copy_from_slice(expected);
            let compared =
                burst.skip.clamp(first, first + BEAT)..burst.end.clamp(first, first + BEAT);
            let compared = compared.start - first..compared.end - first;
            let index = self.next_beat;
            match self.beats.get_mut(index) {
                Some(place) => *place = seen,
                None => self.beats.push(seen),
            }
            self.next_beat = (index + 1) % REMEMBERED;
            let differs = data[compared.clone()] != expected[compared];
            if self.config & MODE_COMPARE != 0 && differs {
                self.error = Some((seen.address, index));
                (self.writes.busy, self.reads.busy) = (false, false);
            }
        }
    }

    fn read_beat(&self, register: u64) -> u32 {
        let (beat, word) = (
            (self.shown >> 8 & 0x1F) as usize,
            (self.shown & 0xFF) as usize,
        );
        let Some(seen) = self.beats.get(beat) else {
            return 0;
        };
        let word = |of: &[u8; BEAT]| {
            let bytes = of.chunks_exact(4).nth(word);
            let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u32::from_le_bytes)
        };
        match register {
            BEAT_ADDRESS => seen.address as u32,
            BEAT_DATA => word(&seen.data),
            BEAT_EXPECTED => word(&seen.expected),
            _ => (seen.address >> 32) as u32,
        }
    }
}
