//! The steps of an operation on a slot, and who is told about them.

use std::fmt;
use std::time::Duration;

use afi_proto::SlotIndex;
use afi_proto::mailbox::ErrorCode;
use serde::Serialize;

use crate::serial;

/// A step of an operation, in the order in which they are taken. An operation leaves out those that
/// it has no need of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Take the slot's lock.
    Lock,
    /// Find out which image is meant.
    Resolve,
    /// See that the image and the slot fit, before anything is touched.
    Check,
    /// Take the application function from a driver that keeps state of the design.
    Detach,
    /// Wait until the shell is idle, and send it the command.
    Send,
    /// Wait until the shell has done it.
    Wait,
    /// Let the host look at the application function anew.
    Rescan,
    /// Switch on what the application function needs.
    Ready,
    /// See that what was wanted really is on the bus.
    Verify,
}

impl Step {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Resolve => "resolve",
            Self::Check => "check",
            Self::Detach => "detach",
            Self::Send => "send",
            Self::Wait => "wait",
            Self::Rescan => "rescan",
            Self::Ready => "ready",
            Self::Verify => "verify",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How long a step took, all tries together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StepTime {
    /// The step.
    pub step: Step,
    /// Its time.
    #[serde(rename = "duration_ms", serialize_with = "serial::millis")]
    pub took: Duration,
}

/// A try of a command to the shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// The step that ended it.
    pub step: Step,
    /// How long it took.
    #[serde(rename = "duration_ms", serialize_with = "serial::millis")]
    pub took: Duration,
    /// What went wrong; `None` when it worked.
    pub error: Option<String>,
    /// The error of the shell, where it was one.
    #[serde(serialize_with = "serial::optional_error")]
    pub code: Option<ErrorCode>,
    /// The pause before the next try; `None` when there was none.
    #[serde(rename = "pause_ms", serialize_with = "serial::optional_millis")]
    pub pause: Option<Duration>,
}

/// What an operation tells while it goes on.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A step begins. A step that is tried again begins again.
    Begin(Step),
    /// A step is over, one way or the other, after this time.
    End(Step, Duration),
    /// A try did not work, and there will be another one.
    Retry(&'a Attempt),
}

/// Somebody who is told what an operation is doing.
pub trait Observer: Send {
    /// Something happened on this slot. It is called between accesses to the slot: it should return
    /// soon.
    fn event(&mut self, slot: SlotIndex, event: Event<'_>);
}

/// Nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn event(&mut self, _: SlotIndex, _: Event<'_>) {}
}
