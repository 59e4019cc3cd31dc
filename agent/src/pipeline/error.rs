//! What can go wrong in an operation on a slot.

use std::fmt;
use std::time::Duration;

use afi_pcie::mailbox::MailboxError;
use afi_pcie::{BusError, Ended};
use afi_proto::mailbox::{ErrorCode, SlotStatus};
use afi_proto::{AgfiId, BarIndex, Bdf, PciIds};

use super::check::CheckError;
use super::report::{SlotId, SlotState};
use super::step::{Attempt, Step, StepTime};
use crate::lock::LockError;
use crate::problem::{Class, Problem};
use crate::resolve::ResolveError;

/// An operation on a slot that did not work.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} slot {}: the step '{step}' did not work", slot.index)]
pub struct SlotError {
    /// Where.
    pub slot: SlotId,
    /// What was tried.
    pub operation: Operation,
    /// The step that did not work.
    pub step: Step,
    /// Why.
    pub source: StepError,
    /// Whether a command was sent to the shell. If not, nothing on the slot has been touched.
    pub touched: bool,
    /// Whether what was known of the image came from the cache.
    pub from_cache: bool,
    /// What the slot runs after the failure, if its shell could still be asked.
    pub now: Option<SlotState>,
    /// The tries of the command to the shell.
    pub attempts: Vec<Attempt>,
    /// How long each step took.
    pub steps: Vec<StepTime>,
}

/// An operation on a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Load an image, as the caller named it.
    Load(String),
    /// Clear it.
    Clear,
    /// See what it runs.
    Describe,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(image) => write!(f, "load {image} into"),
            Self::Clear => f.write_str("clear"),
            Self::Describe => f.write_str("describe"),
        }
    }
}

/// Why a step did not work.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The slot's lock was not taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// What the caller gave is no image.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The image does not fit.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The shell was not reached, or refused.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// The bus did not do what it was asked for.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The shell was at work on something else, and was not done with it in time.
    #[error("the slot is {status} with an earlier command, and still was after {}", seconds(*.after))]
    StillBusy {
        /// Its status.
        status: SlotStatus,
        /// The time that was waited.
        after: Duration,
    },
    /// The shell has taken the command, and was not done with it in time.
    #[error("the slot is still {status} after {}", seconds(*.after))]
    NotDone {
        /// Its status.
        status: SlotStatus,
        /// The time that was waited.
        after: Duration,
    },
    /// The shell has ended in a state other than the one wanted.
    #[error("the slot is {status} with the error {error}: {}; wanted {wanted}", error.meaning())]
    EndedAs {
        /// Its status.
        status: SlotStatus,
        /// Why.
        error: ErrorCode,
        /// The status wanted.
        wanted: SlotStatus,
    },
    /// The slot runs another image than the one that was sent.
    #[error("the slot runs {}; wanted {wanted}", or_none(*.seen))]
    OtherImage {
        /// What it runs.
        seen: Option<AgfiId>,
        /// What was sent.
        wanted: AgfiId,
    },
    /// The prefetched image is not in the cache.
    #[error("the slot's cache does not hold {wanted}, but {count} other images")]
    NotCached {
        /// What was sent.
        wanted: AgfiId,
        /// How many images the cache holds.
        count: usize,
    },
    /// The application function did not come back.
    #[error(
        "application function {app} did not appear on the bus within {} after a rescan",
        seconds(*.after)
    )]
    Missing {
        /// The function.
        app: Bdf,
        /// The time that was waited.
        after: Duration,
    },
    /// Other ids are on the bus than should be.
    #[error(
        "application function {app} has the ids {seen} on the bus; wanted {wanted}, {according}"
    )]
    OtherIds {
        /// The function.
        app: Bdf,
        /// What it has.
        seen: PciIds,
        /// What it should have.
        wanted: String,
        /// Who says so.
        according: &'static str,
    },
    /// A bit of the command register does not stay on.
    #[error("application function {app}: {bits} was switched on and is off again")]
    StaysOff {
        /// The function.
        app: Bdf,
        /// What.
        bits: String,
    },
    /// A BAR has another size than the family's.
    #[error("application function {app}: {bar} has {seen:#x} bytes; wanted {wanted:#x}")]
    BarSize {
        /// The function.
        app: Bdf,
        /// Which one.
        bar: BarIndex,
        /// What it has.
        seen: u64,
        /// What it should have.
        wanted: u64,
    },
    /// A BAR reads as all ones where that cannot be.
    #[error(
        "application function {app}: {bar} reads as all ones at {offset:#x}, where no device that answers does"
    )]
    AllOnes {
        /// The function.
        app: Bdf,
        /// Which one.
        bar: BarIndex,
        /// Where.
        offset: u64,
    },
    /// The caller did not want to wait any more.
    #[error("interrupted")]
    Interrupted,
}

