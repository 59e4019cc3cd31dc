//! `DescribeTags`: the tags of an account's resources in a region (EC2 API Reference).

use super::Call;
use crate::cloud::error::ApiError;
use crate::cloud::filter::Filter;
use crate::cloud::page::Page;
use crate::cloud::query::{Params, shown};
use crate::cloud::rules::Tags;
use crate::cloud::xml::Xml;

/// A tag, and whose it is.
struct Tag<'a> {
    resource: String,
    kind: &'static str,
    key: &'a str,
    value: &'a str,
}

pub(super) fn run(call: &Call<'_>, mut params: Params, xml: &mut Xml) -> Result<(), ApiError> {
    let dry_run = params.take_bool("DryRun")?;
    let page = Page::take(&mut params, call.caller, 5..=1000)?;
    let filters = Filter::take_all(&mut params)?;
    for filter in &filters {
        check(filter)?;
    }
    params.finish()?;
    if dry_run == Some(true) {
        return Err(ApiError::dry_run());
    }
    let (account, region) = (call.caller.account, &call.caller.region);
    let state = call.world.state();
    let catalog = call.world.catalog.read();
    // The order of the pages is that of the ids, and so of these kinds: afi-, ami-, i-, snap-.
    let from = page
        .after()
        .and_then(|key| key.split_once(' ')?.0.parse().ok());
    let first = from.and_then(|afi| catalog.image(afi)).into_iter();
    let fpga_images = first
        .chain(catalog.images_after(from))
        .filter(|image| image.owner_id == account && image.region == *region)
        .flat_map(|image| of(image.afi.to_string(), "fpga-image", &image.tags));
    let machine_images = state
        .machine_images
        .iter()
        .filter(|(_, image)| image.owner == account && image.region == *region)
        .flat_map(|(id, image)| of(id.clone(), "image", &image.tags));
    let instance = call.our_instance().into_iter().flat_map(|identity| {
        of(
            identity.instance_id.clone(),
            "instance",
            &state.instance_tags,
        )
    });
    let snapshots = state
        .snapshots
        .iter()
        .filter(|(_, snapshot)| snapshot.owner == account && snapshot.region == *region)
        .flat_map(|(id, snapshot)| of(id.clone(), "snapshot", &snapshot.tags));
    let tags = fpga_images
        .chain(machine_images)
        .chain(instance)
        .chain(snapshots)
        .filter(|tag| filters.iter().all(|filter| passes(filter, tag)));
    let (tags, next) = page.cut(tags, |tag| format!("{} {}", tag.resource, tag.key));
    xml.list("tagSet", tags, |xml, tag| {
        xml.text("resourceId", &tag.resource);
        xml.text("resourceType", tag.kind);
        xml.text("key", tag.key);
        xml.text("value", tag.value);
    });
    xml.optional_text("nextToken", next.as_deref());
    Ok(())
}

fn of<'a>(
    resource: String,
    kind: &'static str,
    tags: &'a Tags,
) -> impl Iterator<Item = Tag<'a>> + use<'a> {
    tags.iter().map(move |(key, value)| Tag {
        resource: resource.clone(),
        kind,
        key,
        value,
    })
}

fn check(filter: &Filter) -> Result<(), ApiError> {
    match filter.name() {
        "key" | "resource-id" | "resource-type" | "value" => Ok(()),
        name if name.len() > "tag:".len() && name.starts_with("tag:") => Ok(()),
        name => {
            let message = format!("The filter '{}' is invalid", shown(name));
            Err(ApiError::client("InvalidParameterValue", message))
        }
    }
}

fn passes(filter: &Filter, tag: &Tag<'_>) -> bool {
    match filter.name() {
        "key" => filter.matches(tag.key),
        "resource-id" => filter.matches(&tag.resource),
        "resource-type" => filter.matches(tag.kind),
        "value" => filter.matches(tag.value),
        name => name.strip_prefix("tag:") == Some(tag.key) && filter.matches(tag.value),
    }
}
