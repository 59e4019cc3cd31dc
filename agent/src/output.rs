//! How results are written: as text for people, as JSON for programs.
//!
//! A command gives an [`Answer`] or an [`ErrorReport`]; [`write()`] puts it on standard output and
//! standard error. `docs/json.md` describes the JSON.

pub mod error;
pub mod metrics;
pub mod progress;
pub mod report;
pub mod table;
pub mod units;

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value, json};

pub use error::ErrorReport;

/// Version of the JSON. It grows when a field goes or changes its meaning; new fields do not
/// change it.
pub const SCHEMA_VERSION: u32 = 1;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Text for people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// What a command has to say.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// For people, on standard output.
    pub text: String,
    /// For programs: the fields of the document beside those that all have.
    pub fields: Map<String, Value>,
    /// Things to know, for people, on standard error.
    pub hints: Vec<String>,
    /// What went wrong on single slots; the worst decides the exit code.
    pub errors: Vec<ErrorReport>,
    /// Standard output has data of the card, so all of this goes to standard error.
    pub aside: bool,
}

impl Answer {
    /// An answer that is this text, and no fields yet.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// Adds a field to the document.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.fields.insert(name.to_owned(), to_value(value));
        self
    }

    /// The worst error: the one with the highest exit code.
    pub fn worst(&self) -> Option<&ErrorReport> {
        self.errors.iter().max_by_key(|error| error.class)
    }
}

/// As JSON. The types of this crate all have a JSON form.
pub(crate) fn to_value(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("maps have string keys and nothing else can fail")
}

/// Writes an answer. `bus` is the bus that was used, where that is known.
///
/// # Errors
/// When a stream cannot be written.
pub fn write(
    format: Format,
    bus: Option<&str>,
    answer: &Answer,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Text => {
            out.write_all(answer.text.as_bytes())?;
            out.flush()?;
            for hint in &answer.hints {
                writeln!(err, "note: {hint}")?;
            }
            for error in &answer.errors {
                err.write_all(error.to_text().as_bytes())?;
            }
        }
        Format::Json => {
            let mut document = Map::new();
            document.insert("schema_version".to_owned(), SCHEMA_VERSION.into());
            let instance = bus.map(|bus| json!({ "bus": bus }));
            document.insert("instance".to_owned(), to_value(instance));
            document.extend(answer.fields.clone());
            document.insert("hints".to_owned(), to_value(&answer.hints));
            document.insert("error".to_owned(), to_value(answer.worst()));
            serde_json::to_writer_pretty(&mut *out, &document)?;
            writeln!(out)?;
            out.flush()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Class;

    fn written(format: Format, answer: &Answer) -> (String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        write(format, Some("sysfs"), answer, &mut out, &mut err).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(out), text(err))
    }

    fn failed(class: Class) -> ErrorReport {
        ErrorReport::for_test("it failed", class)
    }

    #[test]
    fn a_document_has_what_all_documents_have_and_the_worst_error() {
        let mut answer = Answer::text("words\n").with("slots", [1, 2]);
        answer.hints.push("careful".to_owned());
        answer.errors = vec![
            failed(Class::Busy),
            failed(Class::DeviceGone),
            failed(Class::Failed),
        ];
        let (out, err) = written(Format::Json, &answer);
        assert_eq!(err, "");
        let document: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(document["schema_version"], 1);
        assert_eq!(document["instance"]["bus"], "sysfs");
        assert_eq!(document["slots"], json!([1, 2]));
        assert_eq!(document["hints"], json!(["careful"]));
        assert_eq!(document["error"]["class"], "device-gone");
        assert_eq!(document["error"]["exit_code"], 8);
    }

    #[test]
    fn a_document_without_an_error_says_so() {
        let (out, _) = written(Format::Json, &Answer::default());
        let document: Value = serde_json::from_str(&out).unwrap();
        assert!(document["error"].is_null());
    }

    #[test]
    fn text_goes_to_people_and_what_went_wrong_to_standard_error() {
        let mut answer = Answer::text("words\n").with("slots", [1]);
        answer.hints.push("careful".to_owned());
        answer.errors.push(failed(Class::Busy));
        let (out, err) = written(Format::Text, &answer);
        assert_eq!(out, "words\n");
        assert_eq!(err, "note: careful\nerror: it failed\n");
    }
}
