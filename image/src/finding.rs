//! One thing that is wrong with a tarball, where it is, and what to do about it.

use std::fmt;

use serde::Serialize;

use crate::FailureCode;

/// Characters of a text from the archive that are shown.
const SHOWN: usize = 80;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Something to know.
    Note,
    /// The documents do not settle what the service does with it, or it is not what the public
    /// build scripts make.
    Warning,
    /// The documents say that no image is made of it.
    Error,
}

impl Severity {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Where something was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The member of the archive, with what could harm a terminal escaped; `None` for the archive as
    /// a whole.
    pub member: Option<String>,
    /// The line in a text member, from 1.
    pub line: Option<u32>,
    /// The column in the line, in characters, from 1.
    pub column: Option<u32>,
    /// The key of the manifest.
    pub key: Option<&'static str>,
    /// The byte of the archive that it begins at, where that helps.
    pub byte: Option<u64>,
}

impl fmt::Display for Place {
    /// `member:line:column`, as compilers write it, or `byte N`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.member.clone());
        parts.extend(self.line.map(|line| line.to_string()));
        parts.extend(self.column.map(|column| column.to_string()));
        let mut text = parts.join(":");
        if let Some(byte) = self.byte {
            let between = if text.is_empty() { "" } else { ", " };
            text += &format!("{between}byte {byte} of the archive");
        }
        f.pad(&text)
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What the service would answer. The documents give the codes and not always which of them
    /// belongs to what: `docs/images.md` says where this crate had to choose. `None` where the
    /// service is not known to mind.
    pub code: Option<FailureCode>,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What is wrong, in a few words.
    pub message: String,
    /// What was there, with what could harm a terminal escaped.
    pub seen: Option<String>,
    /// What should be there.
    pub wanted: Option<String>,
    /// What to do.
    pub fix: Option<String>,
}

impl Finding {
    /// Something that no image is made of.
    pub(crate) fn error(code: FailureCode, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, Some(code), message)
    }

    /// Something that the service may refuse with this code.
    pub(crate) fn warning(code: FailureCode, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, Some(code), message)
    }

    /// Something to know.
    pub(crate) fn note(message: impl Into<String>) -> Self {
        Self::new(Severity::Note, None, message)
    }

    fn new(severity: Severity, code: Option<FailureCode>, message: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            place: Place::default(),
            message: message.into(),
            seen: None,
            wanted: None,
            fix: None,
        }
    }

    /// In this member.
    pub(crate) fn member(mut self, name: impl Into<String>) -> Self {
        self.place.member = Some(name.into());
        self
    }

    /// At this byte of the archive, if it is one.
    pub(crate) fn byte(mut self, byte: impl Into<Option<u64>>) -> Self {
        self.place.byte = byte.into();
        self
    }

    /// At this place.
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// With this there.
    pub(crate) fn seen(mut self, seen: impl Into<String>) -> Self {
        self.seen = Some(seen.into());
        self
    }

    /// Instead of this.
    pub(crate) fn wanted(mut self, wanted: impl Into<String>) -> Self {
        self.wanted = Some(wanted.into());
        self
    }

    /// With this way out.
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// A text from the archive as it may be shown: without control characters, and not too long.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == SHOWN {
            shown.push('…');
            break;
        }
        match character {
            // What escape_debug does to these helps nobody.
            '\'' | '"' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}

/// The same, in quotation marks.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", shown(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_text_is_shown_without_harm() {
        assert_eq!(shown("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
        assert_eq!(shown("\u{202e}txt"), "\\u{202e}txt");
        let long = shown(&"x".repeat(5000));
        assert_eq!(long.chars().count(), SHOWN + 1);
    }

    #[test]
    fn a_place_is_written_as_compilers_do() {
        let mut place = Place {
            member: Some("to_aws/a.manifest.txt".to_owned()),
            line: Some(3),
            column: Some(15),
            ..Place::default()
        };
        assert_eq!(place.to_string(), "to_aws/a.manifest.txt:3:15");
        place.line = None;
        place.column = None;
        place.byte = Some(512);
        let text = "to_aws/a.manifest.txt, byte 512 of the archive";
        assert_eq!(place.to_string(), text);
    }
}
