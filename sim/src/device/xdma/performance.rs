//! A channel's performance counters.

use std::time::Duration;

use afi_proto::xdma::{PerformanceControl, channel};

/// The engine's clock on F1, in cycles a second (`AWS_Shell_Interface_Specification.md`: the shell
/// runs at 250 MHz).
const CLOCK_HZ: u128 = 250_000_000;
/// Bytes of a beat of data.
const BEAT: u64 = 64;
/// Bits of a counter.
const BITS: u32 = 42;
/// In the register of a counter's high bits: it went over its end.
const OVERFLOW: u32 = 1 << 16;

/// The counters. Time is the instance's.
#[derive(Debug)]
pub(super) struct Performance {
    control: PerformanceControl,
    /// Since when cycles are counted.
    since: Option<Duration>,
    elapsed: Duration,
    beats: u64,
    has_chain: bool,
}

impl Default for Performance {
    fn default() -> Self {
        Self {
            control: PerformanceControl::empty(),
            since: None,
            elapsed: Duration::ZERO,
            beats: 0,
            has_chain: false,
        }
    }
}

impl Performance {
    /// The channel was started.
    pub(super) fn chain_began(&mut self, now: Duration) {
        self.has_chain = true;
        if self.control.contains(PerformanceControl::AUTO) {
            self.clear(now);
        }
        self.since = self.counts().then_some(now);
    }

    /// The channel stopped; `completed` tells that a descriptor's stop bit did it.
    pub(super) fn chain_ended(&mut self, now: impl Fn() -> Duration, completed: bool) {
        if let Some(since) = self.since.take() {
            self.elapsed += now().saturating_sub(since);
        }
        self.has_chain = false;
        if completed && self.control.contains(PerformanceControl::AUTO) {
            self.control -= PerformanceControl::RUN;
        }
    }

    /// A descriptor was carried out.
    pub(super) fn moved(&mut self, bytes: u32) {
        if self.counts() {
            self.beats += u64::from(bytes).div_ceil(BEAT);
        }
    }

    pub(super) fn control(&self) -> u32 {
        self.control.bits()
    }

    pub(super) fn set_control(&mut self, value: u32, now: Duration) {
        let control = PerformanceControl::from_bits_truncate(value);
        if control.contains(PerformanceControl::CLEAR) {
            self.clear(now);
        }
        if let Some(since) = self.since.take() {
            self.elapsed += now.saturating_sub(since);
        }
        self.control = control - PerformanceControl::CLEAR;
        self.since = self.counts().then_some(now);
    }

    /// A counter's register.
    pub(super) fn read(&self, register: u64, now: Duration) -> u32 {
        let running = self
            .since
            .map_or(Duration::ZERO, |since| now.saturating_sub(since));
        let cycles = (self.elapsed + running).as_nanos() * CLOCK_HZ / 1_000_000_000;
        let cycles = u64::try_from(cycles).unwrap_or(u64::MAX);
        match register {
            channel::PERFORMANCE_CYCLES_LOW => cycles as u32,
            channel::PERFORMANCE_CYCLES_HIGH => high(cycles),
            channel::PERFORMANCE_DATA_LOW => self.beats as u32,
            channel::PERFORMANCE_DATA_HIGH => high(self.beats),
            // Data never waits in the model.
            _ => 0,
        }
    }

    const fn counts(&self) -> bool {
        self.has_chain && self.control.contains(PerformanceControl::RUN)
    }

    fn clear(&mut self, now: Duration) {
        self.elapsed = Duration::ZERO;
        self.beats = 0;
        self.since = self.since.map(|_| now);
    }
}

const fn high(count: u64) -> u32 {
    let bits = (count >> 32) as u32 & ((1 << (BITS - 32)) - 1);
    if count >> BITS == 0 {
        bits
    } else {
        bits | OVERFLOW
    }
}
