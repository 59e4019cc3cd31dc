//! `ResetFpgaImageAttribute`: takes away every permission to load an FPGA image
//! (`fpga_image_attributes.md` of aws-fpga).

use super::fpga_image_attribute::Attribute;
use super::{Call, owned};
use crate::catalog::ImageState;
use crate::cloud::error::ApiError;
use crate::cloud::query::Params;
use crate::cloud::rules;
use crate::cloud::xml::Xml;

pub(super) fn run(call: &Call<'_>, mut params: Params, xml: &mut Xml) -> Result<(), ApiError> {
    let dry_run = params.take_bool("DryRun")?;
    let afi = rules::take_afi(&mut params, "FpgaImageId")?;
    let attribute = params.take("Attribute");
    params.finish()?;
    let attribute = attribute.as_deref().map(Attribute::parse).transpose()?;
    if attribute.is_some_and(|attribute| attribute != Attribute::LoadPermission) {
        let message = "Only the attribute loadPermission can be reset";
        return Err(ApiError::client("InvalidParameterValue", message));
    }
    call.world.change(|change| {
        let image = owned(&change.catalog, call.caller, afi)?;
        if image.state != ImageState::Available {
            let state = image.state;
            let message = format!(
                "Load permissions of '{afi}' cannot change while it is '{state}'; it has to be 'available'"
            );
            return Err(ApiError::client("IncorrectState", message));
        }
        if dry_run == Some(true) {
            return Err(ApiError::dry_run());
        }
        change.alter_image(afi, |image| {
            image.public = false;
            image.shared_with.clear();
        })
    })?;
    xml.text("return", "true");
    Ok(())
}
