//! What can have tags: FPGA images, machine images, snapshots, and the instance.

use afi_proto::AfiId;

use super::Call;
use crate::cloud::error::ApiError;
use crate::cloud::query::shown;
use crate::cloud::rules::{self, Tags};
use crate::cloud::world::Change;

/// A resource of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resource {
    FpgaImage(AfiId),
    MachineImage(String),
    Snapshot(String),
    Instance,
}

impl Resource {
    /// The resource with this id, if it is there and the caller's.
    pub(super) fn find(call: &Call<'_>, change: &Change<'_>, id: &str) -> Result<Self, ApiError> {
        let caller = call.caller;
        match id.split_once('-') {
            Some(("afi", _)) => {
                let afi = rules::parse_afi(id)?;
                super::owned(&change.catalog, caller, afi)?;
                Ok(Self::FpgaImage(afi))
            }
            Some(("ami", _)) => {
                let known = change.state.machine_images.get(id);
                let ours = known
                    .filter(|image| image.region == caller.region && image.owner == caller.account);
                ours.ok_or_else(|| machine_image_not_found(id))?;
                Ok(Self::MachineImage(id.to_owned()))
            }
            Some(("snap", _)) => {
                let known = change.state.snapshots.get(id);
                let ours = known.filter(|snapshot| {
                    snapshot.region == caller.region && snapshot.owner == caller.account
                });
                ours.ok_or_else(|| {
                    let message = format!("The snapshot '{}' does not exist.", shown(id));
                    ApiError::client("InvalidSnapshot.NotFound", message)
                })?;
                Ok(Self::Snapshot(id.to_owned()))
            }
            Some(("i", _)) if call.is_our_instance(id) => Ok(Self::Instance),
            Some(("i", _)) => Err(instance_not_found(id)),
            _ => {
                let message = format!("The ID '{}' is not valid", shown(id));
                Err(ApiError::client("InvalidID", message))
            }
        }
    }

    /// Changes its tags. Fails when there are too many of them then.
    pub(super) fn alter(
        &self,
        change: &mut Change<'_>,
        alter: impl Fn(&mut Tags),
    ) -> Result<(), ApiError> {
        match self {
            Self::FpgaImage(afi) => {
                let afi = *afi;
                let updated = change.catalog.image(afi).map(|image| image.update_time);
                change.alter_image(afi, |image| alter(&mut image.tags))?;
                // A tag is no part of the image: the time of its last change stays.
                if let Some(updated) = updated {
                    change.set_update_time(afi, updated)?;
                }
            }
            Self::MachineImage(id) => {
                if let Some(image) = change.state.machine_images.get_mut(id) {
                    alter(&mut image.tags);
                }
            }
            Self::Snapshot(id) => {
                if let Some(snapshot) = change.state.snapshots.get_mut(id) {
                    alter(&mut snapshot.tags);
                }
            }
            Self::Instance => alter(&mut change.state.instance_tags),
        }
        Ok(())
    }

    /// Its tags.
    pub(super) fn tags(&self, change: &Change<'_>) -> Tags {
        let tags = match self {
            Self::FpgaImage(afi) => change.catalog.image(*afi).map(|image| &image.tags),
            Self::MachineImage(id) => change.state.machine_images.get(id).map(|image| &image.tags),
            Self::Snapshot(id) => change
                .state
                .snapshots
                .get(id)
                .map(|snapshot| &snapshot.tags),
            Self::Instance => Some(&change.state.instance_tags),
        };
        tags.cloned().unwrap_or_default()
    }
}

pub(super) fn machine_image_not_found(id: &str) -> ApiError {
    let message = format!("The image id '[{}]' does not exist", shown(id));
    ApiError::client("InvalidAMIID.NotFound", message)
}

pub(super) fn instance_not_found(id: &str) -> ApiError {
    let message = format!("The instance ID '{}' does not exist", shown(id));
    ApiError::client("InvalidInstanceID.NotFound", message)
}

/// Whether a text has the form of an id: the prefix and 8 or 17 hexadecimal digits.
pub(super) fn is_id(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix).and_then(|t| t.strip_prefix('-'));
    digits.is_some_and(|digits| {
        matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit())
    })
}
