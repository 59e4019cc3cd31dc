//! How a channel that must stop is stopped, so that its buffers can go back to their owners.
//!
//! A ladder. Each rung is taken only when the one before it did not hold:
//!
//! 1. Clear the run bit, wait until the channel is idle.
//! 2. Switch off the function's bus mastering, and see that it is off: nothing leaves it any more.
//! 3. Reset the function, and let it onto the bus again.
//!
//! A function that does not answer in configuration space either is gone from the bus, and cannot
//! touch anything. Where none of this can be had, the buffers' mappings are taken away.

use std::sync::PoisonError;
use std::time::Duration;

use afi_proto::config_space::{self, Command};
use afi_proto::xdma::Status;

use super::engine::Shared;
use super::error::{ChannelId, DmaError};
use super::ports::{Ports, masters_bus};
use crate::bus::Function;
use crate::{Backoff, BusError, Deadline};

/// How long a channel may take to become idle. It finishes the pieces that it has begun: at most
/// [`MAX_LENGTH`](afi_proto::xdma::MAX_LENGTH) bytes of each, 20 ms of the link of F1.
pub const STOP_WITHIN: Duration = Duration::from_millis(100);
/// The longest pause between two looks at it.
const LOOK: Duration = Duration::from_millis(1);

/// How a channel was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// It is idle.
    Stopped {
        /// Descriptors that it completed since it was started.
        completed: u32,
        /// The errors that it told of, and that are cleared now.
        status: Status,
    },
    /// The function was reset and may use the bus again.
    Reset,
    /// The function may not use the bus any more.
    Off,
    /// The function is gone from the bus.
    Gone,
    /// The function may still touch memory.
    Unstoppable,
}

/// Stops a channel that was started when the function had been reset so many times.
pub(super) fn stop(engine: &Shared, ports: &Ports, channel: ChannelId, resets: u64) -> Reach {
    match make_idle(ports) {
        Ok(Some(stopped)) => return stopped,
        Ok(None) => tracing::warn!(%channel, "does not stop"),
        Err(error) => tracing::debug!(%channel, %error, "cannot be stopped by its registers"),
    }
    let _one_at_a_time = engine.ladder.lock().unwrap_or_else(PoisonError::into_inner);
    if engine.resets() != resets {
        // Another channel's turn brought this one to a stop.
        return if engine.is_condemned() {
            Reach::Off
        } else {
            Reach::Reset
        };
    }
    let function = engine.space.function().as_ref();
    match bus_master_off(function, channel) {
        Ok(()) => {}
        Err(DmaError::Gone { .. }) => return Reach::Gone,
        Err(error) => {
            tracing::error!(%channel, %error, "bus mastering cannot be switched off");
            engine.condemn();
            return Reach::Unstoppable;
        }
    }
    if let Err(error) = reset(function) {
        tracing::error!(%channel, %error, "the function stays off the bus: it cannot be reset");
        engine.condemn();
        engine.note_reset();
        return Reach::Off;
    }
    tracing::warn!(%channel, "the function was reset");
    engine.note_reset();
    Reach::Reset
}

/// The first rung; `None` when the channel stays busy.
fn make_idle(ports: &Ports) -> Result<Option<Reach>, DmaError> {
    ports.identify()?;
    ports.stop()?;
    let deadline = Deadline::after(STOP_WITHIN);
    let mut backoff = Backoff::up_to(LOOK);
    while ports.status()?.contains(Status::BUSY) {
        if backoff.wait(&deadline).is_err() {
            return Ok(None);
        }
    }
    let completed = ports.completed()?;
    let status = ports.take_status()? & Status::ERRORS;
    Ok(Some(Reach::Stopped { completed, status }))
}

/// The second rung. The read that sees it done comes back after everything that the function had
/// sent before (PCI Express ordering: an answer does not pass a write).
fn bus_master_off(function: &dyn Function, channel: ChannelId) -> Result<(), DmaError> {
    let failed = |source: BusError| match source {
        BusError::Gone { .. } | BusError::NotFound { .. } => DmaError::Gone { channel },
        source => DmaError::Function {
            channel,
            source: source.into(),
        },
    };
    let command = function.command().map_err(failed)?;
    if command.bits() == u16::MAX {
        return Err(DmaError::Gone { channel });
    }
    let off = (command - Command::BUS_MASTER).bits().to_le_bytes();
    function
        .write_config(config_space::COMMAND, &off)
        .map_err(failed)?;
    if masters_bus(function, channel)? {
        return Err(DmaError::Unstoppable { channel });
    }
    Ok(())
}

/// The third rung.
fn reset(function: &dyn Function) -> Result<(), BusError> {
    function.reset()?;
    function.enable(Command::MEMORY_SPACE | Command::BUS_MASTER)?;
    Ok(())
}
