//! `DeregisterImage`: takes a machine image away, and its snapshots if that is asked for (EC2 API
//! Reference).

use super::Call;
use super::resource::{is_id, machine_image_not_found};
use crate::cloud::error::ApiError;
use crate::cloud::query::{Params, shown};
use crate::cloud::xml::Xml;

pub(super) fn run(call: &Call<'_>, mut params: Params, xml: &mut Xml) -> Result<(), ApiError> {
    let dry_run = params.take_bool("DryRun")?;
    let id = params.take_required("ImageId")?;
    let snapshots_too = params.take_bool("DeleteAssociatedSnapshots")? == Some(true);
    params.finish()?;
    if !is_id(&id, "ami") {
        let message = format!("Invalid id: \"{}\" (expecting \"ami-...\")", shown(&id));
        return Err(ApiError::client("InvalidAMIID.Malformed", message));
    }
    let results = call.world.change(|change| {
        if id == call.identity.ami && call.caller.region == call.identity.region {
            let message = format!("Not authorized for image:{id}");
            return Err(ApiError::client("AuthFailure", message));
        }
        let images = &mut change.state.machine_images;
        let known = images.get(&id).filter(|image| {
            image.region == call.caller.region && image.owner == call.caller.account
        });
        let image = known.ok_or_else(|| machine_image_not_found(&id))?.clone();
        if dry_run == Some(true) {
            return Err(ApiError::dry_run());
        }
        images.remove(&id);
        let mut results = Vec::new();
        for snapshot in image.snapshots().filter(|_| snapshots_too) {
            // A snapshot that another image is made of stays (API Reference, `ReturnCode`).
            let others = change.state.machine_images.values();
            let used = others
                .flat_map(|other| other.snapshots())
                .any(|other| other == snapshot);
            if !used {
                change.state.snapshots.remove(snapshot);
            }
            let code = if used { "skipped" } else { "success" };
            results.push((snapshot.to_owned(), code));
        }
        Ok(results)
    })?;
    xml.text("return", "true");
    xml.list(
        "deleteSnapshotResultSet",
        results,
        |xml, (snapshot, code)| {
            xml.text("snapshotId", &snapshot);
            xml.text("returnCode", code);
        },
    );
    Ok(())
}
