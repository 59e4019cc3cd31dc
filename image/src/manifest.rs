//! The manifest: `key=value` lines, blank lines between them allowed (`AFI_Manifest.md`, version 2).

pub(crate) mod key;

use crate::FailureCode;
use crate::finding::{Finding, Place, quoted};
use crate::report::Report;
use key::Key;

/// The lines of a manifest that were understood.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// The first line of each key, in the order of [`Key::ALL`].
    values: [Option<Value>; Key::ALL.len()],
    /// The name of the manifest, as it is shown.
    member: String,
}

/// The value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    /// Without spaces around it.
    pub(crate) text: String,
    /// Where the value begins.
    pub(crate) place: Place,
}

/// Takes a manifest apart. What is wrong with its form goes into the report.
pub(crate) fn parse(bytes: &[u8], member: &str, report: &mut Report) -> Lines {
    let mut lines = Lines {
        member: member.to_owned(),
        ..Lines::default()
    };
    let text = match decode(bytes, member) {
        Ok(text) => text,
        Err(finding) => {
            report.add(*finding);
            return lines;
        }
    };
    if text.contains('\r') {
        let found = "the lines end as on Windows, with a carriage return";
        let fix = "convert it: dos2unix, or sed -i 's/\\r$//'";
        report.add(failed(Finding::warning, found).member(member).fix(fix));
    }
    for (number, line) in text.lines().enumerate() {
        // A carriage return alone was reported above.
        let line = line.trim_end_matches('\r');
        lines.line(number as u32 + 1, line, report);
    }
    lines
}

impl Lines {
    /// The value of a key, if it has one.
    pub(crate) fn get(&self, key: Key) -> Option<&Value> {
        self.values[key.index()].as_ref()
    }

    /// Whether nothing was understood.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }

    /// Where a key that is not there would be: the manifest.
    pub(crate) fn place_of(&self, key: Key) -> Place {
        Place {
            member: Some(self.member.clone()),
            key: Some(key.name()),
            ..Place::default()
        }
    }

    fn line(&mut self, number: u32, line: &str, report: &mut Report) {
        let place = |column: usize| Place {
            member: Some(self.member.clone()),
            line: Some(number),
            column: Some(column as u32 + 1),
            ..Place::default()
        };
        let columns = |text: &str| text.chars().count();
        if line.trim().is_empty() {
            return;
        }
        let Some((name, value)) = line.split_once('=') else {
            report.add(
                failed(Finding::error, "a line is no 'key=value'")
                    .at(place(0))
                    .seen(quoted(line))
                    .wanted("'key=value', or an empty line")
                    .fix(not_a_pair(line)),
            );
            return;
        };
        let indent = columns(name) - columns(name.trim_start());
        let value_at = columns(name) + 1 + columns(value) - columns(value.trim_start());
        if name.trim() != name || value.trim() != value {
            let found = failed(
                Finding::warning,
                "there is space around the key or the value",
            );
            let fix = "take the spaces out: the documents show none";
            report.add(found.at(place(indent)).seen(quoted(line)).fix(fix));
        }
        let Some(key) = Key::named(name.trim()) else {
            report.add(unknown(name.trim()).at(place(indent)));
            return;
        };
        let value = Value {
            text: value.trim().to_owned(),
            place: Place {
                key: Some(key.name()),
                ..place(value_at)
            },
        };
        self.set(key, value, report);
    }

    fn set(&mut self, key: Key, value: Value, report: &mut Report) {
        let slot = &mut self.values[key.index()];
        let Some(first) = slot else {
            *slot = Some(value);
            return;
        };
        let line = first.place.line.unwrap_or_default();
        let (found, seen) = if first.text == value.text {
            (Finding::warning as Make, "the same value".to_owned())
        } else {
            let both = format!("{} after {}", quoted(&value.text), quoted(&first.text));
            (Finding::error as Make, both)
        };
        report.add(
            failed(
                found,
                format!("{} is there already, in line {line}", key.name()),
            )
            .at(value.place)
            .seen(seen)
            .wanted("one line for each key")
            .fix("remove one of the lines"),
        );
    }
}

/// A way to make a finding: [`Finding::error`] or [`Finding::warning`].
type Make = fn(FailureCode, String) -> Finding;

fn failed(make: Make, message: impl Into<String>) -> Finding {
    make(FailureCode::ManifestParseFailed, message.into())
}

/// The text of a manifest.
fn decode<'a>(bytes: &'a [u8], member: &str) -> Result<&'a str, Box<Finding>> {
    let encoded = |found: &str, seen: &str| {
        let fix = "save it as plain text: UTF-8 without a byte order mark";
        let found = failed(Finding::error, found).member(member);
        Box::new(found.seen(seen).wanted("ASCII text").fix(fix))
    };
    let known = "the manifest is not encoded as plain text";
    match bytes {
        [] => {
            let found = failed(Finding::error, "the manifest is empty").member(member);
            return Err(Box::new(found.fix("write it anew with 'afi image pack'")));
        }
        [0xEF, 0xBB, 0xBF, ..] => return Err(encoded(known, "a byte order mark")),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => return Err(encoded(known, "UTF-16")),
        _ => {}
    }
    let text = std::str::from_utf8(bytes);
    let bad = match text {
        Ok(text) => match text.find('\0') {
            None => return Ok(text),
            Some(at) => at,
        },
        Err(error) => error.valid_up_to(),
    };
    let before = String::from_utf8_lossy(&bytes[..bad]);
    let (line, start) = match before.rfind('\n') {
        Some(at) => (before.matches('\n').count() + 1, at + 1),
        None => (1, 0),
    };
    let mut finding = encoded(
        "the manifest has a byte that is no text",
        &format!("{:#04x}", bytes[bad]),
    );
    finding.place.line = Some(line as u32);
    finding.place.column = Some(before[start..].chars().count() as u32 + 1);
    Err(finding)
}

fn not_a_pair(line: &str) -> String {
    let line = line.trim_start();
    if line.starts_with(['#', '/', ';']) {
        return "remove it: a manifest has no comments".to_owned();
    }
    match line.split_once(':') {
        Some((name, _)) if Key::named(name.trim()).is_some() => {
            format!("write '{}=' instead of ':'", name.trim())
        }
        _ => "remove it, or write the key before it".to_owned(),
    }
}

fn unknown(name: &str) -> Finding {
    let found = failed(Finding::warning, "the documents know no such key").seen(quoted(name));
    match Key::nearest(name) {
        Some(key) => found.fix(format!("write '{}', if that is meant", key.name())),
        None => found.fix("remove the line"),
    }
}