impl StepError {
    /// Whether a repeat of the command can work without anything else being done: the shell was
    /// busy or silent, failed in a way that passes, or an answer was lost.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Mailbox(MailboxError::Shell { error, .. }) => error.is_transient(),
            Self::EndedAs { error, .. } => error.is_transient(),
            Self::Mailbox(error) => is_lost_answer(error),
            _ => false,
        }
    }

    /// The error of the shell, where it is one.
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Mailbox(MailboxError::Shell { error, .. }) | Self::EndedAs { error, .. } => {
                Some(*error)
            }
            _ => None,
        }
    }

    /// The end of a wait that ends with the deadline; `late` is what it is when that was the time.
    pub(super) fn ended(ended: Ended, late: impl FnOnce(Duration) -> Self) -> Self {
        match ended {
            Ended::Cancelled => Self::Interrupted,
            Ended::TimedOut { after } => late(after),
        }
    }
}

/// Whether the shell may have done what it was asked, and only its answer was lost.
pub(crate) const fn is_lost_answer(error: &MailboxError) -> bool {
    matches!(
        error,
        MailboxError::TimedOut { .. }
            | MailboxError::Length { .. }
            | MailboxError::Malformed { .. }
            | MailboxError::WrongOpcode { .. }
            | MailboxError::OnlyStale { .. }
    )
}

impl Problem for SlotError {
    fn class(&self) -> Class {
        self.source.class()
    }

    fn remedy(&self) -> Option<String> {
        let remedy = self.source.remedy();
        let by_image = matches!(
            self.source.code(),
            Some(ErrorCode::INVALID_AFI_ID | ErrorCode::SHELL_NOT_SUPPORTED)
        );
        if !(self.from_cache && by_image) {
            return remedy;
        }
        let refresh = "what is known of the image is from the cache, so ask the API again first, \
                       with --refresh";
        Some(remedy.map_or_else(|| refresh.to_owned(), |rest| format!("{refresh}; {rest}")))
    }
}

impl Problem for StepError {
    fn class(&self) -> Class {
        match self {
            Self::Lock(error) => error.class(),
            Self::Resolve(error) => error.class(),
            Self::Check(error) => error.class(),
            // The slot was there when the operation began.
            Self::Bus(BusError::NotFound { .. } | BusError::NotFpga { .. })
            | Self::Mailbox(MailboxError::Open {
                source: BusError::NotFound { .. } | BusError::NotFpga { .. },
                ..
            }) => Class::DeviceGone,
            Self::Mailbox(error) => error.class(),
            Self::Bus(error) => error.class(),
            Self::StillBusy { .. } => Class::Busy,
            Self::NotDone { .. } => Class::TimedOut,
            Self::EndedAs { error, .. } => Class::of_shell(*error),
            Self::OtherImage { .. } | Self::OtherIds { .. } | Self::BarSize { .. } => {
                Class::Mismatch
            }
            Self::NotCached { .. } | Self::StaysOff { .. } => Class::Failed,
            Self::Missing { .. } | Self::AllOnes { .. } => Class::DeviceGone,
            Self::Interrupted => Class::Interrupted,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Lock(error) => return error.remedy(),
            Self::Resolve(error) => return error.remedy(),
            Self::Check(error) => return error.remedy(),
            Self::Mailbox(error) => return error.remedy(),
            Self::Bus(error) => return error.remedy(),
            Self::StillBusy { .. } => {
                "allow more time with --timeout; if it stays, stop and start the instance"
            }
            Self::NotDone { .. } => {
                "the shell goes on with it: 'afi describe' tells when it is done; \
                 allow more time with --timeout"
            }
            Self::EndedAs { error, .. } if *error == ErrorCode::OK => {
                "try again, and see that nothing else talks to the slot's mailbox"
            }
            Self::EndedAs { error, .. } => error.remedy(),
            Self::OtherImage { .. } => {
                "see that nothing else loads this slot, the vendor's fpga-* tools for example"
            }
            Self::NotCached { .. } => {
                "load the image without --prefetch to see what is wrong with it"
            }
            Self::Missing { .. } | Self::AllOnes { .. } => {
                "rescan with 'afi describe --rescan', or clear the slot; \
                 if it stays, stop and start the instance"
            }
            Self::OtherIds { .. } => {
                "do not use the slot before it is cleared or loaded again: \
                 what runs is not what was asked for"
            }
            Self::StaysOff { .. } => {
                "load the image again; if it stays, stop and start the instance"
            }
            Self::BarSize { .. } => "report this: the slot is not like its family's",
            Self::Interrupted => return None,
        };
        Some(text.to_owned())
    }
}

fn seconds(duration: Duration) -> String {
    crate::output::units::duration(duration)
}

fn or_none(image: Option<AgfiId>) -> String {
    image.map_or_else(|| "no image".to_owned(), |image| image.to_string())
}
