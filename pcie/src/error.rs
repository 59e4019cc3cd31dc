//! What can go wrong between a host program and a PCI function.

use std::path::PathBuf;
use std::time::Duration;

use afi_proto::{BarIndex, Bdf};

use crate::bar::BarError;
use crate::deadline::Ended;

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

impl BusError {
    /// Wraps an error of the system with what was tried on which file.
    pub fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}
