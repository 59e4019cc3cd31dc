//! What a generator is told to do: its instructions, and the bursts that they ask for.

use afi_proto::mailbox::ProtocolErrors;

use super::{MODE_CONSTANT, MODE_CONTINUOUS, MODE_ITERATIONS, MODE_LOOP_ADDRESS, MODE_USER};
use crate::custom_logic::ShellPorts;

/// Bytes of a beat.
pub(super) const BEAT: usize = 64;
/// Beats of the longest burst.
pub(super) const MOST_BEATS: usize = 256;
const WORDS: usize = BEAT / 4;
/// The answer of a slave that refuses (AXI, A3.4.4).
const SLAVE_ERROR: u32 = 0b10;

/// The writes, or the reads.
#[derive(Debug, Default)]
pub(super) struct Half {
    program: Vec<Instruction>,
    pub(super) index: u8,
    entry: Instruction,
    /// Instructions of a loop, less one.
    pub(super) last: u16,
    pub(super) iterations: u64,
    pub(super) busy: bool,
    at: u16,
    pub(super) bursts: u64,
    pub(super) loops: u64,
    pub(super) timer: u64,
    pub(super) refused: u32,
    pub(super) first_refusal: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Instruction {
    address: u64,
    data: u32,
    length: u32,
}

impl Half {
    /// Reads a register of the program, from its index register on.
    pub(super) fn read(&self, register: u64) -> u32 {
        let shown = self.program.get(usize::from(self.index));
        let shown = shown.copied().unwrap_or_default();
        match register {
            0x00 => self.index.into(),
            0x04 => shown.address as u32,
            0x08 => (shown.address >> 32) as u32,
            0x0C => shown.data,
            _ => shown.length,
        }
    }

    pub(super) fn write(&mut self, register: u64, value: u32) {
        match register {
            0x00 => self.index = value as u8,
            0x04 => put_half(&mut self.entry.address, 0, value),
            0x08 => put_half(&mut self.entry.address, 4, value),
            0x0C => self.entry.data = value,
            _ => {
                let at = usize::from(self.index);
                let length = self.program.len().max(at + 1);
                self.program.resize(length, Instruction::default());
                self.program[at] = Instruction {
                    length: value,
                    ..self.entry
                };
                self.index = self.index.wrapping_add(1);
            }
        }
    }

    pub(super) fn go(&mut self, go: bool) {
        if go && !self.busy {
            (self.at, self.bursts, self.loops, self.timer) = (0, 0, 0, 0);
        }
        self.busy = go;
    }

    /// The instruction that is next.
    fn instruction(&self) -> Instruction {
        let shown = self.program.get(usize::from(self.at & 0xFF));
        shown.copied().unwrap_or_default()
    }

    /// A burst is done.
    pub(super) fn advance(&mut self, config: u32, beats: usize, accepted: bool) {
        if !accepted {
            if self.first_refusal == 0 {
                self.first_refusal = SLAVE_ERROR;
            }
            self.refused = self.refused.saturating_add(1);
        }
        self.bursts += 1;
        self.timer += beats as u64;
        if self.at < self.last {
            self.at += 1;
            return;
        }
        self.at = 0;
        self.loops += 1;
        self.busy = match config & (MODE_ITERATIONS | MODE_CONTINUOUS) {
            0 => false,
            MODE_CONTINUOUS => true,
            _ => self.loops != self.iterations,
        };
    }
}

/// A burst that an instruction asks for.
#[derive(Debug)]
pub(super) struct Burst {
    /// As it is told to the shell.
    pub(super) address: u64,
    start_value: u32,
    pub(super) beats: usize,
    /// Bytes of the beats that are left out at the start, and where they end.
    pub(super) skip: usize,
    pub(super) end: usize,
    /// Words that the instruction tells, in user mode.
    told: u32,
}

impl Burst {
    pub(super) fn of(half: &Half, config: u32, shift: u32) -> Self {
        let instruction = half.instruction();
        let by_loop = match config & MODE_LOOP_ADDRESS {
            0 => 0,
            _ => half.loops << shift,
        };
        let address = instruction.address | by_loop;
        let beats = (instruction.length & 0xFF) as usize + 1;
        let skip = (address % BEAT as u64 / 4 * 4) as usize;
        let off = (instruction.length >> 8) as usize % WORDS * 4;
        Self {
            address,
            start_value: instruction.data,
            beats,
            skip,
            end: (beats * BEAT - off).max(skip),
            told: instruction.length >> 16,
        }
    }

    /// Where its first byte is.
    pub(super) const fn start(&self) -> u64 {
        self.address & !0b11
    }

    pub(super) fn fill(&self, data: &mut [u8], config: u32) {
        let step = u32::from(config & MODE_CONSTANT == 0);
        let words = data.chunks_exact_mut(4).take(self.beats * WORDS);
        for (number, word) in words.enumerate() {
            let value = self
                .start_value
                .wrapping_add(step.wrapping_mul(number as u32));
            word.copy_from_slice(&value.to_le_bytes());
        }
    }

    /// Tells the shell the size; `false` when it does not agree, which the shell counts.
    pub(super) fn check_size(&self, config: u32, shell: &mut ShellPorts<'_>) -> bool {
        let words = ((self.end - self.skip) / 4) as u32;
        let agrees = config & MODE_USER == 0 || self.told & 0x7FF == words;
        if !agrees {
            let how = ProtocolErrors::REQUEST_SIZE;
            shell.counters.pcim_protocol(self.start(), how);
        }
        agrees
    }
}

/// The half of a number that a register of two shows.
pub(super) const fn half(number: u64, register: u64) -> u32 {
    match register & 4 {
        0 => number as u32,
        _ => (number >> 32) as u32,
    }
}

pub(super) fn put_half(number: &mut u64, register: u64, value: u32) {
    let shift = if register & 4 == 0 { 0 } else { 32 };
    *number = *number & !(0xFFFF_FFFF << shift) | u64::from(value) << shift;
}
