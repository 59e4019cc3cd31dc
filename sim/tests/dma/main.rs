//! The driver of the DMA engine against the engine's model: they share the layout of registers and
//! nothing else.

mod soak;
mod trips;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use afi_pcie::mailbox::Mailbox;
use afi_pcie::slots::{self, Slot};
use afi_pcie::socket::SocketBus;
use afi_pcie::xdma::{Channel, ChannelOptions, Completion, Engine};
use afi_pcie::{Bus, Deadline, DmaBuffer};
use afi_proto::mailbox::{CommandFlags, LoadRequest};
use afi_proto::xdma::Direction;
use afi_proto::{AgfiId, Family, PciIds};
use afi_sim::device::{DmaMode, Timing};
use afi_sim::fault::{Fault, FaultPlan, Kind};
use afi_sim::image::{ImageSource, SlotImage};
use afi_sim::instance::{Instance, InstanceConfig, Served};

/// One image of `cl_dram_dma`.
struct DramDma;

impl ImageSource for DramDma {
    fn loadable(&self, agfi: AgfiId) -> Option<SlotImage> {
        Some(SlotImage {
            agfi,
            ids: PciIds::new(0x1D0F, 0xF001, 0xFEDC, 0x1D51),
            shell: Family::F1.profile().current_shell().version,
            model: "cl_dram_dma".to_owned(),
            data_retention: true,
            power_watts: 20,
            clocks_hz: [[125_000_000; 7]; 3],
        })
    }
}

/// How the host reaches the card, and who moves the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Inline,
    Threads,
    Sockets,
}

const WAYS: [Way; 3] = [Way::Inline, Way::Threads, Way::Sockets];

/// A card with the design loaded.
struct Rig {
    engine: Engine,
    mailbox: Mailbox,
    bus: Arc<dyn Bus>,
    slot: Slot,
    faults: Arc<FaultPlan>,
    // Dropped in this order, after the driver.
    _served: Option<Served>,
    _instance: Instance,
    _directory: tempfile::TempDir,
}

impl Rig {
    fn new(way: Way) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let faults = Arc::new(FaultPlan::none());
        let instance = Instance::new(InstanceConfig {
            timing: Timing::INSTANT,
            faults: Arc::clone(&faults),
            dma: if way == Way::Inline {
                DmaMode::Inline
            } else {
                DmaMode::Threads
            },
            ..InstanceConfig::new(Family::F1, 1, Arc::new(DramDma))
        });
        let served = (way == Way::Sockets).then(|| instance.serve(directory.path()).unwrap());
        let bus: Arc<dyn Bus> = match served {
            Some(_) => Arc::new(SocketBus::open(directory.path()).unwrap()),
            None => Arc::new(instance.bus(directory.path()).unwrap()),
        };
        let slot = slots::discover(bus.as_ref()).unwrap().remove(0);
        let mailbox = Mailbox::open(bus.as_ref(), &slot).unwrap();
        let rig = LoadRequest {
            image: AgfiId::from_cached(1),
            flags: CommandFlags::empty(),
            clocks_hz: [0; 3],
        };
        mailbox.load(&rig, &soon()).unwrap();
        Self {
            engine: Engine::open(bus.as_ref(), slot.app_bdf).unwrap(),
            mailbox,
            bus,
            slot,
            faults,
            _served: served,
            _instance: instance,
            _directory: directory,
        }
    }

    fn channel(&self, direction: Direction, number: u8, options: ChannelOptions) -> Channel {
        self.engine
            .channel_with(direction, number, options)
            .unwrap()
    }

    fn buffer(&self, data: &[u8]) -> DmaBuffer {
        let mut buffer = self.engine.space().buffer(data.len() as u64).unwrap();
        buffer.copy_in(0, data).unwrap();
        buffer
    }

    /// From now on this goes wrong, each time.
    fn fault(&self, kind: Kind, value: Option<i64>) {
        self.faults.set(vec![Fault {
            kind,
            value,
            probability: 1.0,
            slot: None,
        }]);
    }

    fn no_faults(&self) {
        self.faults.set(Vec::new());
    }
}

/// Every way of submission and completion.
fn options() -> [ChannelOptions; 3] {
    let default = ChannelOptions::default();
    [
        default,
        ChannelOptions {
            completion: Completion::Interrupt,
            ..default
        },
        ChannelOptions {
            credits: false,
            ..default
        },
    ]
}

/// Long enough for anything that works.
fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
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
