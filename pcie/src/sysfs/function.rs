//! A PCI function of the running kernel.

use std::fs::File;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use afi_proto::config_space::{self, Command};
use afi_proto::{BarIndex, Bdf};
use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::attribute::{self, Resource, WANTED_RESOURCES};
use super::tree::{Device, Missed, errno_of};
use crate::bus::{Caching, DmaMapping, DmaRequest, Function};
use crate::mapping::Mapping;
use crate::{Backoff, Bar, BarError, BusError, Deadline};

/// The file of configuration space.
pub(super) const CONFIG: &str = "config";
/// The smallest configuration space that there is (PCI Local Bus 3.0, 6.1).
const SMALLEST_CONFIG: u64 = 256;
/// A page, on which a BAR has to begin to be mapped.
const PAGE: u64 = 4096;
/// How long a function that somebody else's rescan has just found may be without its BARs: the
/// kernel lists a function first, then gives it addresses and makes the files of its BARs.
const APPEAR: Duration = Duration::from_millis(100);

/// A function of a [`SysfsBus`](super::SysfsBus).
pub(super) struct SysfsFunction {
    device: Device,
    config: File,
    /// Whether `config` is open for writing, too.
    writable: bool,
    /// How long its files may still be root's alone, as [`super::grant`] is under way.
    patience: Option<Deadline>,
}

impl SysfsFunction {
    /// Opens a function that belongs to an FPGA slot. Permissions that are missing are waited for
    /// with `patience`.
    pub(super) fn new(device: Device, patience: Option<Deadline>) -> Result<Self, Missed> {
        let mut backoff = Backoff::up_to(Duration::from_millis(2));
        let opened = loop {
            match device.open(CONFIG, OFlag::O_RDWR) {
                Err(Errno::EACCES) if is_worth_a_wait(&mut backoff, patience.as_ref()) => {}
                opened => break opened,
            }
        };
        let (config, writable) = match opened {
            Ok(config) => (config, true),
            // Enough to look.
            Err(Errno::EACCES | Errno::EPERM | Errno::EROFS) => {
                let config = device.open(CONFIG, OFlag::O_RDONLY);
                let config = config.map_err(|errno| device.missed("open", CONFIG, errno))?;
                (config, false)
            }
            Err(errno) => return Err(device.missed("open", CONFIG, errno)),
        };
        Ok(Self {
            device,
            config,
            writable,
            patience,
        })
    }

    /// Whether the kernel has given it to this driver.
    pub(super) fn is_on(&self, driver: &str) -> bool {
        let bound = self.device.link("driver");
        bound.is_ok_and(|bound| bound.as_deref() == Some(driver))
    }

    /// What it means that something about the function is not known.
    fn told(&self, missed: Missed) -> BusError {
        match missed {
            Missed::Went => BusError::Gone {
                bdf: self.device.bdf,
                seen: "the kernel has removed it since it was opened".to_owned(),
            },
            Missed::Failed(error) => error,
        }
    }

    fn failed(&self, what: &'static str, name: &str, errno: Errno) -> BusError {
        self.told(self.device.missed(what, name, errno))
    }

    fn no_config(&self, offset: u16, length: usize) -> BusError {
        BusError::NoConfig {
            bdf: self.device.bdf,
            offset,
            length,
        }
    }

    /// Why configuration space ended after `read` of `length` bytes at `offset`.
    fn short(&self, offset: u16, length: usize, read: usize) -> BusError {
        let size = match self.config.metadata() {
            Ok(data) => data.len(),
            Err(error) => return self.failed("look at", CONFIG, errno_of(&error)),
        };
        let header = config_space::HEADER_SIZE as u64;
        let end = u64::from(offset) + read as u64;
        if size < header {
            let found = format!("{size} bytes");
            let wanted = "at least the 64 bytes of a header";
            return self.device.nonsense(CONFIG, found, wanted);
        }
        // Every function has more than a header: the system hides it (`pci_read_config` in
        // `drivers/pci/pci-sysfs.c` of Linux, without CAP_SYS_ADMIN).
        let hidden = end == header || read == 0 && end < size.max(SMALLEST_CONFIG);
        if hidden {
            return BusError::HeaderOnly {
                path: self.device.file(CONFIG),
                offset,
                length,
            };
        }
        self.no_config(offset, length)
    }

