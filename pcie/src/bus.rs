//! The PCI bus as a host sees it.
//!
//! Like a kernel, a bus remembers what it saw when it enumerated: [`FunctionInfo`] holds the ids of
//! that moment, and a function whose ids change shows the new ones only after [`Bus::remove`] and
//! [`Bus::rescan`]. Configuration space itself is always read from the device.

use std::fmt;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use afi_proto::config_space::{self, Command};
use afi_proto::{BarIndex, Bdf, PciIds};

use crate::capture::HostView;
use crate::vfio::bind::Binding;
use crate::{Bar, BusError, Deadline, Ended, SharedMemory};

/// What a host can do with a PCI bus.
pub trait Bus: Send + Sync {
    /// The bus in a few words, for messages: `socket:/tmp/instance`.
    fn name(&self) -> String;

    /// The functions that the host has enumerated, in bus order; at least those of FPGA slots. One
    /// that goes while the bus is being read is left out.
    ///
    /// # Errors
    /// When the bus cannot be read.
    fn functions(&self) -> Result<Vec<FunctionInfo>, BusError>;

    /// Opens a function.
    ///
    /// # Errors
    /// When it is not there, may not be opened, or is in use and takes one user only.
    fn open(&self, bdf: Bdf) -> Result<Arc<dyn Function>, BusError>;

    /// Sees that [`Bus::remove`] of a function would be done at once: to be asked before something
    /// that cannot be undone and that it has to follow.
    ///
    /// # Errors
    /// When it would not: a program uses the function, and the host would wait for its end.
    fn can_remove(&self, _bdf: Bdf) -> Result<(), BusError> {
        Ok(())
    }

    /// Makes the host forget a function, so that a rescan looks at it anew. A function that the
    /// host does not know is left alone.
    ///
    /// # Errors
    /// When the host refuses, and as [`Bus::can_remove`].
    fn remove(&self, bdf: Bdf) -> Result<(), BusError>;

    /// Makes the host look for functions it does not know, at least where `near` is or was. Returns
    /// when the request was taken; [`Bus::watch`] tells what came of it.
    ///
    /// # Errors
    /// When the host refuses.
    fn rescan(&self, near: Bdf) -> Result<(), BusError>;

    /// Starts to watch for functions that come and go, from now on.
    ///
    /// # Errors
    /// When the host cannot tell.
    fn watch(&self) -> Result<Box<dyn Watch>, BusError>;

    /// Where locks on functions of this bus are kept, so that every process that uses it meets.
    fn lock_directory(&self) -> PathBuf;

    /// Puts the application function of a slot onto the driver that hands it to programs
    /// ([`vfio`](crate::vfio)), and its management function off any driver that is in the way.
    ///
    /// # Errors
    /// When the bus has no drivers, or the host refuses; then everything is as it was, or the error
    /// says what is not.
    fn bind(&self, _app: Bdf, _mgmt: Bdf, _deadline: &Deadline) -> Result<Binding, BusError> {
        Err(self.without_drivers())
    }

    /// Undoes [`Bus::bind`]: the host chooses drivers again.
    ///
    /// # Errors
    /// As [`Bus::bind`], and when a program has the function open.
    fn unbind(&self, _app: Bdf, _mgmt: Bdf, _deadline: &Deadline) -> Result<Binding, BusError> {
        Err(self.without_drivers())
    }

    /// The error of a bus whose functions are on no drivers.
    fn without_drivers(&self) -> BusError {
        BusError::NoDrivers { bus: self.name() }
    }

    /// What the host tells in small texts, for a report on a fault: of a function of an FPGA slot,
    /// or with `None` of the machine. What cannot be read is left out, or has the reason.
    fn host_view(&self, _of: Option<Bdf>) -> HostView {
        HostView::default()
    }

    /// The enumerated function at an address; `None` when there is none.
    ///
    /// # Errors
    /// As [`Bus::functions`].
    fn function(&self, bdf: Bdf) -> Result<Option<FunctionInfo>, BusError> {
        let functions = self.functions()?;
        Ok(functions.into_iter().find(|info| info.bdf == bdf))
    }
}

/// A function as the host enumerated it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionInfo {
    /// Its address.
    pub bdf: Bdf,
    /// Its ids at enumeration.
    pub ids: PciIds,
    /// The kernel driver bound to it.
    pub driver: Option<String>,
    /// The NUMA node that it is nearest to, where the host has several and tells.
    pub numa_node: Option<u32>,
}

/// Tells that functions came or went.
pub trait Watch: Send {
    /// Waits until something changed since the last return, or since the watch began.
    ///
    /// # Errors
    /// When the deadline ends the wait.
    fn changed(&mut self, deadline: &Deadline) -> Result<(), Ended>;
}

