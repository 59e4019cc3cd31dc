//! What can go wrong with the engine and with transfers.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use afi_proto::Bdf;
use afi_proto::xdma::{CHANNELS, Direction, Status, StatusError};

use crate::deadline::Ended;
use crate::dma::DmaMemoryError;
use crate::{BarError, BusError};

/// Which channel of which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChannelId {
    /// The function that has the engine.
    pub bdf: Bdf,
    /// The way of its data.
    pub direction: Direction,
    /// Its number.
    pub number: u8,
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} channel {} of {}",
            self.direction, self.number, self.bdf
        )
    }
}

/// Why an engine or a channel was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The function cannot be used.
    #[error("cannot use {bdf} for DMA")]
    Function {
        /// The function.
        bdf: Bdf,
        /// Why.
        source: BusError,
    },
    /// A register cannot be reached.
    #[error("cannot reach the XDMA engine of {bdf}")]
    Register {
        /// The function.
        bdf: Bdf,
        /// Why.
        source: BarError,
    },
    /// There is no engine.
    #[error(
        "{bdf} has no XDMA engine: its identifier reads {found:#010x}, wanted 0x1fc30000 and a version; \
         under a shell without the engine, data moves through BAR4 (PCIS)"
    )]
    NoEngine {
        /// The function.
        bdf: Bdf,
        /// What is where the engine's identifier should be.
        found: u32,
    },
    /// No device answers.
    #[error("the XDMA engine of {bdf} reads as all ones: the device does not answer")]
    Gone {
        /// The function.
        bdf: Bdf,
    },
    /// Another process drives the engine.
    #[error("the XDMA engine of {bdf} is in use: somebody holds the lock on {}", path.display())]
    InUse {
        /// The function.
        bdf: Bdf,
        /// The lock file.
        path: PathBuf,
    },
    /// The system refused an operation on the lock file.
    #[error("cannot {what} {}", path.display())]
    LockFile {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What somebody left running does not stop.
    #[error(
        "{channel} was left running and does not stop, not even by a reset of the function; clear the \
         slot"
    )]
    DoesNotStop {
        /// The channel.
        channel: ChannelId,
    },
    /// The engine has no such channel.
    #[error("there is no {channel}; its engine has {there} of this direction")]
    NoChannel {
        /// What was asked for.
        channel: ChannelId,
        /// How many there are.
        there: usize,
    },
    /// The channel moves a stream.
    #[error("{channel} moves a stream (AXI4-Stream), not memory: this driver does not drive those")]
    Stream {
        /// The channel.
        channel: ChannelId,
    },
    /// The channel is open.
    #[error("{channel} is open already; a channel has one user at a time")]
    Taken {
        /// The channel.
        channel: ChannelId,
    },
    /// There is no memory for the channel's descriptors.
    #[error("no memory for the descriptors of {channel}")]
    Memory {
        /// The channel.
        channel: ChannelId,
        /// Why.
        source: DmaMemoryError,
    },
    /// The options are not possible.
    #[error("{channel}: {what} cannot be {found}; wanted {wanted}")]
    Options {
        /// The channel.
        channel: ChannelId,
        /// Which option.
        what: &'static str,
        /// Its value.
        found: u64,
        /// What is possible.
        wanted: &'static str,
    },
    /// The channel does not start.
    #[error("cannot start {channel}")]
    Start {
        /// The channel.
        channel: ChannelId,
        /// Why.
        source: DmaError,
    },
}

