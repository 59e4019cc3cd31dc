//! What went wrong, ready to be written.

use std::fmt::Write as _;

use afi_proto::SlotIndex;
use serde::Serialize;

use crate::instance::InstanceError;
use crate::lock::LockError;
use crate::pipeline::{Attempt, SlotError, SlotState, Step, StepTime};
use crate::problem::{Class, Problem};
use crate::settings::SettingsError;

/// What went wrong.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorReport {
    /// Its class.
    pub class: Class,
    /// The exit code of the class.
    pub exit_code: u8,
    /// What was tried and did not work.
    pub message: String,
    /// Why, from the nearest cause to the first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Where and in which step, for an operation on a slot.
    #[serde(flatten)]
    pub operation: Option<OperationReport>,
}

/// The part of an [`ErrorReport`] that operations on slots have.
#[derive(Debug, Clone, Serialize)]
pub struct OperationReport {
    /// The slot.
    pub slot: SlotIndex,
    /// The step that did not work.
    pub step: Step,
    /// Whether a command was sent to the shell.
    pub touched: bool,
    /// What the slot runs after the failure, where its shell still told.
    pub now: Option<SlotState>,
    /// The tries of the command to the shell.
    pub attempts: Vec<Attempt>,
    /// How long each step took.
    pub steps: Vec<StepTime>,
}

impl ErrorReport {
    /// The report on an error.
    pub fn new(problem: &dyn Problem) -> Self {
        let mut causes = Vec::new();
        let mut next = problem.source();
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        let class = problem.class();
        Self {
            class,
            exit_code: class.exit_code(),
            message: problem.to_string(),
            causes,
            remedy: problem.remedy(),
            operation: None,
        }
    }

    /// For people: the error and its causes once, what has become of the slot, what to do.
    pub fn to_text(&self) -> String {
        let mut text = format!("error: {}\n", self.message);
        // Writing into a String cannot fail.
        for cause in &self.causes {
            let _ = writeln!(text, "  caused by: {cause}");
        }
        if let Some(operation) = &self.operation {
            for attempt in failures(&operation.attempts) {
                let _ = writeln!(text, "  {attempt}");
            }
            let _ = writeln!(text, "note: {}", operation.aftermath(self.class));
        }
        if let Some(remedy) = &self.remedy {
            let _ = writeln!(text, "help: {remedy}");
        }
        text
    }
}

impl OperationReport {
    /// What has become of the slot.
    fn aftermath(&self, class: Class) -> String {
        let slot = self.slot;
        match (&self.now, self.touched) {
            (_, false) => "nothing on the slot has been touched".to_owned(),
            (Some(now), true) => {
                let still = if now.status.is_transient() {
                    format!("; 'afi describe {slot}' tells when it is done")
                } else {
                    String::new()
                };
                format!("slot {slot} is now {}{still}", super::report::state(now))
            }
            (None, true) if class == Class::DeviceGone => {
                format!("slot {slot} does not answer, so what it runs is not known")
            }
            (None, true) => {
                format!("what slot {slot} runs now is not known; 'afi describe {slot}' tells")
            }
        }
    }
}

/// The tries before the last one, as lines; the last one is what the error itself tells.
fn failures(attempts: &[Attempt]) -> impl Iterator<Item = String> + '_ {
    attempts
        .iter()
        .filter(|attempt| attempt.pause.is_some())
        .map(super::report::attempt)
}

impl From<&SlotError> for ErrorReport {
    fn from(error: &SlotError) -> Self {
        let operation = OperationReport {
            slot: error.slot.index,
            step: error.step,
            touched: error.touched,
            now: error.now,
            attempts: error.attempts.clone(),
            steps: error.steps.clone(),
        };
        Self {
            operation: Some(operation),
            ..Self::new(error)
        }
    }
}

impl From<Box<SlotError>> for Box<ErrorReport> {
    fn from(error: Box<SlotError>) -> Self {
        Self::new((&*error).into())
    }
}

macro_rules! from_problem {
    ($($error:ty),*) => {$(
        impl From<$error> for Box<ErrorReport> {
            fn from(error: $error) -> Self {
                Self::new(ErrorReport::new(&error))
            }
        }
    )*};
}

from_problem!(
    InstanceError,
    LockError,
    SettingsError,
    afi_pcie::BusError,
    afi_pcie::card_memory::CardMemoryError,
    afi_pcie::mailbox::MailboxError
);

#[cfg(test)]
impl ErrorReport {
    pub(crate) fn for_test(message: &str, class: Class) -> Self {
        Self {
            class,
            exit_code: class.exit_code(),
            message: message.to_owned(),
            causes: Vec::new(),
            remedy: None,
            operation: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afi_pcie::Ended;

    #[test]
    fn an_error_is_told_once_with_its_causes_and_the_remedy() {
        let source = Ended::TimedOut {
            after: std::time::Duration::from_secs(2),
        };
        let mgmt = "0000:00:1e.0".parse().unwrap();
        let error = LockError::Held {
            mgmt,
            holder: None,
            source,
        };
        assert_eq!(
            ErrorReport::new(&error).to_text(),
            "error: the slot with management function 0000:00:1e.0 is locked by another process\n  \
             caused by: not done after 2 s\n\
             help: wait for it to end, allow more time with --timeout, or end it\n"
        );
    }

    #[test]
    fn what_has_become_of_the_slot_is_told() {
        let mut report = OperationReport {
            slot: SlotIndex(3),
            step: Step::Check,
            touched: false,
            now: None,
            attempts: Vec::new(),
            steps: Vec::new(),
        };
        let untouched = "nothing on the slot has been touched";
        assert_eq!(report.aftermath(Class::Mismatch), untouched);
        report.touched = true;
        let gone = report.aftermath(Class::DeviceGone);
        assert_eq!(gone, "slot 3 does not answer, so what it runs is not known");
        let unknown = report.aftermath(Class::TimedOut);
        assert!(unknown.ends_with("'afi describe 3' tells"), "{unknown}");
    }
}