    /// The BAR, if the function has it.
    fn resource(&self, index: BarIndex) -> Result<Option<Resource>, BusError> {
        let resources = self
            .device
            .value("resource", WANTED_RESOURCES, attribute::resources);
        Ok(resources.map_err(|missed| self.told(missed))?[usize::from(index.get())])
    }

    /// The file of a BAR that is there, and its name. Waits a little for a function that is still being set up.
    fn bar_file(&self, index: BarIndex, caching: Caching) -> Result<(File, String), BusError> {
        let plain = format!("resource{}", index.get());
        let deadline = Deadline::after(APPEAR);
        let mut backoff = Backoff::up_to(Duration::from_millis(2));
        loop {
            if caching == Caching::WriteCombining {
                let name = format!("{plain}_wc");
                match self.device.open(&name, OFlag::O_RDWR) {
                    Ok(file) => return Ok((file, name)),
                    // Made for prefetchable BARs only, and not by every processor's kernel.
                    Err(Errno::ENOENT) => {}
                    Err(Errno::EACCES) if is_worth_a_wait(&mut backoff, self.patience.as_ref()) => {
                        continue;
                    }
                    Err(errno) => return Err(self.failed("open", &name, errno)),
                }
            }
            match self.device.open(&plain, OFlag::O_RDWR) {
                Ok(file) => return Ok((file, plain)),
                Err(Errno::ENOENT) if self.resource(index)?.is_none() => {
                    let bdf = self.device.bdf;
                    return Err(BusError::NoBar { bdf, bar: index });
                }
                Err(Errno::ENOENT) if backoff.wait(&deadline).is_ok() => {}
                Err(Errno::EACCES) if is_worth_a_wait(&mut backoff, self.patience.as_ref()) => {}
                Err(errno) => return Err(self.failed("open", &plain, errno)),
            }
        }
    }

    /// Sees to it that the function answers accesses to its memory: after a rescan, or when the
    /// firmware did not, nobody may have switched that on.
    fn switch_on_memory(&self) -> Result<(), BusError> {
        let bdf = self.device.bdf;
        // One word: each of configuration space is a transaction on the bus.
        let mut command_and_status = [0; 4];
        self.read_config(config_space::COMMAND, &mut command_and_status)?;
        if command_and_status == [0xFF; 4] {
            let seen = "its configuration space reads as all ones".to_owned();
            return Err(BusError::Gone { bdf, seen });
        }
        let [low, high, ..] = command_and_status;
        let function: &dyn Function = self;
        let command = Command::from_bits_retain(u16::from_le_bytes([low, high]));
        if command.contains(Command::MEMORY_SPACE) {
            return Ok(());
        }
        function.enable(Command::MEMORY_SPACE)?;
        let command = function.command()?;
        if !command.contains(Command::MEMORY_SPACE) {
            let command = command.bits();
            return Err(BusError::DecodeOff { bdf, command });
        }
        tracing::debug!(%bdf, "memory decode was off");
        Ok(())
    }

    /// Opens a BAR, or a part of it that begins on a page.
    fn open_bar(
        &self,
        index: BarIndex,
        caching: Caching,
        range: Option<Range<u64>>,
    ) -> Result<Bar, BusError> {
        let bdf = self.device.bdf;
        let (file, name) = self.bar_file(index, caching)?;
        // Read after it: before it makes the file, the kernel gives the BAR its addresses.
        let resource = self.resource(index)?;
        let resource = resource.ok_or(BusError::NoBar { bdf, bar: index })?;
        if !resource.is_assigned() {
            let size = resource.size;
            return Err(BusError::Unassigned {
                bdf,
                bar: index,
                size,
            });
        }
        let range = range.unwrap_or(0..resource.size);
        let inside = range.start < range.end && range.end <= resource.size;
        if !inside || !range.start.is_multiple_of(PAGE) {
            let size = range.end.saturating_sub(range.start);
            let source = BarError::refused(range.start, size, resource.size);
            return Err(BusError::Bar {
                bdf,
                bar: index,
                source,
            });
        }
        self.switch_on_memory()?;
        Ok(Bar::mapped(self.map(&file, &name, resource, range)?))
    }

