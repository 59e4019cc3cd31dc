//! Images that are being created or copied.

use afi_proto::{AfiId, Family, ShellVersion};
use serde::{Deserialize, Serialize};

use super::text;
use crate::catalog::{Failure, Region, Timestamp};

/// What is under way with an image that is pending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cloud) struct Job {
    /// When it is done.
    #[serde(with = "text")]
    pub(in crate::cloud) due: Timestamp,
    pub(in crate::cloud) work: Work,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cloud) enum Work {
    Create(Box<Creation>),
    Copy { source: AfiId, region: Region },
}

/// The creation of an image from a tarball.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cloud) struct Creation {
    pub(in crate::cloud) input: Location,
    pub(in crate::cloud) logs: Option<Location>,
    /// The model of custom logic that the request chose.
    pub(in crate::cloud) model: Option<String>,
    /// What was found in the tarball; `None` as long as it is being checked.
    pub(in crate::cloud) verdict: Option<Verdict>,
}

/// A place in the object store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cloud) struct Location {
    pub(in crate::cloud) bucket: String,
    pub(in crate::cloud) key: String,
}

/// What was found in a tarball.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cloud) struct Verdict {
    /// What the image is made of, or why there is none.
    pub(in crate::cloud) outcome: Result<Built, Failure>,
    /// Lines for the log: what was found, in the checker's words.
    pub(in crate::cloud) findings: Vec<String>,
}

/// What a manifest says about an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cloud) struct Built {
    pub(in crate::cloud) family: Family,
    pub(in crate::cloud) shell: ShellVersion,
    /// PCI vendor, device, subsystem vendor and subsystem.
    pub(in crate::cloud) ids: [u16; 4],
    /// Names of clock recipes, such as `A1`.
    pub(in crate::cloud) recipes: Vec<String>,
}

impl Job {
    /// Whether a tarball is still to be checked.
    pub(super) fn is_unchecked(&self) -> bool {
        matches!(&self.work, Work::Create(creation) if creation.verdict.is_none())
    }
}
