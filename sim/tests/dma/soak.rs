//! Random transfers with random faults, against a copy of the card's memory kept by the host.

use afi_pcie::xdma::{Channel, Completion, DmaError, Transfer};
use afi_pcie::{Deadline, DmaBuffer};
use afi_proto::xdma::{CHANNELS, Direction};
use afi_sim::fault::Kind;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use std::time::Duration;

use crate::{Rig, Way, contents, options, pattern, soon};

/// Bytes of the card that a pair of channels has for itself.
const SHARE: usize = 256 << 10;
/// Transfers of a run, over all channels.
const TRANSFERS: usize = 3000;
/// Transfers under way on a channel.
const DEPTH: usize = 6;

/// A pair of channels, and what its part of the card holds.
struct Lane {
    base: u64,
    to_card: Channel,
    from_card: Channel,
    model: Vec<u8>,
    writes: VecDeque<Write>,
}

/// A write that is under way.
struct Write {
    transfer: Transfer<DmaBuffer>,
    at: usize,
    data: Vec<u8>,
}

impl Lane {
    fn new(rig: &Rig, number: u8, random: &mut ChaCha8Rng) -> Self {
        let options = options()[random.random_range(0..3)];
        let mut lane = Self {
            base: u64::from(number) * (16 << 30) + (1 << 20),
            to_card: rig.channel(Direction::H2c, number, options),
            from_card: rig.channel(Direction::C2h, number, options),
            model: pattern(SHARE, number.into()),
            writes: VecDeque::new(),
        };
        lane.put(rig, 0, SHARE);
        lane
    }

    /// Writes what the model says, with nothing going wrong.
    fn put(&mut self, rig: &Rig, at: usize, length: usize) {
        let mut buffer = rig.buffer(&self.model[at..at + length]);
        let card = self.base + at as u64;
        self.to_card
            .write(&mut buffer, 0..length as u64, card, &soon())
            .unwrap();
    }

    fn start_write(&mut self, rig: &Rig, at: usize, data: Vec<u8>) {
        let card = self.base + at as u64;
        let length = data.len() as u64;
        match self.to_card.submit(rig.buffer(&data), 0..length, card) {
            Ok(transfer) => self.writes.push_back(Write { transfer, at, data }),
            // A reset by another lane's trouble, seen by the start of this transfer.
            Err(failed) => panic!("{failed}"),
        }
    }

    /// Waits for all writes, and takes those that took place into the model. One that did not may
    /// have moved some of its bytes.
    fn settle(&mut self, rig: &Rig, deadline: &Deadline) -> Vec<DmaError> {
        let mut errors = Vec::new();
        let mut unsure = Vec::new();
        while let Some(Write { transfer, at, data }) = self.writes.pop_front() {
            let outcome = transfer.wait(deadline);
            let buffer = match outcome {
                Ok(buffer) => {
                    self.model[at..at + data.len()].copy_from_slice(&data);
                    buffer
                }
                Err(failed) => {
                    errors.push(failed.error);
                    unsure.push((at, data.len()));
                    failed.payload.expect("the engine can be stopped")
                }
            };
            assert!(contents(&buffer) == data, "a write changed its buffer");
        }
        if !unsure.is_empty() {
            rig.no_faults();
            for (at, length) in unsure {
                self.put(rig, at, length);
            }
        }
        errors
    }

    fn check(&self, rig: &Rig, at: usize, length: usize) -> Result<(), DmaError> {
        let mut buffer = rig.buffer(&vec![0xEE; length + 2]);
        let card = self.base + at as u64;
        let range = 1..length as u64 + 1;
        self.from_card.read(&mut buffer, range, card, &patience())?;
        let data = contents(&buffer);
        assert!(
            data[1..=length] == self.model[at..at + length],
            "{at:#x}+{length:#x}"
        );
        assert!(
            data[0] == 0xEE && data[length + 1] == 0xEE,
            "beside the range"
        );
        Ok(())
    }
}

/// For what may hang.
fn patience() -> Deadline {
    Deadline::after(Duration::from_millis(300))
}

fn soak(way: Way, seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let rig = Rig::new(way);
    let mut lanes: Vec<_> = (0..CHANNELS)
        .map(|number| Lane::new(&rig, number, &mut random))
        .collect();
    let (mut moved, mut failed) = (0, 0);
    while moved < TRANSFERS {
        let lane = random.random_range(0..lanes.len());
        let lane = &mut lanes[lane];
        let trouble = random.random_ratio(1, 25);
        if trouble {
            let kinds = [
                Kind::DmaDescriptorError,
                Kind::DmaDataError,
                Kind::DmaWriteBackLost,
                Kind::DmaInterruptLost,
            ];
            rig.fault(kinds[random.random_range(0..kinds.len())], Some(1));
        }
        for _ in 0..random.random_range(1..=DEPTH) {
            let at = random.random_range(0..SHARE - 1);
            let most = (SHARE - at).min(1 << random.random_range(1..17));
            let length = random.random_range(1..=most);
            lane.start_write(&rig, at, pattern(length, random.random()));
            moved += 1;
        }
        failed += lane.settle(&rig, &patience()).len();
        let at = random.random_range(0..SHARE - 1);
        let length = random.random_range(1..=(SHARE - at).min(8192));
        failed += usize::from(lane.check(&rig, at, length).is_err());
        moved += 1;
        if trouble {
            rig.no_faults();
        }
    }
    // All of the card is what the model says.
    for lane in &lanes {
        lane.check(&rig, 0, SHARE).unwrap();
    }
    assert!(failed > 0, "faults struck");
}

#[test]
fn random_transfers_with_faults_leave_the_memory_as_it_should_be() {
    // Completion options are chosen by the seed, too.
    assert!(
        options()
            .iter()
            .any(|of| of.completion == Completion::Interrupt)
    );
    for (way, seed) in [(Way::Inline, 1), (Way::Threads, 2), (Way::Inline, 3)] {
        soak(way, seed);
    }
}

#[test]
fn and_over_sockets() {
    soak(Way::Sockets, 4);
}
