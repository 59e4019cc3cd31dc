//! How many descriptors has a channel completed? It tells in two places: the write-back in host
//! memory, and a register. The register can be ahead; the write-back comes later, or never.

use afi_proto::xdma::WriteBack;

/// The counts that were seen since the channel was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counter {
    /// The last write-back, modulo 2^24.
    told: u32,
    /// How far the register was ahead of it.
    ahead: u32,
}

/// A count that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Impossible {
    /// Completed since the last look, as it tells.
    pub(super) counted: u64,
    /// Under way then.
    pub(super) given: u64,
}

impl Counter {
    /// Takes a write-back: how many more are completed, of those that are under way.
    #[inline]
    pub(super) fn write_back(&mut self, count: u32, under_way: u64) -> Result<u64, Impossible> {
        let step = self.step(count, under_way)?;
        let more = step.saturating_sub(self.ahead);
        self.ahead = self.ahead.saturating_sub(step);
        self.told = count & WriteBack::COUNT_MASK;
        Ok(more.into())
    }

    /// Takes the register's count, as [`Self::write_back`]. One that is behind the last write-back
    /// was read before it.
    pub(super) fn register(&mut self, count: u32, under_way: u64) -> Result<u64, Impossible> {
        let step = self.step(count, under_way)?;
        let more = step.saturating_sub(self.ahead);
        self.ahead = self.ahead.max(step);
        Ok(more.into())
    }

    /// How far a count is from the last write-back.
    #[inline]
    fn step(&self, count: u32, under_way: u64) -> Result<u32, Impossible> {
        let step = count.wrapping_sub(self.told) & WriteBack::COUNT_MASK;
        let possible = u64::from(self.ahead) + under_way;
        if u64::from(step) > possible {
            return Err(Impossible {
                counted: step.saturating_sub(self.ahead).into(),
                given: under_way,
            });
        }
        Ok(step)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn more_than_was_given_is_impossible() {
        let mut counter = Counter::default();
        let impossible = Impossible {
            counted: 3,
            given: 2,
        };
        assert_eq!(counter.write_back(3, 2), Err(impossible));
        assert_eq!(counter.write_back(2, 2), Ok(2));
        // Backwards is as impossible.
        assert!(counter.write_back(1, 5).is_err());
    }

    /// What a device does, and what a driver sees of it.
    #[derive(Debug, Clone, Copy)]
    enum Op {
        Give(u16),
        Complete(u16),
        /// The device writes what is completed now to memory.
        Write,
        LookAtMemory,
        LookAtRegister,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            any::<u16>().prop_map(Op::Give),
            any::<u16>().prop_map(Op::Complete),
            Just(Op::Write),
            Just(Op::LookAtMemory),
            Just(Op::LookAtRegister),
        ]
    }

    proptest! {
        /// However late the write-back is, across the end of its 24 bits: after a look at the
        /// register all is known that is completed, and nothing is counted twice.
        #[test]
        fn nothing_is_lost_or_counted_twice(
            ops in proptest::collection::vec(op(), 1..100),
            // Near the end of 24 bits.
            start in 0xFF_0000_u64..=0xFF_FFFF,
        ) {
            let (mut given, mut done, mut written, mut known) = (start, start, start, start);
            let mut counter = Counter { told: start as u32, ahead: 0 };
            for op in ops {
                match op {
                    // As a ring does: few under way.
                    Op::Give(more) => given += u64::from(more).min(40_000 - (given - known)),
                    Op::Complete(more) => done = given.min(done + u64::from(more)),
                    Op::Write => written = done,
                    Op::LookAtMemory => {
                        let more = counter.write_back(written as u32 & 0xFF_FFFF, given - known);
                        known += more.unwrap();
                        prop_assert!(known >= written);
                    }
                    Op::LookAtRegister => {
                        known += counter.register(done as u32, given - known).unwrap();
                        prop_assert_eq!(known, done);
                    }
                }
                prop_assert!(known <= done);
            }
        }
    }
}
