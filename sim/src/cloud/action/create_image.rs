//! `CreateImage`: a machine image (AMI) of the instance (EC2 API Reference). The instance is not
//! really rebooted: what runs in it is outside of the simulation.

use std::collections::BTreeMap;

use super::block_devices::{self, Wish};
use super::resource::instance_not_found;
use super::{Call, describe_instances};
use crate::cloud::error::ApiError;
use crate::cloud::identity::InstanceIdentity;
use crate::cloud::query::{Params, shown};
use crate::cloud::rules::{self, Tags};
use crate::cloud::world::{Change, MachineImage, Snapshot};
use crate::cloud::xml::Xml;

/// Characters of a name.
const NAME_LENGTH: std::ops::RangeInclusive<usize> = 3..=128;
/// What a name has beside letters and digits.
const NAME_SIGNS: &str = "()[] ./-'@_";

pub(super) fn run(call: &Call<'_>, params: Params, xml: &mut Xml) -> Result<(), ApiError> {
    let request = Request::take(params)?;
    let identity = call
        .our_instance()
        .filter(|identity| identity.instance_id == request.instance)
        .ok_or_else(|| instance_not_found(&request.instance))?;
    let id = call
        .world
        .change(|change| request.make(call, identity, change))?;
    xml.text("imageId", &id);
    Ok(())
}

struct Request {
    dry_run: bool,
    instance: String,
    name: String,
    description: Option<String>,
    snapshot_location: Option<String>,
    wishes: Vec<Wish>,
    image_tags: Tags,
    snapshot_tags: Tags,
}

impl Request {
    fn take(mut params: Params) -> Result<Self, ApiError> {
        let dry_run = params.take_bool("DryRun")?;
        let instance = params.take_required("InstanceId")?;
        describe_instances::check_id(&instance)?;
        let name = params.take_required("Name")?;
        check_name(&name)?;
        let description = rules::take_text(&mut params, "Description")?;
        params.take_bool("NoReboot")?;
        let snapshot_location = params.take("SnapshotLocation");
        if let Some(location) = &snapshot_location
            && !["local", "regional"].contains(&location.as_str())
        {
            let wanted = "Expecting local or regional.";
            return Err(ApiError::invalid_value(
                "SnapshotLocation",
                shown(location),
                wanted,
            ));
        }
        let wishes = block_devices::take(&mut params)?;
        let [image_tags, snapshot_tags] =
            rules::take_tag_specifications(&mut params, ["image", "snapshot"])?;
        params.finish()?;
        Ok(Self {
            dry_run: dry_run == Some(true),
            instance,
            name,
            description,
            snapshot_location,
            wishes,
            image_tags,
            snapshot_tags,
        })
    }

    fn make(
        self,
        call: &Call<'_>,
        identity: &InstanceIdentity,
        change: &mut Change<'_>,
    ) -> Result<String, ApiError> {
        let caller = call.caller;
        let (_, state) = call.instance_state();
        if state != "running" {
            let id = &self.instance;
            let message = format!(
                "The instance '{id}' is not in the 'running' or 'stopped' state: it is '{state}'"
            );
            return Err(ApiError::client("IncorrectInstanceState", message));
        }
        if self.snapshot_location.is_some() && !identity.in_local_zone() {
            let message = "SnapshotLocation is only supported for instances in Local Zones";
            return Err(ApiError::client("InvalidParameterCombination", message));
        }
        let mut known = change.state.machine_images.iter();
        let same = known.find(|(_, image)| {
            image.name == self.name
                && image.owner == caller.account
                && image.region == caller.region
        });
        if let Some((id, _)) = same {
            let name = &self.name;
            let message = format!("AMI name {name} is already in use by AMI {id}");
            return Err(ApiError::client("InvalidAMIName.Duplicate", message));
        }
        let ours = |snapshot: &&Snapshot| {
            snapshot.owner == caller.account && snapshot.region == caller.region
        };
        let snapshots = &change.state.snapshots;
        let mut mappings = block_devices::resolve(&identity.volumes(), &self.wishes, |id| {
            snapshots.get(id).filter(ours)
        })?;
        if self.dry_run {
            return Err(ApiError::dry_run());
        }
        let of_instance: BTreeMap<_, _> = identity
            .volumes()
            .into_iter()
            .map(|volume| (volume.device, volume))
            .collect();
        for mapping in &mut mappings {
            let Some(volume) = &mut mapping.volume else {
                continue;
            };
            if volume.snapshot.is_none() && of_instance.contains_key(mapping.device.as_str()) {
                let id = change.state.new_id("snap");
                let snapshot = Snapshot {
                    region: caller.region.clone(),
                    owner: caller.account,
                    size: volume.size,
                    tags: self.snapshot_tags.clone(),
                };
                change.state.snapshots.insert(id.clone(), snapshot);
                volume.snapshot = Some(id);
            }
        }
        let id = change.state.new_id("ami");
        let image = MachineImage {
            region: caller.region.clone(),
            owner: caller.account,
            name: self.name,
            description: self.description,
            source_instance: self.instance,
            created: change.now,
            available: change.now.after(change.times.machine_image),
            mappings,
            tags: self.image_tags,
        };
        change.state.machine_images.insert(id.clone(), image);
        Ok(id)
    }
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let sound = NAME_LENGTH.contains(&name.chars().count())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || NAME_SIGNS.contains(c));
    if sound {
        return Ok(());
    }
    let message = "AMI names must be between 3 and 128 characters long, and may contain letters, \
                   numbers, '(', ')', '[', ']', ' ', '.', '/', '-', ''', '@' and '_'";
    Err(ApiError::client("InvalidAMIName.Malformed", message))
}
