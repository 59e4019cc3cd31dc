//! The actions of the API: one file each, and one line in the table.

mod describe_fpga_images;
mod get_caller_identity;

use super::auth::{Caller, Service};
use super::error::ApiError;
use super::query::{Params, shown};
use super::xml::Xml;
use crate::catalog::SharedCatalog;
use crate::fault::FaultPlan;

/// What an action works with.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) catalog: &'a SharedCatalog,
    pub(super) faults: &'a FaultPlan,
    pub(super) caller: &'a Caller,
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

const ACTIONS: &[Action] = &[
    Action {
        service: Service::Ec2,
        name: "DescribeFpgaImages",
        run: describe_fpga_images::run,
    },
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
