//! A slot with a design that has memory, and its DMA engine.

use std::sync::Arc;
use std::time::Duration;

use afi_pcie::bus::Caching;
use afi_pcie::mailbox::Mailbox;
use afi_pcie::xdma::{Channel, ChannelOptions, Engine, Stripe};
use afi_pcie::{Bar, Bus, Deadline, DmaBuffer, SharedMemory, slots};
use afi_proto::config_space::Command;
use afi_proto::mailbox::{CommandFlags, LoadRequest};
use afi_proto::xdma::Direction;
use afi_proto::{BarIndex, Family};
use afi_sim::bus::SimBus;
use afi_sim::catalog::{InstanceImages, SharedCatalog};
use afi_sim::cloud::InstanceIdentity;
use afi_sim::device::{DmaMode, Timing};
use afi_sim::instance::{Instance, InstanceConfig};
use anyhow::{Context, Result, anyhow};
use tempfile::TempDir;

/// F1's design with four DDR interfaces.
const IMAGE: &str = "agfi-0f1f1000000000002";
/// Where the measured transfers begin on the card.
pub const CARD_ADDRESS: u64 = 0;
const WITHIN: Duration = Duration::from_secs(10);

/// An F1 slot in this process that runs `cl_dram_dma`.
pub struct DmaBench {
    /// Its engine.
    pub engine: Engine,
    /// The card's memory through PCIS.
    pub pcis: Bar,
    /// The same memory, to copy to and from without a device.
    pub card: Arc<SharedMemory>,
    _bus: SimBus,
    _instance: Instance,
    _directory: TempDir,
}

impl DmaBench {
    /// Starts it.
    ///
    /// # Errors
    /// When the design cannot be loaded.
    pub fn start(dma: DmaMode) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let identity = InstanceIdentity::simulated(Family::F1, 1);
        let catalog = SharedCatalog::default();
        let images = InstanceImages::new(catalog, identity.region, identity.account);
        let instance = Instance::new(InstanceConfig {
            timing: Timing::INSTANT,
            dma,
            ..InstanceConfig::new(Family::F1, 1, Arc::new(images))
        });
        let bus = instance.bus(directory.path())?;
        let slots = slots::discover(&bus)?;
        let slot = slots.first().context("the instance has no slot")?;
        let request = LoadRequest {
            image: IMAGE.parse()?,
            flags: CommandFlags::empty(),
            clocks_hz: [0; 3],
        };
        Mailbox::open(&bus, slot)?.load(&request, &Deadline::after(WITHIN))?;
        let app = slot.app_bdf;
        bus.remove(app)?;
        bus.rescan(app)?;
        let function = bus.open(app)?;
        function.enable(Command::MEMORY_SPACE | Command::BUS_MASTER)?;
        let card = instance
            .functions()
            .find_map(|function| function.bar_memory(BarIndex::BAR4))
            .context("the design has no memory")?
            .memory;
        Ok(Self {
            card,
            engine: Engine::open(&bus, app)?,
            pcis: function.bar(BarIndex::BAR4, Caching::WriteCombining)?,
            _bus: bus,
            _instance: instance,
            _directory: directory,
        })
    }

    /// A channel, with small transfers told by write-back.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn channel(&self, direction: Direction) -> Result<Channel> {
        Ok(self.engine.channel(direction, 0)?)
    }

    /// So many channels of one direction together.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn stripe(&self, direction: Direction, channels: u8) -> Result<Stripe> {
        let open = |number| {
            let options = ChannelOptions::default();
            self.engine.channel_with(direction, number, options)
        };
        let channels = (0..channels).map(open).collect::<Result<Vec<_>, _>>()?;
        Stripe::new(channels).map_err(|_| anyhow!("no stripe of these channels"))
    }

    /// A buffer whose pages are there.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn buffer(&self, length: u64) -> Result<DmaBuffer> {
        let mut buffer = self.engine.space().buffer(length)?;
        buffer.fill(0..length, 0x5A)?;
        Ok(buffer)
    }

    /// Writes to the card's memory, so that its pages are there, too.
    ///
    /// # Errors
    /// When the card has no such memory.
    pub fn touch(&self, length: u64) -> Result<()> {
        let pattern = vec![0xA5; 1 << 20];
        for at in (0..length).step_by(pattern.len()) {
            afi_pcie::pcis::write(&self.pcis, CARD_ADDRESS + at, &pattern)?;
        }
        Ok(())
    }
}
