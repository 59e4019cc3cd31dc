//! `DescribeImages`: the machine images of an account in a region (EC2 API Reference), and the one
//! that the instance was started from, which is everybody's.

use std::collections::BTreeMap;

use super::Call;
use super::resource::{is_id, machine_image_not_found};
use crate::catalog::{AccountId, Timestamp};
use crate::cloud::error::ApiError;
use crate::cloud::filter::Filter;
use crate::cloud::identity::{InstanceIdentity, ROOT_DEVICE};
use crate::cloud::page::Page;
use crate::cloud::query::{Params, shown};
use crate::cloud::rules::{self, Tags};
use crate::cloud::world::{MachineImage, Mapping};
use crate::cloud::xml::Xml;

/// Whose the image is that the instance was started from: the owner of the public examples.
const PUBLISHER: &str = "095707098027";

/// An image, with what does not stand in it.
struct Entry<'a> {
    id: &'a str,
    image: &'a MachineImage,
    public: bool,
}

pub(super) fn run(call: &Call<'_>, mut params: Params, xml: &mut Xml) -> Result<(), ApiError> {
    let dry_run = params.take_bool("DryRun")?;
    // Nothing is ever deprecated or disabled here.
    params.take_bool("IncludeDeprecated")?;
    params.take_bool("IncludeDisabled")?;
    let page = Page::take(&mut params, call.caller, 1..=1000)?;
    let ids = params.take_list("ImageId");
    let owners = params.take_list("Owner");
    let executable_by = params.take_list("ExecutableBy");
    let filters = Filter::take_all(&mut params)?;
    params.finish()?;
    for filter in &filters {
        check(filter)?;
    }
    let owners: Vec<Option<AccountId>> = owners
        .iter()
        .map(|owner| owner_of(owner, call.caller.account))
        .collect::<Result<_, _>>()?;
    for who in &executable_by {
        if !["self", "all"].contains(&who.as_str()) {
            rules::parse_account(who)?;
        }
    }
    if !ids.is_empty() && !page.is_everything() {
        let message = "The parameter imageIds cannot be used with the parameter maxResults";
        return Err(ApiError::client("InvalidParameterCombination", message));
    }

    let (account, region) = (call.caller.account, &call.caller.region);
    let state = call.world.state();
    let base = base_image(call.identity, call.launched);
    let base = (call.identity.region == *region).then_some(&base);
    let images: BTreeMap<&str, Entry<'_>> = state
        .machine_images
        .iter()
        .filter(|(_, image)| image.owner == account && image.region == *region)
        .map(|(id, image)| (id.as_str(), image, false))
        .chain(base.map(|image| (call.identity.ami.as_str(), image, true)))
        .map(|(id, image, public)| (id, Entry { id, image, public }))
        .collect();
    for id in &ids {
        if !is_id(id, "ami") {
            let message = format!("Invalid id: \"{}\" (expecting \"ami-...\")", shown(id));
            return Err(ApiError::client("InvalidAMIID.Malformed", message));
        }
        if !images.contains_key(id.as_str()) {
            return Err(machine_image_not_found(id));
        }
    }
    if dry_run == Some(true) {
        return Err(ApiError::dry_run());
    }
    let now = call.world.now();
    let wanted = images.into_values().filter(|entry| {
        (ids.is_empty() || ids.iter().any(|id| id == entry.id))
            && (owners.is_empty() || owners.contains(&Some(entry.image.owner)))
            && is_executable(entry, &executable_by, account)
            && filters.iter().all(|filter| passes(filter, entry, now))
    });
    let (images, next) = page.cut(wanted, |entry| entry.id.to_owned());
    xml.list("imagesSet", images, |xml, entry| write(xml, &entry, now));
    xml.optional_text("nextToken", next.as_deref());
    Ok(())
}

/// The account that `Owner.N` names; `None` for an alias that owns nothing here.
fn owner_of(text: &str, caller: AccountId) -> Result<Option<AccountId>, ApiError> {
    match text {
        "self" => Ok(Some(caller)),
        "amazon" => rules::parse_account(PUBLISHER).map(Some),
        "aws-marketplace" | "aws-backup-vault" => Ok(None),
        _ => rules::parse_account(text).map(Some),
    }
}

/// Permissions to launch are not simulated: an image is everybody's or its owner's.
fn is_executable(entry: &Entry<'_>, who: &[String], account: AccountId) -> bool {
    who.is_empty()
        || who.iter().any(|who| match who.as_str() {
            "all" => entry.public,
            // "self": explicit permissions, which an owner does not need.
            "self" => false,
            named => !entry.public && named == account.to_string() && entry.image.owner == account,
        })
}

