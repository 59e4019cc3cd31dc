//! Faults: what can go wrong, by name, seeded and repeatable.
//!
//! Written `NAME[=VALUE][@PROBABILITY][:SLOT]`: `busy-loads=3`, `load-error=afi-power-violation:0`,
//! `load-error=-110@0.1`. Without a slot a fault is everybody's; without a probability it strikes
//! every time. The same seed and the same sequence of commands give the same faults.

mod kind;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use afi_proto::SlotIndex;
use afi_proto::mailbox::ErrorCode;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use kind::{Kind, ValueKind};

use crate::catalog::Failure;

/// A fault that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// The number that goes with it: a count, milliseconds or an error code.
    pub value: Option<i64>,
    /// How likely it strikes each time, 0 to 1.
    pub probability: f64,
    /// Where; `None` for everywhere.
    pub slot: Option<SlotIndex>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        match (self.kind.value(), self.value) {
            (ValueKind::Failure, Some(place)) => {
                let place = usize::try_from(place).unwrap_or(usize::MAX);
                let code = Failure::creation_codes().nth(place).unwrap_or("?");
                write!(f, "={code}")?;
            }
            (_, Some(value)) => write!(f, "={value}")?,
            (_, None) => {}
        }
        if self.probability < 1.0 {
            write!(f, "@{}", self.probability)?;
        }
        match self.slot {
            Some(slot) => write!(f, ":{slot}"),
            None => Ok(()),
        }
    }
}

/// A text that is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no fault: {why}; `afi-sim faults` lists them all")]
pub struct ParseFaultError {
    text: String,
    why: String,
}

impl FromStr for Fault {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, ParseFaultError> {
        parse(text).map_err(|why| ParseFaultError {
            text: text.to_owned(),
            why,
        })
    }
}

fn parse(text: &str) -> Result<Fault, String> {
    let (rest, slot) = match text.rsplit_once(':') {
        None => (text, None),
        Some((rest, slot)) => {
            let slot = slot
                .parse()
                .map_err(|_| format!("'{slot}' is no slot number"))?;
            (rest, Some(SlotIndex(slot)))
        }
    };
    let (rest, probability) = match rest.split_once('@') {
        None => (rest, 1.0),
        Some((rest, text)) => {
            let probability = text.parse().ok().filter(|p| (0.0..=1.0).contains(p));
            (
                rest,
                probability.ok_or_else(|| format!("'{text}' is no probability from 0 to 1"))?,
            )
        }
    };
    let (name, value) = match rest.split_once('=') {
        None => (rest, None),
        Some((name, value)) => (name, Some(value)),
    };
    let (kind, _, wanted, _) = Kind::ALL
        .iter()
        .find(|(_, known, ..)| *known == name)
        .ok_or("there is none of this name")?;
    let number = |text: &str| {
        text.parse::<u32>()
            .map(i64::from)
            .map_err(|_| format!("'{text}' is no number"))
    };
    let value = match (wanted, value) {
        (ValueKind::None, None) | (ValueKind::OptionalCount, None) => None,
        (ValueKind::None, Some(_)) => return Err(format!("{name} takes no value")),
        (ValueKind::OptionalCount | ValueKind::Count | ValueKind::Milliseconds, Some(value)) => {
            Some(number(value)?)
        }
        (ValueKind::Error, Some(value)) => Some(i64::from(error_code(value)?.0)),
        (ValueKind::Failure, Some(value)) => Some(failure_number(value)?),
        (ValueKind::Count | ValueKind::Milliseconds, None) => {
            return Err(format!("{name} needs a number: {name}=N"));
        }
        (ValueKind::Failure, None) => {
            return Err(format!("{name} needs a code: {name}=DCP_CORRUPT"));
        }
        (ValueKind::Error, None) => {
            return Err(format!(
                "{name} needs an error by name or number: {name}=afi-power-violation"
            ));
        }
    };
    Ok(Fault {
        kind: *kind,
        value,
        probability,
        slot,
    })
}

/// The place of a code among those of a creation, from 0.
fn failure_number(text: &str) -> Result<i64, String> {
    let mut codes = Failure::creation_codes();
    let place = codes.position(|code| code == text);
    place
        .and_then(|place| i64::try_from(place).ok())
        .ok_or_else(|| {
            let known: Vec<&str> = Failure::creation_codes().collect();
            let known = known.join(", ");
            format!("'{text}' is no failure of a creation; wanted one of {known}")
        })
}

fn error_code(text: &str) -> Result<ErrorCode, String> {
    let named = ErrorCode::ALL.iter().find(|error| error.name() == text);
    let code = named.copied().or_else(|| text.parse().ok().map(ErrorCode));
    code.filter(|code| *code != ErrorCode::OK)
        .ok_or_else(|| format!("'{text}' is no error of the shell"))
}

