//! The names of the ways to card memory.

use std::fmt;
use std::str::FromStr;

/// A way to the memory of a card, best ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// The XDMA engine, driven by this program.
    Xdma,
    /// The nodes of the kernel driver.
    Cdev,
    /// Copies by the processor through BAR4.
    Pcis,
}

impl Path {
    /// All, best ones first.
    pub const ALL: [Self; 3] = [Self::Xdma, Self::Cdev, Self::Pcis];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdma => "xdma",
            Self::Cdev => "cdev",
            Self::Pcis => "pcis",
        }
    }

    /// What it is, in a few words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Xdma => "the XDMA engine, driven in user space",
            Self::Cdev => "the kernel driver's device files",
            Self::Pcis => "copies by the processor through BAR4",
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' names no path to card memory; wanted one of {}", names())]
pub struct ParsePathError {
    text: String,
}

fn names() -> String {
    Path::ALL.map(Path::name).join(", ")
}

impl FromStr for Path {
    type Err = ParsePathError;

    fn from_str(text: &str) -> Result<Self, ParsePathError> {
        let found = Self::ALL.into_iter().find(|path| path.name() == text);
        found.ok_or_else(|| ParsePathError {
            text: text.to_owned(),
        })
    }
}
