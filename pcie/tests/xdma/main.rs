//! The XDMA driver against an engine of its own, written from the guide: what arrives, what it
//! costs, and what happens when something goes wrong.

mod failures;
mod opening;
mod reference;
#[cfg(feature = "tokio")]
mod tasks;
mod transfers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use afi_pcie::xdma::{Channel, ChannelOptions, Completion, Engine};
use afi_pcie::{Deadline, DmaBuffer, DmaSpace};
use afi_proto::xdma::Direction;
use reference::Device;

/// A device, its engine, and the directory of the engine's lock.
struct Rig {
    device: Arc<Device>,
    engine: Engine,
    locks: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        Self::of(Device::new())
    }

    fn of(device: Arc<Device>) -> Self {
        let locks = tempfile::tempdir().unwrap();
        let engine = open(&device, locks.path()).unwrap();
        Self {
            device,
            engine,
            locks,
        }
    }

    fn writer(&self) -> Channel {
        self.engine.channel(Direction::H2c, 0).unwrap()
    }

    fn reader(&self) -> Channel {
        self.engine.channel(Direction::C2h, 0).unwrap()
    }

    fn channel(&self, direction: Direction, options: ChannelOptions) -> Channel {
        self.engine.channel_with(direction, 0, options).unwrap()
    }

    fn buffer(&self, data: &[u8]) -> DmaBuffer {
        let mut buffer = self.engine.space().buffer(data.len() as u64).unwrap();
        buffer.copy_in(0, data).unwrap();
        buffer
    }
}

fn open(device: &Arc<Device>, locks: &Path) -> Result<Engine, afi_pcie::xdma::OpenError> {
    Engine::of(DmaSpace::new(device.function()), locks)
}

fn interrupts() -> ChannelOptions {
    ChannelOptions {
        completion: Completion::Interrupt,
        ..ChannelOptions::default()
    }
}

fn chains() -> ChannelOptions {
    ChannelOptions {
        credits: false,
        ..ChannelOptions::default()
    }
}

/// Long enough for anything that works.
fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// Not long enough for what does not happen.
fn at_once() -> Deadline {
    Deadline::after(Duration::from_millis(5))
}

/// Bytes that tell where they come from.
fn pattern(length: usize, seed: u32) -> Vec<u8> {
    let number = |at: usize| (at as u32).wrapping_mul(2_654_435_761).wrapping_add(seed);
    (0..length).map(|at| (number(at) >> 13) as u8).collect()
}

fn contents(buffer: &DmaBuffer) -> Vec<u8> {
    let mut data = vec![0; buffer.length() as usize];
    buffer.copy_out(0, &mut data).unwrap();
    data
}
