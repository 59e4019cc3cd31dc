//! What the shell's power meter reads.

use std::time::Duration;

use afi_proto::mailbox::Power;

/// What the FPGA draws with only its shell at work, in watts. No public document gives a figure;
/// `hdk/docs/afi_power.md` shows 17 with a small design.
pub(super) const IDLE_WATTS: u64 = 8;

/// Adds up power over time.
#[derive(Debug)]
pub(super) struct PowerMeter {
    watts: u64,
    max: u64,
    started: Duration,
    changed: Duration,
    /// Up to `changed`, in watt nanoseconds.
    energy: u128,
}

impl PowerMeter {
    /// A meter that starts now: mean and maximum are over the run of an image.
    pub(super) const fn start(watts: u64, now: Duration) -> Self {
        Self {
            watts,
            max: watts,
            started: now,
            changed: now,
            energy: 0,
        }
    }

    /// Power is another from now on.
    pub(super) fn change(&mut self, watts: u64, now: Duration) {
        self.energy += self.since_change(now);
        self.changed = now;
        self.watts = watts;
        self.max = self.max.max(watts);
    }

    /// What the meter shows.
    pub(super) fn reading(&self, now: Duration) -> Power {
        let energy = self.energy + self.since_change(now);
        let mean = energy
            .checked_div(now.saturating_sub(self.started).as_nanos())
            .and_then(|mean| u64::try_from(mean).ok());
        Power {
            mean: mean.unwrap_or(self.watts),
            max: self.max,
            last: self.watts,
        }
    }

    fn since_change(&self, now: Duration) -> u128 {
        u128::from(self.watts) * now.saturating_sub(self.changed).as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_over_time() {
        let at = Duration::from_secs;
        let mut meter = PowerMeter::start(100, at(10));
        let first = Power {
            mean: 100,
            max: 100,
            last: 100,
        };
        assert_eq!(meter.reading(at(10)), first);
        meter.change(20, at(11));
        let later = Power {
            mean: 40,
            max: 100,
            last: 20,
        };
        assert_eq!(meter.reading(at(14)), later);
    }
}
