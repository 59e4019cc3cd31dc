//! Answers about several slots.

use serde::Serialize;
use serde_json::{Value, json};

use crate::output::{Answer, ErrorReport, to_value};
use crate::pipeline::SlotError;

/// The results of an operation on several slots: reports for those that worked, errors for those
/// that did not, in the order of the slots.
pub(super) fn answer<R: Serialize>(
    field: &str,
    results: Vec<Result<R, Box<SlotError>>>,
    text: impl Fn(&R) -> String,
) -> Answer {
    let mut answer = Answer::default();
    let mut documents = Vec::new();
    for result in results {
        match result {
            Ok(report) => {
                answer.text += &text(&report);
                documents.push(to_value(report));
            }
            Err(error) => {
                let report = ErrorReport::from(&*error);
                documents.push(failed(&error, &report));
                answer.errors.push(report);
            }
        }
    }
    answer.with(field, documents)
}

/// The document of a slot on which an operation did not work: which slot it is, and `error`.
pub(super) fn failed(error: &SlotError, report: &ErrorReport) -> Value {
    let mut document = to_value(error.slot);
    document["error"] = json!(report);
    document
}