/// How the processor may cache a mapping of a BAR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Caching {
    /// Every access goes to the device, in order.
    #[default]
    None,
    /// Writes may be merged; only for prefetchable BARs.
    WriteCombining,
}

/// What a host can do with a PCI function. A handle keeps the function open until it is dropped.
pub trait Function: Send + Sync {
    /// Its address.
    fn bdf(&self) -> Bdf;

    /// Reads configuration space from the device. A device that is gone reads as all ones.
    ///
    /// # Errors
    /// When the range is not in configuration space, or the function cannot be reached.
    fn read_config(&self, offset: u16, data: &mut [u8]) -> Result<(), BusError>;

    /// Writes configuration space.
    ///
    /// # Errors
    /// As [`Function::read_config`].
    fn write_config(&self, offset: u16, data: &[u8]) -> Result<(), BusError>;

    /// The size of a BAR in bytes; `None` when there is no such BAR. Costs no mapping where the bus
    /// can tell without: to map a BAR of 128 GiB can take seconds.
    ///
    /// # Errors
    /// When the function cannot be reached.
    fn bar_size(&self, index: BarIndex) -> Result<Option<u64>, BusError> {
        match self.bar(index, Caching::None) {
            Ok(bar) => Ok(Some(bar.length())),
            Err(BusError::NoBar { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a BAR: mapped where the device allows it, through accesses one by one where not.
    ///
    /// # Errors
    /// When there is no such BAR, or it cannot be mapped.
    fn bar(&self, index: BarIndex, caching: Caching) -> Result<Bar, BusError>;

    /// Opens a part of a BAR, with offsets from the start of the part, and maps no more than that
    /// where the bus can. The part begins on a page.
    ///
    /// # Errors
    /// As [`Function::bar`], and when the part is not inside the BAR.
    fn bar_range(
        &self,
        index: BarIndex,
        caching: Caching,
        range: Range<u64>,
    ) -> Result<Bar, BusError> {
        let part = self.bar(index, caching)?.part(range);
        let (bdf, bar) = (self.bdf(), index);
        part.map_err(|source| BusError::Bar { bdf, bar, source })
    }

    /// Lets the device access memory at a bus address, until the result is dropped.
    ///
    /// # Errors
    /// When the bus cannot, or the range is not page aligned, outside the memory, or taken.
    fn map_dma(&self, request: DmaRequest) -> Result<DmaMapping, BusError>;

    /// Bus addresses that [`Function::map_dma`] can map, where the bus knows: what an IOMMU
    /// translates, without what it reserves. `None` when it does not care.
    fn dma_addresses(&self) -> Option<Vec<Range<u64>>> {
        None
    }

    /// A descriptor that becomes readable when the device fires this MSI-X vector (an eventfd).
    ///
    /// # Errors
    /// When the bus cannot, or there is no such vector.
    fn msix(&self, vector: u16) -> Result<OwnedFd, BusError>;

    /// Resets the function (function-level reset). What the host had set up in its configuration
    /// space, the command register and the addresses of the BARs, is the same afterwards, as after
    /// a reset by the kernel.
    ///
    /// # Errors
    /// When the bus or the function cannot.
    fn reset(&self) -> Result<(), BusError>;
}

/// Runs a reset, and puts back what it takes from the header of configuration space. For
/// implementations of [`Function::reset`].
///
/// # Errors
/// When the reset does not work, or configuration space cannot be reached.
pub fn reset_and_restore(
    function: &dyn Function,
    reset: impl FnOnce() -> Result<(), BusError>,
) -> Result<(), BusError> {
    /// The six BAR registers.
    const BARS: usize = 6 * 4;
    let mut bars = [0; BARS];
    function.read_config(config_space::BAR0, &mut bars)?;
    let command = function.command()?;
    reset()?;
    for (word, offset) in bars.chunks(4).zip((config_space::BAR0..).step_by(4)) {
        function.write_config(offset, word)?;
    }
    function.write_config(config_space::COMMAND, &command.bits().to_le_bytes())
}

impl dyn Function + '_ {
    /// The four ids, read from the device now.
    ///
    /// # Errors
    /// As [`Function::read_config`].
    pub fn live_ids(&self) -> Result<PciIds, BusError> {
        let mut header = [0; config_space::HEADER_SIZE];
        self.read_config(0, &mut header)?;
        Ok(config_space::ids(&header))
    }

    /// The command register.
    ///
    /// # Errors
    /// As [`Function::read_config`].
    pub fn command(&self) -> Result<Command, BusError> {
        let mut bytes = [0; 2];
        self.read_config(config_space::COMMAND, &mut bytes)?;
        Ok(Command::from_bits_retain(u16::from_le_bytes(bytes)))
    }

    /// Sets bits of the command register that are not set yet, and tells which those were.
    ///
    /// # Errors
    /// As [`Function::write_config`].
    pub fn enable(&self, wanted: Command) -> Result<Command, BusError> {
        let now = self.command()?;
        let missing = wanted - now;
        if !missing.is_empty() {
            let bytes = (now | wanted).bits().to_le_bytes();
            self.write_config(config_space::COMMAND, &bytes)?;
        }
        Ok(missing)
    }
}

/// Memory to let a device access.
#[derive(Debug, Clone)]
pub struct DmaRequest {
    /// The memory.
    pub memory: Arc<SharedMemory>,
    /// Which bytes of it, page aligned.
    pub range: Range<u64>,
    /// The bus address of the first byte, page aligned.
    pub iova: u64,
    /// What the device may do with it.
    pub access: DmaAccess,
}

/// What a device may do with memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DmaAccess {
    /// Read it.
    Read,
    /// Write it.
    Write,
    /// Both.
    ReadWrite,
}

/// Memory that a device may access. Dropping it ends that, and waits until the device has let go.
pub struct DmaMapping {
    iova: u64,
    length: u64,
    memory: Arc<SharedMemory>,
    /// Called in `drop` only; the lock makes the mapping shareable between threads.
    unmap: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl DmaMapping {
    /// Made by a bus: `unmap` is called once, when the mapping is dropped.
    pub fn new(request: &DmaRequest, unmap: impl FnOnce() + Send + 'static) -> Self {
        Self {
            iova: request.iova,
            length: request.range.end - request.range.start,
            memory: Arc::clone(&request.memory),
            unmap: Mutex::new(Some(Box::new(unmap))),
        }
    }

    /// Bus address of the first byte.
    pub const fn iova(&self) -> u64 {
        self.iova
    }

    /// Bytes.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The memory behind it.
    pub const fn memory(&self) -> &Arc<SharedMemory> {
        &self.memory
    }
}

impl fmt::Debug for DmaMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DmaMapping({:#x}+{:#x})", self.iova, self.length)
    }
}

impl Drop for DmaMapping {
    fn drop(&mut self) {
        let unmap = self.unmap.get_mut();
        if let Some(unmap) = unmap.unwrap_or_else(PoisonError::into_inner).take() {
            unmap();
        }
    }
}

/// Which bus to use: the value of `--bus`, of `AFI_BUS` and of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusChoice {
    /// The running kernel's.
    Sysfs,
    /// Devices served over vfio-user sockets in a directory, as `afi-sim` lays it out.
    Socket {
        /// The directory.
        directory: PathBuf,
    },
    /// What was captured of an instance; it can be listed and described.
    Capture {
        /// The file.
        file: PathBuf,
    },
}

impl fmt::Display for BusChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sysfs => f.write_str("sysfs"),
            Self::Socket { directory } => write!(f, "socket:{}", directory.display()),
            Self::Capture { file } => write!(f, "capture:{}", file.display()),
        }
    }
}

