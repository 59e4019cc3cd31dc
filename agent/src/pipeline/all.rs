//! Several slots at once.

use std::sync::{Mutex, PoisonError};

use afi_pcie::slots::Slot;
use afi_pcie::{Bus, Deadline};

use super::error::SlotError;
use super::report::{ClearReport, LoadReport};
use super::step::Observer;
use super::{ClearPlan, Context, LoadPlan, clear, load_with};
use crate::resolve::Resolved;

/// Loads an image into several slots at the same time; one result for each, in their order. The
/// image is resolved once: all of them get the same one. `observe` makes the observer of a slot.
pub fn load_all<O: Observer>(
    context: &Context<'_>,
    slots: &[Slot],
    plan: &LoadPlan,
    observe: impl Fn(&Slot) -> O + Sync,
    deadline: &Deadline,
) -> Vec<Result<LoadReport, Box<SlotError>>> {
    let known = Mutex::new(None::<Resolved>);
    let resolve = || {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(resolved) = &*known {
            return Ok(resolved.clone());
        }
        let resolved = context
            .resolver
            .resolve(&plan.image, plan.policy, deadline)?;
        Ok(known.insert(resolved).clone())
    };
    at_once(slots, |slot| {
        load_with(context, slot, plan, &mut observe(slot), deadline, &resolve)
    })
}

/// Clears several slots at the same time; one result for each, in their order. `observe` makes the
/// observer of a slot.
pub fn clear_all<O: Observer>(
    bus: &dyn Bus,
    slots: &[Slot],
    command: &str,
    plan: &ClearPlan,
    observe: impl Fn(&Slot) -> O + Sync,
    deadline: &Deadline,
) -> Vec<Result<ClearReport, Box<SlotError>>> {
    at_once(slots, |slot| {
        clear(bus, slot, command, plan, &mut observe(slot), deadline)
    })
}

/// Does the same to each slot, in a thread of its own.
pub(crate) fn at_once<T: Send>(slots: &[Slot], work: impl Fn(&Slot) -> T + Sync) -> Vec<T> {
    let [slot] = slots else {
        return std::thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = slots
                .iter()
                .map(|slot| scope.spawn(move || work(slot)))
                .collect();
            threads
                .into_iter()
                .map(|thread| match thread.join() {
                    Ok(result) => result,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
                .collect()
        });
    };
    vec![work(slot)]
}
