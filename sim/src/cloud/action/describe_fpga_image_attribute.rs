//! `DescribeFpgaImageAttribute`: one attribute of an FPGA image. Who may load it is told to its owner
//! only.

use super::fpga_image_attribute::Attribute;
use super::{Call, owned, visible};
use crate::cloud::error::ApiError;
use crate::cloud::query::Params;
use crate::cloud::rules;
use crate::cloud::xml::Xml;

pub(super) fn run(call: &Call<'_>, mut params: Params, xml: &mut Xml) -> Result<(), ApiError> {
    let dry_run = params.take_bool("DryRun")?;
    let afi = rules::take_afi(&mut params, "FpgaImageId")?;
    let attribute = Attribute::parse(&params.take_required("Attribute")?)?;
    params.finish()?;
    let catalog = call.world.catalog.read();
    let image = match attribute {
        Attribute::LoadPermission => owned(&catalog, call.caller, afi)?,
        _ => visible(&catalog, call.caller, afi)?,
    };
    if dry_run == Some(true) {
        return Err(ApiError::dry_run());
    }
    attribute.write(xml, image);
    Ok(())
}
