//! Faults: what can go wrong, by name, seeded and repeatable.
//!
//! Written `NAME[=VALUE][@PROBABILITY][:SLOT]`: `busy-loads=3`, `load-error=afi-power-violation:0`,
//! `load-error=-110@0.1`. Without a slot a fault is everybody's; without a probability it strikes
//! every time. The same seed and the same sequence of commands give the same faults.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use afi_proto::SlotIndex;
use afi_proto::mailbox::ErrorCode;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A kind of fault. [`Kind::ALL`] has a sentence on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The mailbox never takes a request.
    MailboxSilent,
    /// The mailbox takes requests and never answers.
    MailboxMute,
    /// The slot is busy and stays so.
    BusyForever,
    /// The first N loads are refused as busy.
    BusyLoads,
    /// The header of a response is nonsense.
    ResponseMalformed,
    /// A response is shorter than it tells.
    ResponseTruncated,
    /// A response tells more words than the mailbox has.
    ResponseOversized,
    /// A response to somebody else comes before the right one.
    ResponseStale,
    /// Only stale responses come.
    ResponseStaleForever,
    /// A response is of another kind than the request.
    ResponseWrongOpcode,
    /// A load ends in an error.
    LoadError,
    /// A clear ends in an error.
    ClearError,
    /// Other ids appear on the bus than the image has.
    IdsDiffer,
    /// The card does not answer: every read is all ones.
    DeviceGone,
    /// The card goes away when a load begins.
    DeviceGoneOnLoad,
    /// The application function stays away after a load.
    AppMissing,
    /// Bus mastering is off after a load.
    BusMasterOff,
    /// The API answers `RequestLimitExceeded`.
    ApiThrottled,
    /// The API answers with an internal error.
    ApiInternalError,
    /// The API answers after VALUE milliseconds.
    ApiSlow,
    /// The API refuses connections.
    ApiRefused,
    /// The API answers `UnauthorizedOperation`.
    ApiDenied,
    /// The API knows no image.
    ApiEmpty,
    /// The API knows the image and the slot cannot load it.
    ImageGone,
}

/// What the VALUE of a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// It takes none.
    None,
    /// How often it strikes; without one, always.
    OptionalCount,
    /// How often it strikes; it needs one.
    Count,
    /// An error by name or number.
    Error,
    /// Milliseconds.
    Milliseconds,
}

impl Kind {
    /// Every kind: its name, what its value is, and what happens.
    pub const ALL: &'static [(Self, &'static str, ValueKind, &'static str)] = {
        use ValueKind as V;
        &[
            (
                Self::MailboxSilent,
                "mailbox-silent",
                V::OptionalCount,
                "the mailbox never takes a request",
            ),
            (
                Self::MailboxMute,
                "mailbox-mute",
                V::OptionalCount,
                "the mailbox takes requests and never answers",
            ),
            (
                Self::BusyForever,
                "busy-forever",
                V::None,
                "the slot is busy and stays so",
            ),
            (
                Self::BusyLoads,
                "busy-loads",
                V::Count,
                "the first N loads are refused as busy",
            ),
            (
                Self::ResponseMalformed,
                "response-malformed",
                V::OptionalCount,
                "the header of a response is nonsense",
            ),
            (
                Self::ResponseTruncated,
                "response-truncated",
                V::OptionalCount,
                "a response is shorter than it tells",
            ),
            (
                Self::ResponseOversized,
                "response-oversized",
                V::OptionalCount,
                "a response tells more words than the mailbox has",
            ),
            (
                Self::ResponseStale,
                "response-stale",
                V::OptionalCount,
                "a response to somebody else comes before the right one",
            ),
            (
                Self::ResponseStaleForever,
                "response-stale-forever",
                V::None,
                "only responses to somebody else come",
            ),
            (
                Self::ResponseWrongOpcode,
                "response-wrong-opcode",
                V::OptionalCount,
                "a response is of another kind than the request",
            ),
            (
                Self::LoadError,
                "load-error",
                V::Error,
                "a load ends in this error",
            ),
            (
                Self::ClearError,
                "clear-error",
                V::Error,
                "a clear ends in this error",
            ),
            (
                Self::IdsDiffer,
                "ids-differ",
                V::OptionalCount,
                "other ids appear on the bus than the image has",
            ),
            (
                Self::DeviceGone,
                "device-gone",
                V::None,
                "the card does not answer: every read is all ones",
            ),
            (
                Self::DeviceGoneOnLoad,
                "device-gone-on-load",
                V::None,
                "the card goes away when a load begins",
            ),
            (
                Self::AppMissing,
                "app-missing",
                V::OptionalCount,
                "the application function stays away after a load",
            ),
            (
                Self::BusMasterOff,
                "bus-master-off",
                V::OptionalCount,
                "bus mastering is off after a load",
            ),
            (
                Self::ApiThrottled,
                "api-throttled",
                V::OptionalCount,
                "the API answers RequestLimitExceeded",
            ),
            (
                Self::ApiInternalError,
                "api-5xx",
                V::OptionalCount,
                "the API answers with an internal error",
            ),
            (
                Self::ApiSlow,
                "api-slow",
                V::Milliseconds,
                "the API answers after so many milliseconds",
            ),
            (
                Self::ApiRefused,
                "api-refused",
                V::None,
                "the API refuses connections",
            ),
            (
                Self::ApiDenied,
                "api-denied",
                V::OptionalCount,
                "the API answers UnauthorizedOperation",
            ),
            (
                Self::ApiEmpty,
                "api-empty",
                V::OptionalCount,
                "the API knows no image",
            ),
            (
                Self::ImageGone,
                "image-gone",
                V::None,
                "the API knows the image and the slot cannot load it",
            ),
        ]
    };

    fn row(self) -> &'static (Self, &'static str, ValueKind, &'static str) {
        let row = Self::ALL.iter().find(|(kind, ..)| *kind == self);
        row.expect("every kind has a row")
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What its value is.
    pub fn value(self) -> ValueKind {
        self.row().2
    }
}

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
        if let Some(value) = self.value {
            write!(f, "={value}")?;
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
        (ValueKind::Count | ValueKind::Milliseconds, None) => {
            return Err(format!("{name} needs a number: {name}=N"));
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
        Self {
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
        state.faults = faults;
    }

    /// Whether this fault strikes now, at this slot (`None`: not at a slot). Counts it if it does.
    /// Returns its value, or 0.
    pub fn strikes(&self, kind: Kind, slot: Option<SlotIndex>) -> Option<i64> {
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
