//! The actions of the API: one file each, and one line in the table.

mod block_devices;
mod copy_fpga_image;
mod create_fpga_image;
mod create_image;
mod create_tags;
mod delete_fpga_image;
mod delete_tags;
mod deregister_image;
mod describe_fpga_image_attribute;
mod describe_fpga_images;
mod describe_images;
mod describe_instances;
mod describe_tags;
mod fpga_image_attribute;
mod get_caller_identity;
mod modify_fpga_image_attribute;
mod reset_fpga_image_attribute;
mod resource;

use afi_proto::AfiId;

use super::auth::{Caller, Service};
use super::checker::Checker;
use super::error::ApiError;
use super::identity::InstanceIdentity;
use super::query::{Params, shown};
use super::world::World;
use super::xml::Xml;
use crate::catalog::{Catalog, CatalogImage, Timestamp};
use crate::fault::Kind;

/// What an action works with.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) world: &'a World,
    pub(super) checker: &'a Checker,
    /// The instance that all of this is about.
    pub(super) identity: &'a InstanceIdentity,
    /// When it was started.
    pub(super) launched: Timestamp,
    pub(super) caller: &'a Caller,
}

impl Call<'_> {
    /// The instance, if it is the caller's and in the region of the request.
    fn our_instance(&self) -> Option<&InstanceIdentity> {
        let ours = self.identity.account == self.caller.account
            && self.identity.region == self.caller.region;
        ours.then_some(self.identity)
    }

    fn is_our_instance(&self, id: &str) -> bool {
        self.our_instance()
            .is_some_and(|identity| identity.instance_id == id)
    }

    /// Code and name of the instance's state (EC2 API Reference, `InstanceState`).
    fn instance_state(&self) -> (&'static str, &'static str) {
        if self.world.strikes(Kind::InstanceStopping) {
            ("64", "stopping")
        } else {
            ("16", "running")
        }
    }
}

/// An image that the caller sees.
fn visible<'a>(
    catalog: &'a Catalog,
    caller: &Caller,
    afi: AfiId,
) -> Result<&'a CatalogImage, ApiError> {
    let image = catalog.image(afi);
    image
        .filter(|image| image.is_visible_in(caller.account, &caller.region))
        .ok_or_else(|| ApiError::image_not_found(afi))
}

/// An image of the caller's own. One that is only shared with it, or public, is not for it to change.
fn owned<'a>(
    catalog: &'a Catalog,
    caller: &Caller,
    afi: AfiId,
) -> Result<&'a CatalogImage, ApiError> {
    let image = visible(catalog, caller, afi)?;
    if image.owner_id == caller.account {
        return Ok(image);
    }
    let account = caller.account;
    Err(ApiError::not_permitted(format!(
        "Operation not permitted: '{afi}' is not owned by {account}"
    )))
}

/// An action of the API.
#[derive(Debug)]
pub(super) struct Action {
    service: Service,
    /// As `Action` names it.
    pub(super) name: &'static str,
    /// Answers a call: takes every parameter it knows, refuses others, and writes the elements of
    /// the answer. Nothing has been written when it fails.
    pub(super) run: fn(&Call<'_>, Params, &mut Xml) -> Result<(), ApiError>,
}

const fn ec2(
    name: &'static str,
    run: fn(&Call<'_>, Params, &mut Xml) -> Result<(), ApiError>,
) -> Action {
    Action {
        service: Service::Ec2,
        name,
        run,
    }
}

const ACTIONS: &[Action] = &[
    ec2("CopyFpgaImage", copy_fpga_image::run),
    ec2("CreateFpgaImage", create_fpga_image::run),
    ec2("CreateImage", create_image::run),
    ec2("CreateTags", create_tags::run),
    ec2("DeleteFpgaImage", delete_fpga_image::run),
    ec2("DeleteTags", delete_tags::run),
    ec2("DeregisterImage", deregister_image::run),
    ec2(
        "DescribeFpgaImageAttribute",
        describe_fpga_image_attribute::run,
    ),
    ec2("DescribeFpgaImages", describe_fpga_images::run),
    ec2("DescribeImages", describe_images::run),
    ec2("DescribeInstances", describe_instances::run),
    ec2("DescribeTags", describe_tags::run),
    ec2("ModifyFpgaImageAttribute", modify_fpga_image_attribute::run),
    ec2("ResetFpgaImageAttribute", reset_fpga_image_attribute::run),
    Action {
        service: Service::Sts,
        name: "GetCallerIdentity",
        run: get_caller_identity::run,
    },
];

/// Takes the parameters that name an action, and finds it.
pub(super) fn take(params: &mut Params, service: Service) -> Result<&'static Action, ApiError> {
    let name = params.take("Action").ok_or_else(|| {
        ApiError::client(
            "MissingAction",
            "The request is missing an action or a required parameter.",
        )
    })?;
    let version = params.take("Version").unwrap_or_default();
    let (service_name, wanted) = match service {
        Service::Ec2 => ("AmazonEC2", "2016-11-15"),
        Service::Sts => ("AWSSecurityTokenService", "2011-06-15"),
    };
    if version != wanted {
        let message = format!(
            "The requested version ({}) of service {service_name} does not exist; this endpoint has {wanted}",
            shown(&version),
        );
        return Err(ApiError::client("NoSuchVersion", message));
    }
    let mut of_service = ACTIONS.iter().filter(|action| action.service == service);
    of_service
        .find(|action| action.name == name)
        .ok_or_else(|| {
            let message = format!(
                "The action {} is not valid for this web service.",
                shown(&name)
            );
            ApiError::client("InvalidAction", message)
        })
}