/// The faults of an instance: asked at each point where one can strike.
#[derive(Debug)]
pub struct FaultPlan {
    state: Mutex<State>,
    /// There are faults at all: asked many million times a second by DMA.
    armed: AtomicBool,
}

#[derive(Debug)]
struct State {
    seed: u64,
    faults: Vec<Fault>,
    /// How often each fault has struck, by its place in `faults`.
    struck: Vec<u32>,
    /// One stream of chance for each place, so that slots do not disturb each other.
    chance: HashMap<Option<SlotIndex>, ChaCha8Rng>,
}

impl FaultPlan {
    /// A plan with these faults.
    pub fn new(seed: u64, faults: Vec<Fault>) -> Self {
        let struck = vec![0; faults.len()];
        let chance = HashMap::new();
        let armed = AtomicBool::new(!faults.is_empty());
        Self {
            armed,
            state: Mutex::new(State {
                seed,
                faults,
                struck,
                chance,
            }),
        }
    }

    /// A plan in which nothing goes wrong.
    pub fn none() -> Self {
        Self::new(0, Vec::new())
    }

    /// Replaces the faults, from now on.
    pub fn set(&self, faults: Vec<Fault>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.struck = vec![0; faults.len()];
        self.armed.store(!faults.is_empty(), Ordering::Release);
        state.faults = faults;
    }

    /// Whether this fault strikes now, at this slot (`None`: not at a slot). Counts it if it does.
    /// Returns its value, or 0.
    pub fn strikes(&self, kind: Kind, slot: Option<SlotIndex>) -> Option<i64> {
        if !self.armed.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State {
            seed,
            faults,
            struck,
            chance,
        } = &mut *state;
        let counted = matches!(kind.value(), ValueKind::Count | ValueKind::OptionalCount);
        for (fault, struck) in faults.iter().zip(struck) {
            let here = fault.slot.is_none() || fault.slot == slot;
            let spent = counted && fault.value.is_some_and(|limit| i64::from(*struck) >= limit);
            if fault.kind != kind || !here || spent {
                continue;
            }
            if fault.probability < 1.0 {
                let stream = slot.map_or(0, |slot| u64::from(slot.0) + 1);
                let chance = chance.entry(slot).or_insert_with(|| {
                    let mut chance = ChaCha8Rng::seed_from_u64(*seed);
                    chance.set_stream(stream);
                    chance
                });
                if !chance.random_bool(fault.probability) {
                    continue;
                }
            }
            *struck += 1;
            return Some(fault.value.unwrap_or(0));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_survives_its_text() {
        for text in [
            "mailbox-silent",
            "busy-loads=3:1",
            "load-error=17@0.25:0",
            "api-slow=200",
            "load-error=-110",
            "response-stale=1",
        ] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        let fault: Fault = "load-error=afi-power-violation".parse().unwrap();
        assert_eq!(fault.value, Some(17));
    }

    #[test]
    fn what_is_no_fault_is_refused_with_the_reason() {
        for (text, why) in [
            ("nothing", "none of this name"),
            ("busy-loads", "needs a number"),
            ("load-error=banana", "no error of the shell"),
            ("load-error=0", "no error"),
            ("device-gone=1", "takes no value"),
            ("api-slow=x", "no number"),
            ("mailbox-mute@2", "no probability"),
            ("mailbox-mute:x", "no slot number"),
        ] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_counted_fault_strikes_so_often_and_where_it_was_told() {
        let plan = FaultPlan::new(1, vec!["busy-loads=2:1".parse().unwrap()]);
        let at = |slot| {
            plan.strikes(Kind::BusyLoads, Some(SlotIndex(slot)))
                .is_some()
        };
        assert!(!at(0));
        assert!(at(1) && at(1));
        assert!(!at(1));
    }

    #[test]
    fn chance_is_the_same_for_the_same_seed_whatever_other_slots_do() {
        let run = |disturb: bool| -> Vec<bool> {
            let plan = FaultPlan::new(7, vec!["load-error=-110@0.5".parse().unwrap()]);
            (0..64)
                .map(|_| {
                    if disturb {
                        plan.strikes(Kind::LoadError, Some(SlotIndex(5)));
                    }
                    plan.strikes(Kind::LoadError, Some(SlotIndex(0))).is_some()
                })
                .collect()
        };
        assert_eq!(run(false), run(true));
        assert!(run(false).contains(&true) && run(false).contains(&false));
    }

    #[test]
    fn every_kind_has_a_row_of_its_own() {
        let mut names: Vec<_> = Kind::ALL.iter().map(|(kind, ..)| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len());
    }
}
