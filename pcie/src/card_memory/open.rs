//! Which way to card memory is taken?

use std::path::PathBuf;
use std::sync::Arc;

use afi_proto::config_space::Command;
use afi_proto::xdma::CHANNELS;
use afi_proto::{Bdf, DesignMemory, MemoryMap, PciIds};

use super::bounce::Xdma;
use super::way::Way;
use super::{CardMemory, CardMemoryError, Options, PassedOver, Path, WhyNot};
use crate::cdev::{KernelDriver, Places};
use crate::dma::DmaSpace;
use crate::pcis::Pcis;
use crate::slots::Slot;
use crate::xdma::Engine;
use crate::{Bus, BusError, Function};

/// The most channels of a direction.
const MOST_CHANNELS: usize = CHANNELS as usize;
/// The kernel's driver for the engine.
const KERNEL_DRIVER: &str = "xdma";

impl Slot {
    /// The memory of the card in this slot, by the best way there is. The slot's lock is to be held
    /// while it is used.
    ///
    /// # Errors
    /// When the slot is cleared, its design has no memory, or there is no way to it.
    pub fn memory(&self, bus: &dyn Bus, options: Options) -> Result<CardMemory, CardMemoryError> {
        let bdf = self.app_bdf;
        let function = bus.open(bdf);
        let function = function.map_err(|source| CardMemoryError::Function { bdf, source })?;
        CardMemory::open(bus, self, function, options)
    }
}

impl CardMemory {
    /// As [`Slot::memory`], with the slot's application function already open.
    ///
    /// # Errors
    /// As [`Slot::memory`].
    pub fn open(
        bus: &dyn Bus,
        slot: &Slot,
        function: Arc<dyn Function>,
        options: Options,
    ) -> Result<Self, CardMemoryError> {
        let bdf = function.bdf();
        let failed = |source| CardMemoryError::Function { bdf, source };
        let ids = function.live_ids().map_err(failed)?;
        if ids.is_absent() {
            let seen = "its ids read as all ones";
            return Err(CardMemoryError::Gone { bdf, seen });
        }
        let (design, map) = memory_of(slot, bdf, ids, options.map)?;
        function.enable(Command::MEMORY_SPACE).map_err(failed)?;
        let info = bus.function(bdf).map_err(failed)?;
        let driver = info.and_then(|info| info.driver);
        let chooser = Chooser {
            function: &function,
            driver: driver.as_deref(),
            locks: bus.lock_directory(),
            channels: options.channels.map_or(MOST_CHANNELS, usize::from),
        };
        let (way, passed_over) = chooser.choose(options.path)?;
        let (best, most) = way.channels();
        let channels = options.channels.map_or(best, usize::from);
        let channels = channels.clamp(1, most.max(1));
        tracing::info!(%bdf, path = %way.path(), channels, "opened card memory");
        Ok(Self {
            function,
            ids,
            design,
            map,
            way,
            channels,
            passed_over,
            progress: options.progress,
        })
    }
}

/// The memory of a design, and its name if it is a public example.
fn memory_of(
    slot: &Slot,
    bdf: Bdf,
    ids: PciIds,
    told: Option<MemoryMap>,
) -> Result<(Option<&'static str>, MemoryMap), CardMemoryError> {
    match (DesignMemory::of(slot.family, ids), told) {
        (DesignMemory::Cleared, _) => Err(CardMemoryError::Cleared { bdf }),
        (_, Some(map)) => Ok((None, map)),
        (DesignMemory::Without { design }, None) => {
            Err(CardMemoryError::WithoutMemory { bdf, design, ids })
        }
        (DesignMemory::Known { design, map }, None) => Ok((Some(design), map)),
        (DesignMemory::Unknown { map }, None) => Ok((None, map)),
    }
}

/// Tries the ways.
struct Chooser<'a> {
    function: &'a Arc<dyn Function>,
    /// The driver that has the function.
    driver: Option<&'a str>,
    /// Where locks on engines are kept.
    locks: PathBuf,
    /// The most channels to open.
    channels: usize,
}

impl Chooser<'_> {
    /// The way that is asked for, or the best that works, and why better ones do not.
    fn choose(&self, asked: Option<Path>) -> Result<(Way, Vec<PassedOver>), CardMemoryError> {
        let bdf = self.function.bdf();
        if let Some(path) = asked {
            let way = self.open(path);
            let way = way.map_err(|why| CardMemoryError::Unavailable {
                bdf,
                path,
                source: Box::new(why),
            });
            return Ok((way?, Vec::new()));
        }
        let mut passed_over = Vec::new();
        for path in Path::ALL {
            match self.open(path) {
                Ok(way) => return Ok((way, passed_over)),
                Err(why) => passed_over.push(PassedOver { path, why }),
            }
        }
        Err(CardMemoryError::NoPath { bdf, passed_over })
    }

    fn open(&self, path: Path) -> Result<Way, WhyNot> {
        match path {
            Path::Xdma => self.xdma(),
            Path::Cdev => self.cdev(),
            Path::Pcis => self.pcis(),
        }
    }

    fn xdma(&self) -> Result<Way, WhyNot> {
        // Two that drive one engine would each stop what the other has under way.
        if let Some(driver) = self.driver.filter(|driver| *driver == KERNEL_DRIVER) {
            let driver = driver.to_owned();
            return Err(WhyNot::DriverHas { driver });
        }
        let engine = |source| WhyNot::Engine { source };
        let space = DmaSpace::new(Arc::clone(self.function));
        let opened = Engine::of(space, &self.locks).map_err(engine)?;
        // The bus of a kernel without an IOMMU driver maps BARs and nothing else.
        let tried = opened.space().buffer(1);
        drop(tried.map_err(|source| WhyNot::NoDma { source })?);
        Xdma::open(opened, self.channels)
            .map(Way::Xdma)
            .map_err(engine)
    }

    /// Only for a function that the driver has on this bus: a simulated one can have the address of
    /// a real one, whose nodes are there.
    fn cdev(&self) -> Result<Way, WhyNot> {
        if self.driver != Some(KERNEL_DRIVER) {
            return Err(WhyNot::NoDriver);
        }
        let driver = KernelDriver::open_in(&Places::default(), self.function.bdf());
        let driver = driver.map_err(|source| WhyNot::Cdev { source })?;
        Ok(Way::Cdev(driver))
    }

    fn pcis(&self) -> Result<Way, WhyNot> {
        let open = || -> Result<Pcis, BusError> {
            let pcis = Pcis::new(Arc::clone(self.function))?;
            // So that what the bus does not allow is found now.
            pcis.map_first()?;
            Ok(pcis)
        };
        open()
            .map(Way::Pcis)
            .map_err(|source| WhyNot::Pcis { source })
    }
}
