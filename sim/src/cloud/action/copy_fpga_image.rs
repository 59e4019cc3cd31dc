//! `CopyFpgaImage`: a copy of an FPGA image in the region of the request, under an id of its own and
//! the same global id (EC2 API Reference). Nothing about the source is checked before the answer.

use afi_proto::AfiId;

use super::Call;
use crate::catalog::{CatalogImage, ImageState, Region};
use crate::cloud::error::ApiError;
use crate::cloud::query::{Params, shown};
use crate::cloud::rules;
use crate::cloud::world::{Change, Job, Replay, Work};
use crate::cloud::xml::Xml;

pub(super) fn run(call: &Call<'_>, params: Params, xml: &mut Xml) -> Result<(), ApiError> {
    let request = Request::take(params, call)?;
    let afi = call.world.change(|change| request.make(call, change))?;
    xml.text("fpgaImageId", &afi.to_string());
    Ok(())
}

struct Request<'a> {
    replay: Replay<'a>,
    source: AfiId,
    region: Region,
    name: Option<String>,
    description: Option<String>,
}

impl<'a> Request<'a> {
    fn take(mut params: Params, call: &Call<'a>) -> Result<Self, ApiError> {
        let dry_run = params.take_bool("DryRun")?;
        let token = rules::take_token(&mut params)?;
        let replay = Replay {
            caller: call.caller,
            action: "CopyFpgaImage",
            token,
            parameters: params.canonical(),
        };
        let source = rules::take_afi(&mut params, "SourceFpgaImageId")?;
        let region = params.take_required("SourceRegion")?;
        let region = region.parse().map_err(|_| {
            let wanted = "Expecting a region such as us-east-1.";
            ApiError::invalid_value("SourceRegion", shown(&region), wanted)
        })?;
        let name = rules::take_text(&mut params, "Name")?;
        let description = rules::take_text(&mut params, "Description")?;
        params.finish()?;
        if dry_run == Some(true) {
            return Err(ApiError::dry_run());
        }
        Ok(Self {
            replay,
            source,
            region,
            name,
            description,
        })
    }

    fn make(self, call: &Call<'_>, change: &mut Change<'_>) -> Result<AfiId, ApiError> {
        if let Some(answer) = self.replay.answered(change)? {
            let afi = answer.first().and_then(|text| text.parse().ok());
            return afi.ok_or_else(ApiError::internal);
        }
        let (afi, _) = change.state.new_image_ids();
        let due = change.now.after(change.times.copy);
        change.add_image(CatalogImage {
            afi,
            agfi: None,
            name: self.name,
            description: self.description,
            region: call.caller.region.clone(),
            owner_id: call.caller.account,
            owner_alias: None,
            state: ImageState::Pending,
            state_message: None,
            design: None,
            public: false,
            shared_with: Default::default(),
            product_codes: Vec::new(),
            tags: Default::default(),
            create_time: change.now,
            update_time: change.now,
        })?;
        let work = Work::Copy {
            source: self.source,
            region: self.region,
        };
        change.state.jobs.insert(afi, Job { due, work });
        self.replay.remember(change, vec![afi.to_string()]);
        Ok(afi)
    }
}
