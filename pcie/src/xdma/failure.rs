//! How everything on a channel ends that has to stop: who gets which error, and what is done first.

use afi_proto::xdma::Status;

use super::core::Core;
use super::error::DmaError;
use super::flight::Place;
use super::recovery::{Reach, stop};
use super::state::State;

/// Why a channel stops.
pub(super) enum Cause {
    /// Something that happened to the transfer it was at.
    Current(DmaError),
    /// A transfer's owner does not wait for it any longer.
    Ended(Place, DmaError),
    /// The function was reset.
    Reset,
}

impl Core {
    /// Stops the channel, and ends everything on it. It is started again by the next submission.
    #[cold]
    pub(super) fn fail(&self, state: &mut State, cause: &Cause) {
        let reach = match (cause, state.running) {
            (Cause::Reset, _) | (_, None) => Reach::Reset,
            (_, Some(resets)) => stop(self.engine(), self.ports(), self.id, resets),
        };
        let mut told = state.errors;
        if let Reach::Stopped { completed, status } = reach {
            told |= status;
            // A count that cannot be is not trusted; the transfers then count as not done.
            let _ = state.count_register(completed);
        }
        let mut first = true;
        while let Some((place, ..)) = state.flight.oldest() {
            let outcome = if reach == Reach::Unstoppable {
                state.flight.give_up_oldest();
                DmaError::Unstoppable { channel: self.id }
            } else {
                self.outcome(cause, place, first, told)
            };
            first = false;
            state.flight.finish_oldest(Err(outcome));
        }
        if reach == Reach::Unstoppable {
            // The descriptors, too.
            drop(state.memory.take());
        }
        state.ring.clear();
        state.running = None;
        state.chain_runs = false;
        if let Some(event) = &self.event {
            event.pass_on();
        }
    }

    /// What a transfer ends with that was under way when the channel was stopped.
    fn outcome(&self, cause: &Cause, place: Place, first: bool, told: Status) -> DmaError {
        let channel = self.id;
        match cause {
            Cause::Reset => DmaError::Reset { channel },
            Cause::Current(DmaError::Engine { status, .. }) if first => DmaError::Engine {
                channel,
                status: *status | told,
            },
            // The engine stopped by itself, and nobody had looked yet.
            _ if first && !told.is_empty() => DmaError::Engine {
                channel,
                status: told,
            },
            Cause::Current(error) if first => error.clone(),
            Cause::Ended(ended, error) if *ended == place => error.clone(),
            // What ails the function ails every transfer.
            Cause::Current(error) | Cause::Ended(_, error) if concerns_all(error) => error.clone(),
            _ => DmaError::Aborted { channel },
        }
    }
}

/// Whether an error is of the function, not of a transfer.
const fn concerns_all(error: &DmaError) -> bool {
    matches!(
        error,
        DmaError::Gone { .. }
            | DmaError::NoEngine { .. }
            | DmaError::BusMasteringOff { .. }
            | DmaError::Stopped { .. }
            | DmaError::Register { .. }
            | DmaError::Function { .. }
    )
}
