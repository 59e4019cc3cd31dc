//! `DeleteFpgaImage`: deletes an FPGA image in one region (`delete_fpga_image.md` of aws-fpga). Slots
//! that run it go on; another AFI with its AGFI stays loadable.

use super::{Call, owned};
use crate::cloud::error::ApiError;
use crate::cloud::query::Params;
use crate::cloud::rules;
use crate::cloud::xml::Xml;

pub(super) fn run(call: &Call<'_>, mut params: Params, xml: &mut Xml) -> Result<(), ApiError> {
    let dry_run = params.take_bool("DryRun")?;
    let afi = rules::take_afi(&mut params, "FpgaImageId")?;
    params.finish()?;
    call.world.change(|change| {
        let image = owned(&change.catalog, call.caller, afi)?;
        if image.public {
            return Err(ApiError::not_permitted(
                "Operation not permitted for public AFI",
            ));
        }
        if !image.shared_with.is_empty() {
            return Err(ApiError::not_permitted(
                "Operation not permitted for shared AFI",
            ));
        }
        if dry_run == Some(true) {
            return Err(ApiError::dry_run());
        }
        change.remove_image(afi);
        Ok(())
    })?;
    xml.text("return", "true");
    Ok(())
}
