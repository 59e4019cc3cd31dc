//! What can go wrong between a host program and a PCI function.

use std::path::PathBuf;
use std::time::Duration;

use afi_proto::{BarIndex, Bdf};

use crate::bar::BarError;
use crate::capture::{CaptureError, RecordedFailure};
use crate::deadline::Ended;
use crate::vfio::VfioError;
use crate::vfio::bind::BindError;

/// An operation on the bus, or on a function of it, that did not work.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The bus itself is not there: no such directory, nothing mounted.
    #[error("no PCI bus at {path}")]
    NoBus {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no function at this address.
    #[error("no PCI function at {bdf}")]
    NotFound {
        /// The address.
        bdf: Bdf,
    },
    /// The function is used by another process, and takes one at a time.
    #[error("PCI function {bdf} is in use by another process")]
    InUse {
        /// The function.
        bdf: Bdf,
    },
    /// The function does not answer any more.
    #[error("PCI function {bdf} is gone: {seen}")]
    Gone {
        /// The function.
        bdf: Bdf,
        /// How that was seen.
        seen: String,
    },
    /// The function did not answer in time.
    #[error("PCI function {bdf} did not answer {what} within {} ms", after.as_millis())]
    TimedOut {
        /// The function.
        bdf: Bdf,
        /// What was asked.
        what: String,
        /// The time that was allowed.
        after: Duration,
    },
    /// A wait for the bus ended.
    #[error("waiting for {what}")]
    Wait {
        /// What was waited for.
        what: String,
        /// Why it ended.
        source: Ended,
    },
    /// The function has no such BAR.
    #[error("PCI function {bdf} has no {bar}")]
    NoBar {
        /// The function.
        bdf: Bdf,
        /// The BAR.
        bar: BarIndex,
    },
    /// An access to a BAR did not work.
    #[error("PCI function {bdf}, {bar}")]
    Bar {
        /// The function.
        bdf: Bdf,
        /// The BAR.
        bar: BarIndex,
        /// Why.
        source: BarError,
    },
    /// Configuration space ends before this access does.
    #[error("PCI function {bdf} has no configuration space at {offset:#x}+{length}")]
    NoConfig {
        /// The function.
        bdf: Bdf,
        /// Where.
        offset: u16,
        /// Bytes.
        length: usize,
    },
    /// The server of a device refused a command.
    #[error("PCI function {bdf} refused {what}: {errno}")]
    Refused {
        /// The function.
        bdf: Bdf,
        /// What was asked.
        what: String,
        /// The error it gave.
        errno: nix::errno::Errno,
    },
    /// The server of a device broke the protocol.
    #[error("the server of PCI function {bdf} broke the vfio-user protocol: {what}")]
    Protocol {
        /// The function.
        bdf: Bdf,
        /// What it did.
        what: String,
    },
    /// The function belongs to no FPGA slot, so this program leaves it alone.
    #[error(
        "PCI function {bdf} ({vendor:04x}:{device:04x}) belongs to no FPGA slot; wanted a management \
         function ({}), or the application function beside one",
        management_functions()
    )]
    NotFpga {
        /// The function.
        bdf: Bdf,
        /// Its vendor id.
        vendor: u16,
        /// Its device id.
        device: u16,
    },
    /// A file of the bus holds what it cannot hold.
    #[error("{path} holds {found}; wanted {wanted}")]
    Nonsense {
        /// The file.
        path: PathBuf,
        /// What was in it, quoted and not too long.
        found: String,
        /// What belongs there.
        wanted: &'static str,
    },
    /// The system shows this process the header of configuration space only.
    #[error(
        "{path} shows this process nothing behind its first {} bytes; wanted to read {length} at {offset:#x}",
        afi_proto::config_space::HEADER_SIZE
    )]
    HeaderOnly {
        /// The file of the configuration space.
        path: PathBuf,
        /// Where the access was to begin.
        offset: u16,
        /// How many bytes it was to have.
        length: usize,
    },
    /// The function does not answer accesses to its memory, and cannot be made to.
    #[error("PCI function {bdf} stays without memory decode (command register {command:#06x})")]
    DecodeOff {
        /// The function.
        bdf: Bdf,
        /// What its command register holds.
        command: u16,
    },
    /// The host found no addresses for a BAR.
    #[error("the host has given {bar} of PCI function {bdf} ({size:#x} bytes) no addresses")]
    Unassigned {
        /// The function.
        bdf: Bdf,
        /// The BAR.
        bar: BarIndex,
        /// Its size in bytes.
        size: u64,
    },
    /// A BAR cannot be mapped while a driver has the function.
    #[error("cannot map {path} while the driver '{driver}' is bound to PCI function {bdf}")]
    DriverBound {
        /// The function.
        bdf: Bdf,
        /// The driver.
        driver: String,
        /// The file of the BAR.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The host knows no way to reset the function.
    #[error("the host knows no way to reset PCI function {bdf}: there is no {path}")]
    NoReset {
        /// The function.
        bdf: Bdf,
        /// The file that would do it.
        path: PathBuf,
    },
    /// The file is no capture that this program can open.
    #[error("cannot use {path} as a capture")]
    Capture {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CaptureError,
    },
    /// The bus is a capture, and this did not work when it was taken.
    #[error("the capture has a failure in place of an answer")]
    Recorded {
        /// The failure.
        source: RecordedFailure,
    },
    /// The function is on the driver `vfio-pci`, and VFIO cannot do what was asked.
    #[error("cannot use PCI function {bdf} by VFIO")]
    Vfio {
        /// The function.
        bdf: Bdf,
        /// Why.
        source: VfioError,
    },
    /// The bus is not the kernel's, so there are no drivers of the kernel on it.
    #[error("the bus {bus} has no drivers: programs reach its functions without")]
    NoDrivers {
        /// The bus.
        bus: String,
    },
    /// The function could not be put onto a driver or taken off it.
    #[error("cannot change the driver of PCI function {bdf}")]
    Bind {
        /// The function.
        bdf: Bdf,
        /// Why.
        source: BindError,
    },
    /// This bus cannot do that.
    #[error("the {bus} bus cannot {what}")]
    Unsupported {
        /// The kind of bus.
        bus: &'static str,
        /// What was asked.
        what: &'static str,
    },
    /// The system refused an operation on a file.
    #[error("cannot {what} {path}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The ids of the management functions that there are, as `1d0f:1041 or 1d0f:9248`.
fn management_functions() -> String {
    let ids = afi_proto::Family::ALL.map(|family| {
        let mgmt = family.profile().mgmt;
        format!("{:04x}:{:04x}", mgmt.vendor, mgmt.device)
    });
    ids.join(" or ")
}

impl BusError {
    /// Wraps an error of the system with what was tried on which file.
    pub fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}