fn base_image(identity: &InstanceIdentity, launched: Timestamp) -> MachineImage {
    let owner = PUBLISHER.parse().unwrap_or(AccountId::SIMULATED);
    MachineImage {
        region: identity.region.clone(),
        owner,
        name: "afi-sim base image".to_owned(),
        description: None,
        source_instance: String::new(),
        created: launched,
        available: launched,
        mappings: Vec::new(),
        tags: Tags::new(),
    }
}

fn check(filter: &Filter) -> Result<(), ApiError> {
    let known = [
        "architecture",
        "block-device-mapping.device-name",
        "block-device-mapping.snapshot-id",
        "creation-date",
        "description",
        "image-id",
        "image-type",
        "is-public",
        "name",
        "owner-alias",
        "owner-id",
        "root-device-name",
        "root-device-type",
        "source-instance-id",
        "state",
        "tag-key",
        "virtualization-type",
    ];
    let name = filter.name();
    if known.contains(&name) || (name.starts_with("tag:") && name.len() > "tag:".len()) {
        return Ok(());
    }
    let message = format!("The filter '{}' is invalid", shown(name));
    Err(ApiError::client("InvalidParameterValue", message))
}

fn passes(filter: &Filter, entry: &Entry<'_>, now: Timestamp) -> bool {
    let image = entry.image;
    let matches = |text: &str| filter.matches(text);
    match filter.name() {
        "architecture" => matches("x86_64"),
        "block-device-mapping.device-name" => image
            .mappings
            .iter()
            .any(|mapping| matches(&mapping.device)),
        "block-device-mapping.snapshot-id" => image.snapshots().any(matches),
        "creation-date" => matches(&image.created.to_string()),
        "description" => image.description.as_deref().is_some_and(matches),
        "image-id" => matches(entry.id),
        "image-type" => matches("machine"),
        "is-public" => matches(flag(entry.public)),
        "name" => matches(&image.name),
        "owner-alias" => entry.public && matches("amazon"),
        "owner-id" => matches(&image.owner.to_string()),
        "root-device-name" => matches(ROOT_DEVICE),
        "root-device-type" => matches("ebs"),
        "source-instance-id" => matches(&image.source_instance),
        "state" => matches(image.state(now)),
        "tag-key" => image.tags.keys().any(|key| matches(key)),
        "virtualization-type" => matches("hvm"),
        name => name
            .strip_prefix("tag:")
            .and_then(|key| image.tags.get(key))
            .is_some_and(|value| matches(value)),
    }
}

fn write(xml: &mut Xml, entry: &Entry<'_>, now: Timestamp) {
    let image = entry.image;
    let owner = image.owner.to_string();
    xml.text("imageId", entry.id);
    xml.text("imageLocation", &format!("{owner}/{}", image.name));
    xml.text("imageState", image.state(now));
    xml.text("imageOwnerId", &owner);
    xml.text("creationDate", &image.created.to_string());
    xml.text("isPublic", flag(entry.public));
    xml.text("architecture", "x86_64");
    xml.text("imageType", "machine");
    xml.text("platformDetails", "Linux/UNIX");
    xml.text("usageOperation", "RunInstances");
    xml.text("name", &image.name);
    xml.optional_text("description", image.description.as_deref());
    if entry.public {
        xml.text("imageOwnerAlias", "amazon");
    } else {
        xml.text("sourceInstanceId", &image.source_instance);
    }
    xml.text("rootDeviceType", "ebs");
    xml.text("rootDeviceName", ROOT_DEVICE);
    xml.list("blockDeviceMapping", &image.mappings, mapping);
    xml.text("virtualizationType", "hvm");
    xml.text("hypervisor", "xen");
    xml.text("enaSupport", "true");
    xml.list("tagSet", &image.tags, |xml, (key, value)| {
        xml.text("key", key);
        xml.text("value", value);
    });
}

fn mapping(xml: &mut Xml, mapping: &Mapping) {
    xml.text("deviceName", &mapping.device);
    xml.optional_text("virtualName", mapping.virtual_name.as_deref());
    let Some(volume) = &mapping.volume else {
        return;
    };
    xml.element("ebs", |xml| {
        xml.optional_text("snapshotId", volume.snapshot.as_deref());
        xml.text("volumeSize", &volume.size.to_string());
        xml.text("volumeType", &volume.kind);
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        xml.optional_text("iops", number(volume.iops).as_deref());
        xml.optional_text("throughput", number(volume.throughput).as_deref());
        xml.text("encrypted", flag(volume.encrypted));
        xml.text("deleteOnTermination", flag(volume.delete_on_termination));
    });
}

fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
