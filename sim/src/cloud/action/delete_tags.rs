//! `DeleteTags`: takes tags away: those with a key, with a key and a value, or all of them when none
//! is named (EC2 API Reference). A tag that is not there is no error.

use super::Call;
use super::resource::Resource;
use crate::cloud::error::ApiError;
use crate::cloud::query::Params;
use crate::cloud::rules;
use crate::cloud::xml::Xml;

pub(super) fn run(call: &Call<'_>, mut params: Params, xml: &mut Xml) -> Result<(), ApiError> {
    let dry_run = params.take_bool("DryRun")?;
    let ids = params.take_list("ResourceId");
    let mut wanted: Vec<(String, Option<String>)> = Vec::new();
    for mut tag in params.take_structures("Tag") {
        let key = tag.take("Key").unwrap_or_default();
        rules::check_key(&key)?;
        wanted.push((key, tag.take("Value")));
        tag.finish()?;
    }
    params.finish()?;
    if ids.is_empty() {
        return Err(ApiError::missing("ResourceId"));
    }
    call.world.change(|change| {
        let found = ids.iter().map(|id| Resource::find(call, change, id));
        let resources: Vec<Resource> = found.collect::<Result<_, _>>()?;
        if dry_run == Some(true) {
            return Err(ApiError::dry_run());
        }
        for resource in &resources {
            resource.alter(change, |tags| {
                tags.retain(|key, value| !wanted.is_empty() && !matches(&wanted, key, value));
            })?;
        }
        Ok(())
    })?;
    xml.text("return", "true");
    Ok(())
}

/// An empty value is one that a tag can have, other than no value.
fn matches(wanted: &[(String, Option<String>)], key: &str, value: &str) -> bool {
    wanted
        .iter()
        .any(|(wanted, only)| wanted == key && only.as_deref().is_none_or(|only| only == value))
}