    fn map(
        &self,
        file: &File,
        name: &str,
        resource: Resource,
        range: Range<u64>,
    ) -> Result<Mapping, BusError> {
        let length = match file.metadata() {
            Ok(data) => data.len(),
            Err(error) => return Err(self.failed("look at", name, errno_of(&error))),
        };
        if length != resource.size {
            let found = format!("{length:#x} bytes");
            let wanted = "as many as its line in the file 'resource' tells";
            return Err(self.device.nonsense(name, found, wanted));
        }
        if !resource.is_memory() || !resource.start.is_multiple_of(PAGE) || length < PAGE {
            return Err(BusError::Unsupported {
                bus: "sysfs",
                what: "map a BAR that is no memory, or less than a page of it",
            });
        }
        Mapping::new(file, range.start, range.end - range.start).map_err(|source| {
            let driver = self.device.link("driver").ok().flatten();
            match (errno_of(&source), driver) {
                // With CONFIG_IO_STRICT_DEVMEM, memory that a driver has claimed is its alone.
                (Errno::EINVAL | Errno::EBUSY, Some(driver)) => BusError::DriverBound {
                    bdf: self.device.bdf,
                    driver,
                    path: self.device.file(name),
                    source,
                },
                (errno, _) => self.failed("map", name, errno),
            }
        })
    }
}

/// Pauses, if there is patience left.
fn is_worth_a_wait(backoff: &mut Backoff, patience: Option<&Deadline>) -> bool {
    patience.is_some_and(|patience| backoff.wait(patience).is_ok())
}

impl Function for SysfsFunction {
    fn bdf(&self) -> Bdf {
        self.device.bdf
    }

    fn read_config(&self, offset: u16, data: &mut [u8]) -> Result<(), BusError> {
        let length = data.len();
        if usize::from(offset) + length > config_space::SIZE {
            return Err(self.no_config(offset, length));
        }
        let mut read = 0;
        while read < length {
            let at = u64::from(offset) + read as u64;
            match self.config.read_at(&mut data[read..], at) {
                Ok(0) => return Err(self.short(offset, length, read)),
                Ok(bytes) => read += bytes,
                Err(error) if errno_of(&error) == Errno::EINTR => {}
                Err(error) => return Err(self.failed("read", CONFIG, errno_of(&error))),
            }
        }
        Ok(())
    }

    fn write_config(&self, offset: u16, data: &[u8]) -> Result<(), BusError> {
        let failed = |error: std::io::Error| self.failed("write", CONFIG, errno_of(&error));
        let end = u64::from(offset) + data.len() as u64;
        // Checked here: a file that is not the kernel's would grow.
        if end > self.config.metadata().map_err(failed)?.len() {
            return Err(self.no_config(offset, data.len()));
        }
        if !self.writable {
            let opened = self.device.open(CONFIG, OFlag::O_WRONLY);
            return match opened.map(|config| config.write_all_at(data, offset.into())) {
                Ok(written) => written.map_err(failed),
                Err(errno) => Err(self.failed("write", CONFIG, errno)),
            };
        }
        self.config
            .write_all_at(data, offset.into())
            .map_err(failed)
    }

    fn bar_size(&self, index: BarIndex) -> Result<Option<u64>, BusError> {
        Ok(self.resource(index)?.map(|resource| resource.size))
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

    fn map_dma(&self, _request: DmaRequest) -> Result<DmaMapping, BusError> {
        Err(BusError::Unsupported {
            bus: "sysfs",
            what: "map memory for DMA: that takes a driver that owns the function, such as vfio-pci",
        })
    }

    fn msix(&self, _vector: u16) -> Result<OwnedFd, BusError> {
        Err(BusError::Unsupported {
            bus: "sysfs",
            what: "receive interrupts: that takes a driver that owns the function, such as vfio-pci",
        })
    }

    /// The kernel chooses how, function-level reset first, and puts configuration space back.
    fn reset(&self) -> Result<(), BusError> {
        const RESET: &str = "reset";
        match self.device.open(RESET, OFlag::O_PATH) {
            Err(Errno::ENOENT) if self.device.is_current() => Err(BusError::NoReset {
                bdf: self.device.bdf,
                path: self.device.file(RESET),
            }),
            _ => {
                let written = self.device.write_one(RESET);
                written.map_err(|missed| self.told(missed))
            }
        }
    }
}
