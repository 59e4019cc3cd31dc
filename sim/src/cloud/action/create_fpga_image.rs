//! `CreateFpgaImage`: makes an FPGA image of a tarball in the object store (EC2 API Reference). The
//! answer comes at once; what is wrong with the tarball shows in the state of the image.

use afi_proto::{AfiId, AgfiId};

use super::Call;
use crate::catalog::{CatalogImage, ImageState};
use crate::cloud::error::ApiError;
use crate::cloud::query::Params;
use crate::cloud::rules::{self, Tags};
use crate::cloud::world::{Change, Creation, Job, Location, Replay, Work};
use crate::cloud::xml::Xml;

/// The tag that chooses the model of custom logic that slots run once they have loaded the image. A
/// matter of the simulation; any other service keeps it as a tag like others.
const MODEL_TAG: &str = "afi-sim:model";

pub(super) fn run(call: &Call<'_>, params: Params, xml: &mut Xml) -> Result<(), ApiError> {
    let request = Request::take(params, call)?;
    let (afi, agfi) = call.world.change(|change| request.make(call, change))?;
    call.checker.check(afi);
    xml.text("fpgaImageId", &afi.to_string());
    xml.text("fpgaImageGlobalId", &agfi.to_string());
    Ok(())
}

struct Request<'a> {
    replay: Replay<'a>,
    input: Location,
    logs: Option<Location>,
    name: Option<String>,
    description: Option<String>,
    tags: Tags,
}

impl<'a> Request<'a> {
    fn take(mut params: Params, call: &Call<'a>) -> Result<Self, ApiError> {
        let dry_run = params.take_bool("DryRun")?;
        let token = rules::take_token(&mut params)?;
        let replay = Replay {
            caller: call.caller,
            action: "CreateFpgaImage",
            token,
            parameters: params.canonical(),
        };
        let input = Location {
            bucket: params.take_required("InputStorageLocation.Bucket")?,
            key: params.take_required("InputStorageLocation.Key")?,
        };
        let bucket = params.take("LogsStorageLocation.Bucket");
        let key = params.take("LogsStorageLocation.Key");
        let logs = match (bucket, key) {
            (None, None) => None,
            (None, Some(_)) => return Err(ApiError::missing("LogsStorageLocation.Bucket")),
            (Some(bucket), key) => Some(Location {
                bucket,
                key: key.unwrap_or_default(),
            }),
        };
        let name = rules::take_text(&mut params, "Name")?;
        let description = rules::take_text(&mut params, "Description")?;
        let [tags] = rules::take_tag_specifications(&mut params, ["fpga-image"])?;
        params.finish()?;
        if dry_run == Some(true) {
            return Err(ApiError::dry_run());
        }
        Ok(Self {
            replay,
            input,
            logs,
            name,
            description,
            tags,
        })
    }

    fn make(self, call: &Call<'_>, change: &mut Change<'_>) -> Result<(AfiId, AgfiId), ApiError> {
        if let Some(answer) = self.replay.answered(change)? {
            let afi = answer.first().and_then(|text| text.parse().ok());
            let agfi = answer.get(1).and_then(|text| text.parse().ok());
            return afi.zip(agfi).ok_or_else(ApiError::internal);
        }
        let (afi, agfi) = change.state.new_image_ids();
        let creation = Creation {
            input: self.input,
            logs: self.logs,
            model: self.tags.get(MODEL_TAG).cloned(),
            verdict: None,
        };
        let due = change.now.after(change.times.create);
        change.add_image(CatalogImage {
            afi,
            agfi: Some(agfi),
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
            tags: self.tags,
            create_time: change.now,
            update_time: change.now,
        })?;
        let work = Work::Create(Box::new(creation));
        change.state.jobs.insert(afi, Job { due, work });
        let answer = vec![afi.to_string(), agfi.to_string()];
        self.replay.remember(change, answer);
        Ok((afi, agfi))
    }
}
