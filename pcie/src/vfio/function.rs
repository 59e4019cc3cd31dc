//! A function on the driver `vfio-pci`, as the rest of this crate sees it.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use afi_proto::config_space::{self, Command};
use afi_proto::{BarIndex, Bdf};

use super::device::Device;
use super::error::VfioError;
use super::places::Places;
use crate::bus::{Caching, DmaMapping, DmaRequest, Function};
use crate::mapping::Mapping;
use crate::{Bar, BusError};

/// A function that VFIO opens when something is asked of it that takes that.
///
/// To open a group takes it from everybody else and resets the function. So configuration space and
/// the sizes of BARs are read as of any function, through sysfs: a function in use can be looked at.
/// That is also the only way to the ids as they are: VFIO answers with those of when it was opened.
pub(crate) struct VfioFunction {
    /// The same function through sysfs.
    host: Box<dyn Function>,
    places: Places,
    device: Mutex<Option<Arc<Device>>>,
}

impl VfioFunction {
    /// The function that is `host`.
    pub(crate) fn new(places: Places, host: Box<dyn Function>) -> Self {
        Self {
            host,
            places,
            device: Mutex::new(None),
        }
    }

    /// The function, opened by VFIO at the first call.
    fn device(&self) -> Result<Arc<Device>, BusError> {
        let mut device = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = &*device {
            return Ok(Arc::clone(device));
        }
        // Opening switches bus mastering off, which whoever has just switched it on does not expect.
        let mut before = [0; 2];
        self.host.read_config(config_space::COMMAND, &mut before)?;
        let opened = self.on(Device::open(&self.places, self.bdf()))?;
        let command = Command::from_bits_retain(u16::from_le_bytes(before));
        if command.contains(Command::BUS_MASTER) {
            self.on(opened.enable(Command::BUS_MASTER))?;
        }
        Ok(Arc::clone(device.insert(Arc::new(opened))))
    }

    /// The function, if VFIO has opened it.
    fn opened(&self) -> Option<Arc<Device>> {
        let device = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        device.clone()
    }

    fn on<T>(&self, outcome: Result<T, VfioError>) -> Result<T, BusError> {
        outcome.map_err(|error| error.of(self.bdf()))
    }

    fn open_bar(
        &self,
        index: BarIndex,
        caching: Caching,
        range: Option<Range<u64>>,
    ) -> Result<Bar, BusError> {
        let device = self.device()?;
        self.switch_on_memory(&device)?;
        let combining = || {
            (caching == Caching::WriteCombining)
                .then(|| self.combining(index, range.clone()))
                .flatten()
        };
        device
            .bar(index, range.clone(), combining)?
            .ok_or_else(|| BusError::NoBar {
                bdf: self.bdf(),
                bar: index,
            })
    }

    /// A write-combining mapping. VFIO has none, and sysfs has, for those who may use its files and
    /// as long as VFIO has not claimed the BAR.
    fn combining(&self, index: BarIndex, range: Option<Range<u64>>) -> Option<Mapping> {
        let caching = Caching::WriteCombining;
        let bar = match range {
            Some(range) => self.host.bar_range(index, caching, range),
            None => self.host.bar(index, caching),
        };
        match bar {
            Ok(bar) => bar.parts().0.cloned(),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(bdf = %self.bdf(), %index, error, "not write-combining");
                None
            }
        }
    }

    /// Sees to it that VFIO lets accesses through: one to a mapped BAR of a function whose memory
    /// decode is off, by VFIO's account, would end the process.
    fn switch_on_memory(&self, device: &Device) -> Result<(), BusError> {
        let command = self.on(device.enable(Command::MEMORY_SPACE))?;
        if !command.contains(Command::MEMORY_SPACE) {
            return Err(BusError::DecodeOff {
                bdf: self.bdf(),
                command: command.bits(),
            });
        }
        Ok(())
    }
}

impl Function for VfioFunction {
    fn bdf(&self) -> Bdf {
        self.host.bdf()
    }

    fn read_config(&self, offset: u16, data: &mut [u8]) -> Result<(), BusError> {
        match (self.host.read_config(offset, data), self.opened()) {
            // Who may use the group may see all of it, root or not.
            (Err(BusError::HeaderOnly { .. }), Some(device)) => {
                self.on(device.read_config(offset, data))
            }
            (outcome, _) => outcome,
        }
    }

    fn write_config(&self, offset: u16, data: &[u8]) -> Result<(), BusError> {
        if usize::from(offset) + data.len() > config_space::SIZE {
            return Err(BusError::NoConfig {
                bdf: self.bdf(),
                offset,
                length: data.len(),
            });
        }
        let device = self.device()?;
        self.on(device.write_config(offset, data))
    }

    fn bar_size(&self, index: BarIndex) -> Result<Option<u64>, BusError> {
        self.host.bar_size(index)
    }

    fn bar(&self, index: BarIndex, caching: Caching) -> Result<Bar, BusError> {
        self.open_bar(index, caching, None)
    }

    fn bar_range(
        &self,
        index: BarIndex,
        caching: Caching,
        range: Range<u64>,
    ) -> Result<Bar, BusError> {
        self.open_bar(index, caching, Some(range))
    }

    fn map_dma(&self, request: DmaRequest) -> Result<DmaMapping, BusError> {
        let device = self.device()?;
        self.on(device.opened().container().map(&request))?;
        let (bdf, iova) = (self.bdf(), request.iova);
        let length = request.range.end - request.range.start;
        // Holds on to the device: with the last of its group all its mappings would go.
        Ok(DmaMapping::new(&request, move || {
            if let Err(error) = device.opened().container().unmap(iova, length) {
                let error = &error as &dyn std::error::Error;
                tracing::error!(%bdf, iova, length, error, "the device keeps its access to memory");
            }
        }))
    }

    fn dma_addresses(&self) -> Option<Vec<Range<u64>>> {
        let device = self.device().ok()?;
        let ranges = device.opened().container().ranges();
        let half_open = ranges
            .iter()
            .map(|range| *range.start()..range.end().saturating_add(1));
        (!ranges.is_empty()).then(|| half_open.collect())
    }

    fn msix(&self, vector: u16) -> Result<OwnedFd, BusError> {
        let device = self.device()?;
        let mut vectors = device
            .vectors()
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.on(vectors.receiver(device.file(), vector))
    }

    fn reset(&self) -> Result<(), BusError> {
        let device = self.device()?;
        if self.on(device.reset())? {
            return Ok(());
        }
        Err(BusError::NoReset {
            bdf: self.bdf(),
            path: self.places.device(self.bdf()).join("reset"),
        })
    }
}
