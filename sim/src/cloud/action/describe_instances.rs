//! `DescribeInstances`: the instance itself, to its account and in its region (EC2 API Reference).

use super::Call;
use super::resource::{instance_not_found, is_id};
use crate::cloud::error::ApiError;
use crate::cloud::filter::Filter;
use crate::cloud::identity::{InstanceIdentity, ROOT_DEVICE, Volume};
use crate::cloud::page::Page;
use crate::cloud::query::{Params, shown};
use crate::cloud::rules::Tags;
use crate::cloud::xml::Xml;

pub(super) fn run(call: &Call<'_>, mut params: Params, xml: &mut Xml) -> Result<(), ApiError> {
    let dry_run = params.take_bool("DryRun")?;
    // Nothing is managed by another service here.
    params.take_bool("IncludeManagedResources")?;
    let page = Page::take(&mut params, call.caller, 5..=1000)?;
    let ids = params.take_list("InstanceId");
    let filters = Filter::take_all(&mut params)?;
    params.finish()?;
    for id in &ids {
        check_id(id)?;
        if !call.is_our_instance(id) {
            return Err(instance_not_found(id));
        }
    }
    if !ids.is_empty() && !page.is_everything() {
        let message = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(ApiError::client("InvalidParameterCombination", message));
    }
    let tags = call.world.state().instance_tags.clone();
    let mut shown_instances = Vec::new();
    if let Some(identity) = call.our_instance() {
        let mut passes = true;
        for filter in &filters {
            passes &= matches(filter, call, identity, &tags)?;
        }
        if passes {
            shown_instances.push(identity);
        }
    }
    if dry_run == Some(true) {
        return Err(ApiError::dry_run());
    }
    let (instances, _) = page.cut(shown_instances.into_iter(), |identity| {
        identity.instance_id.clone()
    });
    xml.list("reservationSet", instances, |xml, identity| {
        let reservation = identity.instance_id.replacen("i-", "r-", 1);
        xml.text("reservationId", &reservation);
        xml.text("ownerId", &identity.account.to_string());
        xml.element("groupSet", |_| {});
        xml.list("instancesSet", [identity], |xml, identity| {
            write(xml, call, identity, &tags);
        });
    });
    Ok(())
}

/// Whether a text can be the id of an instance.
pub(super) fn check_id(id: &str) -> Result<(), ApiError> {
    if is_id(id, "i") {
        return Ok(());
    }
    let message = format!("Invalid id: \"{}\"", shown(id));
    Err(ApiError::client("InvalidInstanceID.Malformed", message))
}

fn matches(
    filter: &Filter,
    call: &Call<'_>,
    identity: &InstanceIdentity,
    tags: &Tags,
) -> Result<bool, ApiError> {
    let (code, state) = call.instance_state();
    Ok(match filter.name() {
        "instance-id" => filter.matches(&identity.instance_id),
        "instance-type" => filter.matches(&identity.instance_type),
        "instance-state-name" => filter.matches(state),
        "instance-state-code" => filter.matches(code),
        "availability-zone" => filter.matches(&identity.availability_zone),
        "image-id" => filter.matches(&identity.ami),
        "owner-id" => filter.matches(&identity.account.to_string()),
        "private-ip-address" => filter.matches(&identity.private_ip),
        "root-device-name" => filter.matches(ROOT_DEVICE),
        "tag-key" => tags.keys().any(|key| filter.matches(key)),
        name => match name.strip_prefix("tag:").filter(|key| !key.is_empty()) {
            Some(key) => tags.get(key).is_some_and(|value| filter.matches(value)),
            None => {
                let message = format!("The filter '{}' is invalid", shown(name));
                return Err(ApiError::client("InvalidParameterValue", message));
            }
        },
    })
}

fn write(xml: &mut Xml, call: &Call<'_>, identity: &InstanceIdentity, tags: &Tags) {
    let (code, state) = call.instance_state();
    let launched = call.launched.to_string();
    xml.text("instanceId", &identity.instance_id);
    xml.text("imageId", &identity.ami);
    xml.element("instanceState", |xml| {
        xml.text("code", code);
        xml.text("name", state);
    });
    xml.text("privateIpAddress", &identity.private_ip);
    xml.text("instanceType", &identity.instance_type);
    xml.text("launchTime", &launched);
    xml.element("placement", |xml| {
        xml.text("availabilityZone", &identity.availability_zone);
        xml.text("tenancy", "default");
    });
    xml.element("monitoring", |xml| xml.text("state", "disabled"));
    xml.text("architecture", "x86_64");
    xml.text("rootDeviceType", "ebs");
    xml.text("rootDeviceName", ROOT_DEVICE);
    xml.list(
        "blockDeviceMapping",
        identity.volumes(),
        |xml, volume: Volume| {
            xml.text("deviceName", volume.device);
            xml.element("ebs", |xml| {
                xml.text("volumeId", volume.id);
                xml.text("status", "attached");
                xml.text("attachTime", &launched);
                xml.text("deleteOnTermination", flag(volume.delete_on_termination));
            });
        },
    );
    xml.text("virtualizationType", "hvm");
    xml.text("hypervisor", "xen");
    xml.list("tagSet", tags, |xml, (key, value)| {
        xml.text("key", key);
        xml.text("value", value);
    });
}

fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