impl FromStr for BusChoice {
    type Err = ParseBusChoiceError;

    fn from_str(text: &str) -> Result<Self, ParseBusChoiceError> {
        match text.split_once(':') {
            None if text == "sysfs" => Ok(Self::Sysfs),
            Some(("socket", directory)) if !directory.is_empty() => Ok(Self::Socket {
                directory: directory.into(),
            }),
            Some(("capture", file)) if !file.is_empty() => Ok(Self::Capture { file: file.into() }),
            _ => Err(ParseBusChoiceError {
                text: text.to_owned(),
            }),
        }
    }
}

/// A text that names no bus.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no bus; wanted 'sysfs', 'socket:DIR' or 'capture:FILE'")]
pub struct ParseBusChoiceError {
    text: String,
}

/// Opens a bus.
///
/// # Errors
/// When it is not there.
pub fn open(choice: &BusChoice) -> Result<Arc<dyn Bus>, BusError> {
    match choice {
        BusChoice::Sysfs => Ok(Arc::new(crate::sysfs::SysfsBus::open()?)),
        BusChoice::Socket { directory } => Ok(Arc::new(crate::socket::SocketBus::open(directory)?)),
        BusChoice::Capture { file } => Ok(Arc::new(crate::capture::CaptureBus::open(file)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_is_named_as_it_is_written() {
        for text in [
            "sysfs",
            "socket:/tmp/instance",
            "socket:a:b",
            "capture:a.json",
        ] {
            assert_eq!(text.parse::<BusChoice>().unwrap().to_string(), text);
        }
        for text in ["", "socket", "socket:", "capture:", "sysfs:x", "vfio"] {
            assert!(text.parse::<BusChoice>().is_err(), "{text}");
        }
    }
}
