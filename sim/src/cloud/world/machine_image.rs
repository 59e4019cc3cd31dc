//! Machine images (AMIs) of the instance, and the snapshots that they are made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::text;
use crate::catalog::{AccountId, Region, Timestamp};

/// A machine image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cloud) struct MachineImage {
    pub(in crate::cloud) region: Region,
    pub(in crate::cloud) owner: AccountId,
    pub(in crate::cloud) name: String,
    pub(in crate::cloud) description: Option<String>,
    pub(in crate::cloud) source_instance: String,
    #[serde(with = "text")]
    pub(in crate::cloud) created: Timestamp,
    /// Pending until then.
    #[serde(with = "text")]
    pub(in crate::cloud) available: Timestamp,
    pub(in crate::cloud) mappings: Vec<Mapping>,
    pub(in crate::cloud) tags: BTreeMap<String, String>,
}

/// A device of the instances that are started from an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cloud) struct Mapping {
    pub(in crate::cloud) device: String,
    /// An instance store volume: `ephemeral0` and so on.
    pub(in crate::cloud) virtual_name: Option<String>,
    pub(in crate::cloud) volume: Option<MappedVolume>,
}

/// A volume that is made for a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cloud) struct MappedVolume {
    pub(in crate::cloud) snapshot: Option<String>,
    /// GiB.
    pub(in crate::cloud) size: u32,
    pub(in crate::cloud) kind: String,
    pub(in crate::cloud) iops: Option<u32>,
    /// MiB/s.
    pub(in crate::cloud) throughput: Option<u32>,
    pub(in crate::cloud) encrypted: bool,
    pub(in crate::cloud) delete_on_termination: bool,
}

/// A snapshot of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cloud) struct Snapshot {
    pub(in crate::cloud) region: Region,
    pub(in crate::cloud) owner: AccountId,
    /// GiB.
    pub(in crate::cloud) size: u32,
    pub(in crate::cloud) tags: BTreeMap<String, String>,
}

impl MachineImage {
    /// As the API writes it.
    pub(in crate::cloud) fn state(&self, now: Timestamp) -> &'static str {
        if now < self.available {
            "pending"
        } else {
            "available"
        }
    }

    /// The snapshots that it is made of.
    pub(in crate::cloud) fn snapshots(&self) -> impl Iterator<Item = &str> {
        self.mappings
            .iter()
            .filter_map(|mapping| mapping.volume.as_ref()?.snapshot.as_deref())
    }
}
