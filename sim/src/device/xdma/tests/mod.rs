//! The engine as a driver meets it: registers, memory of the host, and nothing else.

mod chains;
mod errors;
mod faults;
mod registers;
mod threads;

use std::sync::Arc;
use std::time::{Duration, Instant};

use afi_pcie::SharedMemory;
use afi_pcie::bus::{Bus, DmaAccess, DmaMapping, DmaRequest, Function};
use afi_proto::xdma::{
    BAR, Control, Descriptor, DescriptorFlags, Direction, Status, Target, WriteBack, channel, irq,
    sgdma,
};
use afi_proto::{BarIndex, Family};
use zerocopy::IntoBytes;

use super::DmaMode;
use crate::bus::SimBus;
use crate::device::testing::{Rig, read32, write32};

/// Where the host's memory is on the bus.
const BASE: u64 = 0x7_0000_0000;
/// Bytes of it.
const SIZE: u64 = 8 << 20;
/// Offset in it of the descriptors of tests that place none elsewhere.
const RING: u64 = SIZE - (64 << 10);
/// Offset in it of write-backs, 32 bytes for each channel.
const WRITE_BACKS: u64 = SIZE - (4 << 10);
/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

const STOP: DescriptorFlags = DescriptorFlags::STOP.union(DescriptorFlags::COMPLETED);

/// A card with a design, and a host with memory that is mapped for it.
struct Engine {
    rig: Rig,
    function: Arc<dyn Function>,
    memory: Arc<SharedMemory>,
    mapping: Option<DmaMapping>,
    _bus: SimBus,
    _locks: tempfile::TempDir,
}

impl Engine {
    fn new(mode: DmaMode) -> Self {
        Self::with_model(mode, "cl_dram_dma")
    }

    fn with_model(mode: DmaMode, model: &str) -> Self {
        let rig = Rig::running_with(Family::F1, model, mode);
        let locks = tempfile::tempdir().unwrap();
        let functions = [Arc::clone(&rig.app), Arc::clone(&rig.mgmt)];
        let bus = SimBus::new(functions, locks.path()).unwrap();
        let function = bus.open(rig.app.bdf()).unwrap();
        let memory = Arc::new(SharedMemory::new("host", SIZE).unwrap());
        let mut engine = Self {
            rig,
            function,
            memory,
            mapping: None,
            _bus: bus,
            _locks: locks,
        };
        engine.mapping = Some(engine.map(BASE, 0..SIZE, DmaAccess::ReadWrite));
        engine
    }

    fn map(&self, iova: u64, range: std::ops::Range<u64>, access: DmaAccess) -> DmaMapping {
        let request = DmaRequest {
            memory: Arc::clone(&self.memory),
            range,
            iova,
            access,
        };
        self.function.map_dma(request).unwrap()
    }

    fn read(&self, target: Target, register: u64) -> u32 {
        read32(&*self.rig.app, BAR, target.offset() + register)
    }

    fn write(&self, target: Target, register: u64, value: u32) {
        write32(&*self.rig.app, BAR, target.offset() + register, value);
    }

    fn status(&self, of: (Direction, u8)) -> Status {
        Status::from_bits_retain(self.read(Target::Channel(of.0, of.1), channel::STATUS))
    }

    fn completed(&self, of: (Direction, u8)) -> u32 {
        self.read(Target::Channel(of.0, of.1), channel::COMPLETED)
    }

    /// Puts descriptors one after the other into host memory, without next pointers.
    fn put(&self, at: u64, descriptors: &[Descriptor]) {
        let bytes = descriptors.as_bytes();
        self.memory.mapping().copy_in(at, bytes).unwrap();
    }

    /// Starts a channel at descriptors in host memory, with everything noted that can be noted.
    fn start(&self, of: (Direction, u8), first: u64, adjacent: u32, more: Control) {
        let (block, fetcher) = (Target::Channel(of.0, of.1), Target::Sgdma(of.0, of.1));
        let first = BASE + first;
        self.write(fetcher, sgdma::FIRST_LOW, first as u32);
        self.write(fetcher, sgdma::FIRST_HIGH, (first >> 32) as u32);
        self.write(fetcher, sgdma::FIRST_ADJACENT, adjacent);
        let write_back = BASE + self.write_back_offset(of);
        self.write(block, channel::WRITE_BACK_LOW, write_back as u32);
        self.write(block, channel::WRITE_BACK_HIGH, (write_back >> 32) as u32);
        let control = Control::RUN
            | Control::ON_STOPPED
            | Control::ON_COMPLETED
            | Control::ON_IDLE
            | Control::ON_ERRORS
            | more;
        self.write(block, channel::CONTROL, control.bits());
    }

    /// Clears the run bit.
    fn stop(&self, of: (Direction, u8)) {
        let run = Control::RUN.bits();
        self.write(Target::Channel(of.0, of.1), channel::CONTROL_W1C, run);
    }

    /// Carries out one descriptor on a channel, and returns the status.
    fn one(&self, of: (Direction, u8), descriptor: Descriptor) -> Status {
        let ring = RING + 0x1000 * u64::from(irq::channel_number(of.0, of.1));
        self.put(ring, &[descriptor]);
        self.start(of, ring, 0, Control::empty());
        let status = self.wait_idle(of);
        self.stop(of);
        status
    }

    fn wait_idle(&self, of: (Direction, u8)) -> Status {
        let started = Instant::now();
        loop {
            let status = self.status(of);
            if !status.contains(Status::BUSY) {
                return status;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{of:?} stays busy: {status:?}"
            );
            std::thread::yield_now();
        }
    }

    fn write_back_offset(&self, of: (Direction, u8)) -> u64 {
        WRITE_BACKS + 32 * u64::from(irq::channel_number(of.0, of.1))
    }

    fn write_back(&self, of: (Direction, u8)) -> WriteBack {
        let word = self.memory.mapping().load(self.write_back_offset(of));
        WriteBack::from_bits(word.unwrap())
    }

    fn fill(&self, at: u64, data: &[u8]) {
        self.memory.mapping().copy_in(at, data).unwrap();
    }

    fn host(&self, at: u64, length: usize) -> Vec<u8> {
        let mut data = vec![0; length];
        self.memory.mapping().copy_out(at, &mut data).unwrap();
        data
    }

    fn card(&self, at: u64, length: usize) -> Vec<u8> {
        let mut data = vec![0; length];
        self.rig.app.read_bar(BarIndex::BAR4, at, &mut data);
        data
    }
}

/// Bytes that differ from place to place.
fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let byte = |at: u64| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8;
    (0..length as u64).map(|at| byte(at ^ seed << 32)).collect()
}

const H2C: (Direction, u8) = (Direction::H2c, 0);
const C2H: (Direction, u8) = (Direction::C2h, 0);
