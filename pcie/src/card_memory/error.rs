//! What can go wrong with the memory of a card.

use std::fmt;

use afi_proto::{Bdf, MemoryMapError, PciIds};

use super::Path;
use crate::BusError;
use crate::cdev::CdevError;
use crate::deadline::Ended;
use crate::dma::DmaMemoryError;
use crate::xdma::{DmaError, OpenError};

/// An operation on card memory that did not work.
#[derive(Debug, thiserror::Error)]
pub enum CardMemoryError {
    /// The application function cannot be reached.
    #[error("cannot reach the application function {bdf}")]
    Function {
        /// The application function.
        bdf: Bdf,
        /// Why.
        source: BusError,
    },
    /// The application function is not on the bus, or does not answer.
    #[error("the application function {bdf} does not answer: {seen}")]
    Gone {
        /// The application function.
        bdf: Bdf,
        /// How that was seen.
        seen: &'static str,
    },
    /// The slot runs no design.
    #[error("the slot of {bdf} is cleared: there is no design, and so no memory")]
    Cleared {
        /// The application function.
        bdf: Bdf,
    },
    /// The design has no memory.
    #[error("the design on {bdf} is {design} by its ids ({ids}), which has no memory")]
    WithoutMemory {
        /// The application function.
        bdf: Bdf,
        /// Its name.
        design: &'static str,
        /// Its ids.
        ids: PciIds,
    },
    /// The addresses have no memory behind them.
    #[error("the addresses are not in the memory of the design")]
    Outside {
        /// Which are not.
        #[from]
        source: MemoryMapError,
    },
    /// There is no way to the memory.
    #[error("there is no way to the memory of {bdf}:{}", lines(passed_over))]
    NoPath {
        /// The application function.
        bdf: Bdf,
        /// Each path, and why it cannot be taken.
        passed_over: Vec<PassedOver>,
    },
    /// The path that was asked for cannot be taken.
    #[error("cannot reach the memory of {bdf} by {path}")]
    Unavailable {
        /// The application function.
        bdf: Bdf,
        /// The path.
        path: Path,
        /// Why.
        source: Box<WhyNot>,
    },
    /// A transfer of the engine did not work.
    #[error("cannot transfer by {}", Path::Xdma)]
    Xdma {
        /// Why.
        source: DmaError,
    },
    /// There is no memory that the engine can reach.
    #[error("no memory for transfers by {}", Path::Xdma)]
    Memory {
        /// Why.
        source: DmaMemoryError,
    },
    /// Buffers of the engine go by the engine only.
    #[error(
        "the memory of {bdf} is reached by {path}; transfers without a copy are possible by {} only",
        Path::Xdma
    )]
    NotByEngine {
        /// The application function.
        bdf: Bdf,
        /// The path that is used.
        path: Path,
    },
    /// A copy through BAR4 did not work.
    #[error("cannot copy by {}", Path::Pcis)]
    Pcis {
        /// Why.
        source: BusError,
    },
    /// A transfer of the kernel driver did not work.
    #[error("cannot transfer by {}", Path::Cdev)]
    Cdev {
        /// Why.
        source: CdevError,
    },
    /// The wait for the rest ended.
    #[error("the transfer was stopped before its end: part of its range is as it was before")]
    Wait {
        /// Why.
        source: Ended,
    },
    /// The slot was cleared or loaded while it was used.
    #[error(
        "the design on {bdf} changed while its memory was used: its ids were {before} and are {now}"
    )]
    Changed {
        /// The application function.
        bdf: Bdf,
        /// Its ids when it was opened.
        before: PciIds,
        /// Its ids now.
        now: PciIds,
    },
}

/// A path that was not taken.
#[derive(Debug)]
pub struct PassedOver {
    /// The path.
    pub path: Path,
    /// Why not.
    pub why: WhyNot,
}

/// Why a path cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum WhyNot {
    /// A driver has the function.
    #[error("the driver '{driver}' has the function")]
    DriverHas {
        /// The driver.
        driver: String,
    },
    /// There is no engine that can be used.
    #[error("the engine cannot be used")]
    Engine {
        /// Why.
        source: OpenError,
    },
    /// The engine cannot reach memory of this program.
    #[error("the engine cannot be given memory")]
    NoDma {
        /// Why.
        source: DmaMemoryError,
    },
    /// No kernel driver has the function.
    #[error("no kernel driver 'xdma' has the function")]
    NoDriver,
    /// The kernel driver's nodes cannot be used.
    #[error("the kernel driver cannot be used")]
    Cdev {
        /// Why.
        source: CdevError,
    },
    /// BAR4 cannot be used.
    #[error("BAR4 cannot be used")]
    Pcis {
        /// Why.
        source: BusError,
    },
}

impl PassedOver {
    /// The reason and its causes, in one line.
    pub fn reason(&self) -> String {
        let mut text = self.why.to_string();
        let mut next = std::error::Error::source(&self.why);
        while let Some(cause) = next {
            text = format!("{text}: {cause}");
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason())
    }
}

fn lines(passed_over: &[PassedOver]) -> String {
    passed_over
        .iter()
        .map(|path| format!("\n  {path}"))
        .collect()
}
