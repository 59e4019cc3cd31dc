//! Why a function could not be put onto a driver or taken off it.

use std::fmt;
use std::path::PathBuf;

use crate::Ended;
use crate::vfio::VfioError;

/// Why a function could not be put onto a driver or taken off it.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// What it takes is not there. Nothing was touched.
    #[error(transparent)]
    NotPossible {
        /// What is missing or in the way.
        #[from]
        source: VfioError,
    },
    /// The kernel refused a step.
    #[error("cannot write '{text}' to {path}; {undone}")]
    Order {
        /// What was written.
        text: String,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
        /// What became of the steps before it.
        undone: NotUndone,
    },
    /// The kernel did not finish a step.
    #[error("the kernel did not finish with '{text}' that was written to {path}; {undone}")]
    Unfinished {
        /// What was written.
        text: String,
        /// To which file.
        path: PathBuf,
        /// Why the wait ended.
        source: Ended,
        /// What became of the steps before it.
        undone: NotUndone,
    },
    /// The kernel took every step, and the function is not on the driver.
    #[error("the function is {} after the kernel was asked to put it onto {driver}; {undone}", on(found.as_deref()))]
    OtherDriver {
        /// The driver that was wanted.
        driver: &'static str,
        /// The driver that it is on.
        found: Option<String>,
        /// Why the wait ended.
        source: Ended,
        /// What became of the steps before it.
        undone: NotUndone,
    },
    /// A file cannot be read.
    #[error("cannot read {path}; {undone}")]
    Look {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
        /// What became of the steps before it.
        undone: NotUndone,
    },
}

/// Which steps could not be undone after a later one had failed; none, as a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotUndone(pub(super) Vec<String>);

impl NotUndone {
    /// Whether everything is as it was.
    pub const fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for NotUndone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("everything is as it was");
        }
        write!(f, "NOT as it was: {}", self.0.join("; "))
    }
}

impl BindError {
    /// The same, with what could not be undone.
    pub(super) fn with(mut self, not_undone: Vec<String>) -> Self {
        match &mut self {
            Self::NotPossible { .. } => {}
            Self::Order { undone, .. }
            | Self::Unfinished { undone, .. }
            | Self::OtherDriver { undone, .. }
            | Self::Look { undone, .. } => undone.0 = not_undone,
        }
        self
    }
}

fn on(driver: Option<&str>) -> String {
    driver.map_or_else(
        || "on no driver".to_owned(),
        |driver| format!("on {driver}"),
    )
}
