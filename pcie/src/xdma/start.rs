//! How a channel is started.

use afi_proto::config_space::Command;
use afi_proto::xdma::{Control, Status};

use super::channel::Submission;
use super::core::Core;
use super::error::DmaError;
use super::ports;
use super::recovery::stop;
use super::state::{State, WRITE_BACK};

impl Core {
    /// Starts the channel with an empty ring.
    pub(super) fn start(&self, state: &mut State) -> Result<(), DmaError> {
        let engine = self.engine();
        let ports = self.ports();
        ports.identify()?;
        // One that came back from where it did not answer may still do what it did before.
        let runs = ports.control()?.contains(Control::RUN);
        if runs || ports.status()?.contains(Status::BUSY) {
            stop(engine, ports, self.id, engine.resets());
        }
        if engine.is_condemned() {
            return Err(DmaError::Unstoppable { channel: self.id });
        }
        let resets = engine.resets();
        let wanted = Command::MEMORY_SPACE | Command::BUS_MASTER;
        let enabled = engine.space.function().enable(wanted);
        enabled.map_err(|source| DmaError::Function {
            channel: self.id,
            source: source.into(),
        })?;
        ports.clear_halt()?;
        ports.take_status()?;
        state.submission = self.choose_submission()?;
        state.begin(self)?;
        ports.set_write_back(state.memory.bus_address() + WRITE_BACK)?;
        let first = state.ring.next();
        ports.set_first_low(first)?;
        ports.set_first_high(first)?;
        ports.set_first_adjacent(0)?;
        let events = self.events();
        ports.set_interrupts(events)?;
        if self.event.is_some() {
            ports::map_vectors(&engine.bar).map_err(|source| DmaError::Register {
                channel: self.id,
                source: source.into(),
            })?;
        }
        ports.let_out(self.event.is_some())?;
        let run = match state.submission {
            Submission::Credits => Control::RUN,
            Submission::Chain { .. } => Control::empty(),
        };
        ports.set_control(Self::control() | run)?;
        state.running = Some(resets);
        Ok(())
    }

    fn choose_submission(&self) -> Result<Submission, DmaError> {
        let ports = self.ports();
        // Off first: that takes away what an earlier run left.
        ports.set_credit_mode(false)?;
        let reason = if !self.options.credits {
            "asked for"
        } else if !ports.set_credit_mode(true)? {
            "the engine does not take descriptor credits: its credit mode reads back as off"
        } else if ports.credits()? != 0 {
            // It would fetch what is not written yet.
            ports.set_credit_mode(false)?;
            "the engine keeps descriptor credits of an earlier run"
        } else {
            return Ok(Submission::Credits);
        };
        tracing::debug!(channel = %self.id, reason, "submits chains");
        Ok(Submission::Chain { reason })
    }

    /// Everything of the control register but the run bit. Completions are noted without interrupts,
    /// too: a write-back is then due by either reading of the guide.
    pub(super) const fn control() -> Control {
        Control::ON_ERRORS
            .union(Control::ON_COMPLETED)
            .union(Control::WRITE_BACK)
    }

    /// What interrupts.
    fn events(&self) -> Control {
        match self.event {
            Some(_) => Control::ON_COMPLETED | Control::ON_ERRORS,
            None => Control::empty(),
        }
    }
}