/// Why a transfer did not take place, or not all of it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DmaError {
    /// Part of the range is not in the buffer.
    #[error(
        "bytes {start:#x} to {end:#x} of a buffer of {length:#x} bytes; wanted at least one \
         byte, inside it"
    )]
    Range {
        /// Where the range begins.
        start: u64,
        /// Where it ends.
        end: u64,
        /// Bytes of the buffer.
        length: u64,
    },
    /// The addresses on the card do not exist.
    #[error("{length:#x} bytes at {address:#x} of the card end behind its 64-bit addresses")]
    CardRange {
        /// Where on the card.
        address: u64,
        /// Bytes.
        length: u64,
    },
    /// A segment names a buffer that its list does not have.
    #[error("segment {segment} is in buffer {buffer} of a list of {buffers} buffers")]
    NoBuffer {
        /// The segment's number.
        segment: usize,
        /// The buffer that it names.
        buffer: usize,
        /// Buffers of the list.
        buffers: usize,
    },
    /// There is nothing to move.
    #[error("a list without segments moves nothing")]
    Empty,
    /// The buffer was given up in an earlier transfer.
    #[error("the buffer cannot be used")]
    Buffer {
        /// Why.
        source: Arc<DmaMemoryError>,
    },
    /// The transfer takes more descriptors than a ring has.
    #[error(
        "the transfer takes {descriptors} descriptors; {channel} takes {most} at a time: split it"
    )]
    TooLong {
        /// The channel.
        channel: ChannelId,
        /// Descriptors that it would take.
        descriptors: usize,
        /// Descriptors that the ring takes.
        most: u32,
    },
    /// As many transfers as the channel takes are under way.
    #[error(
        "{channel} has {in_flight} transfers under way and takes no more; wait for one of them"
    )]
    Full {
        /// The channel.
        channel: ChannelId,
        /// Transfers that are under way, or done and not yet waited for.
        in_flight: usize,
    },
    /// A write on a channel that reads, or the other way round.
    #[error("{channel} cannot {what}")]
    WrongWay {
        /// The channel.
        channel: ChannelId,
        /// What was asked.
        what: &'static str,
    },
    /// The engine stopped with an error.
    #[error("{channel} stopped: {}", ErrorList(*status, channel.direction))]
    Engine {
        /// The channel.
        channel: ChannelId,
        /// What its status register held.
        status: Status,
    },
    /// The engine tells of more than it was given.
    #[error(
        "{channel} counts {counted} descriptors as completed and was given {given}: its \
         write-back cannot be trusted"
    )]
    Count {
        /// The channel.
        channel: ChannelId,
        /// Completed since the last look, as it tells.
        counted: u64,
        /// Under way then.
        given: u64,
    },
    /// It did not take place in time, or the caller did not want to wait any more. The channel was
    /// stopped.
    #[error("{channel} was stopped before the transfer was done")]
    Ended {
        /// The channel.
        channel: ChannelId,
        /// Why.
        source: Ended,
    },
    /// Another transfer ended in a way that stopped the channel.
    #[error(
        "{channel} was stopped because of another transfer, before this one was done; submit it \
         again"
    )]
    Aborted {
        /// The channel.
        channel: ChannelId,
    },
    /// The function was reset, because one of its channels did not stop.
    #[error(
        "the function of {channel} was reset, because a channel did not stop; submit the \
         transfer again"
    )]
    Reset {
        /// The channel.
        channel: ChannelId,
    },
    /// Somebody else stopped the channel.
    #[error("{channel} does not run any more: somebody reset the function or stopped the channel")]
    Stopped {
        /// The channel.
        channel: ChannelId,
    },
    /// The function may not access memory.
    #[error(
        "bus mastering of the function of {channel} was switched off, so it cannot reach memory"
    )]
    BusMasteringOff {
        /// The channel.
        channel: ChannelId,
    },
    /// There is no engine any more.
    #[error(
        "there is no {channel} any more (its identifier reads {found:#010x}): the slot was \
         cleared or loaded anew"
    )]
    NoEngine {
        /// The channel.
        channel: ChannelId,
        /// What is where the identifier should be.
        found: u32,
    },
    /// No device answers.
    #[error("{channel} reads as all ones: the device does not answer")]
    Gone {
        /// The channel.
        channel: ChannelId,
    },
    /// A register cannot be reached.
    #[error("cannot reach {channel}")]
    Register {
        /// The channel.
        channel: ChannelId,
        /// Why.
        source: Arc<BarError>,
    },
    /// Configuration space cannot be reached.
    #[error("cannot reach the function of {channel}")]
    Function {
        /// The channel.
        channel: ChannelId,
        /// Why.
        source: Arc<BusError>,
    },
    /// The channel cannot be stopped, and neither can the function. Its buffers were taken from the
    /// device and freed.
    #[error(
        "{channel} cannot be stopped, not by bus mastering nor by a reset; its buffers were \
         taken away from it. Open the engine again, or clear the slot"
    )]
    Unstoppable {
        /// The channel.
        channel: ChannelId,
    },
}

/// The errors of a status register, in words.
struct ErrorList(Status, Direction);

impl fmt::Display for ErrorList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for error in self.0.errors(self.1) {
            write!(f, "{between}{error}")?;
            between = "; ";
        }
        if between.is_empty() {
            write!(
                f,
                "it tells of an error and not of which (status {:#010x})",
                self.0
            )?;
        }
        Ok(())
    }
}

impl DmaError {
    /// What the engine said, when it was the engine that stopped.
    pub fn engine_errors(&self) -> impl Iterator<Item = StatusError> {
        let (status, direction) = match self {
            Self::Engine { channel, status } => (*status, channel.direction),
            _ => (Status::empty(), Direction::H2c),
        };
        status.errors(direction)
    }

    /// Whether the same transfer can work when it is submitted again, with nothing else changed.
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Full { .. } | Self::Aborted { .. } | Self::Reset { .. }
        )
    }
}

/// A transfer that did not take place, or not all of it, and what was given to it.
pub struct Failed<P> {
    /// Why.
    pub error: DmaError,
    /// What was given to the transfer. The device cannot touch it any more. `None` when that could
    /// not be reached ([`DmaError::Unstoppable`]); then it was unmapped and freed.
    pub payload: Option<P>,
}

impl<P> fmt::Debug for Failed<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failed")
            .field("error", &self.error)
            .field("payload", &self.payload.as_ref().map(|_| ".."))
            .finish()
    }
}

impl<P> fmt::Display for Failed<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<P> std::error::Error for Failed<P> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

/// The most channels that an engine can have, both ways together.
pub(super) const MOST_CHANNELS: usize = 2 * CHANNELS as usize;
