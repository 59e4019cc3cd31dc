//! `CreateTags`: adds tags to resources, or replaces the values of those that are there. All or
//! nothing (EC2 API Reference).

use super::Call;
use super::resource::Resource;
use crate::cloud::error::ApiError;
use crate::cloud::query::Params;
use crate::cloud::rules;
use crate::cloud::xml::Xml;

pub(super) fn run(call: &Call<'_>, mut params: Params, xml: &mut Xml) -> Result<(), ApiError> {
    let dry_run = params.take_bool("DryRun")?;
    let ids = params.take_list("ResourceId");
    let tags = rules::take_tags(&mut params)?;
    params.finish()?;
    if ids.is_empty() {
        return Err(ApiError::missing("ResourceId"));
    }
    if tags.is_empty() {
        return Err(ApiError::missing("Tag"));
    }
    call.world.change(|change| {
        let found = ids.iter().map(|id| Resource::find(call, change, id));
        let resources: Vec<Resource> = found.collect::<Result<_, _>>()?;
        for resource in &resources {
            let mut all = resource.tags(change);
            all.extend(tags.clone());
            rules::check_count(&all)?;
        }
        if dry_run == Some(true) {
            return Err(ApiError::dry_run());
        }
        for resource in &resources {
            resource.alter(change, |all| all.extend(tags.clone()))?;
        }
        Ok(())
    })?;
    xml.text("return", "true");
    Ok(())
}
