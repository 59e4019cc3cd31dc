//! `ModifyFpgaImageAttribute`: name, description, or who may load an FPGA image
//! (`fpga_image_attributes.md` of aws-fpga). One attribute in a request.

use std::collections::BTreeSet;

use super::fpga_image_attribute::Attribute;
use super::{Call, owned};
use crate::catalog::{AccountId, CatalogImage, ImageState};
use crate::cloud::error::ApiError;
use crate::cloud::query::{Params, shown};
use crate::cloud::rules;
use crate::cloud::xml::Xml;

pub(super) fn run(call: &Call<'_>, mut params: Params, xml: &mut Xml) -> Result<(), ApiError> {
    let dry_run = params.take_bool("DryRun")?;
    let afi = rules::take_afi(&mut params, "FpgaImageId")?;
    let modification = Modification::take(params)?;
    let attribute = modification.attribute();
    let image = call.world.change(|change| {
        modification.check(owned(&change.catalog, call.caller, afi)?)?;
        if dry_run == Some(true) {
            return Err(ApiError::dry_run());
        }
        change.alter_image(afi, |image| modification.apply(image))?;
        let altered = change.catalog.image(afi).cloned();
        altered.ok_or_else(ApiError::internal)
    })?;
    attribute.write(xml, &image);
    Ok(())
}

/// What is to change.
enum Modification {
    Name(String),
    Description(String),
    LoadPermission { add: Who, remove: Who },
}

/// Whom permissions are given to or taken from.
#[derive(Default)]
struct Who {
    accounts: BTreeSet<AccountId>,
    everybody: bool,
}

impl Modification {
    fn take(mut params: Params) -> Result<Self, ApiError> {
        let named = params.take("Attribute");
        let named = named.as_deref().map(Attribute::parse).transpose()?;
        let name = rules::take_text(&mut params, "Name")?;
        let description = rules::take_text(&mut params, "Description")?;
        let permissions = take_permissions(&mut params)?;
        let product_codes = params.take_list("ProductCode");
        params.finish()?;
        if named == Some(Attribute::ProductCodes) || !product_codes.is_empty() {
            return Err(ApiError::not_permitted(
                "Product codes are set by the AWS Marketplace only",
            ));
        }
        let mut given = Vec::new();
        given.extend(name.map(Self::Name));
        given.extend(description.map(Self::Description));
        given.extend(permissions);
        let modification = given.pop().ok_or_else(|| {
            let message = "The request must contain an attribute to modify";
            ApiError::client("MissingParameter", message)
        })?;
        if !given.is_empty() || named.is_some_and(|named| named != modification.attribute()) {
            let message = "Exactly one attribute can be modified in a request";
            return Err(ApiError::client("InvalidParameterCombination", message));
        }
        Ok(modification)
    }

    fn attribute(&self) -> Attribute {
        match self {
            Self::Name(_) => Attribute::Name,
            Self::Description(_) => Attribute::Description,
            Self::LoadPermission { .. } => Attribute::LoadPermission,
        }
    }

    /// Permissions change only while the image is available.
    fn check(&self, image: &CatalogImage) -> Result<(), ApiError> {
        match self {
            Self::LoadPermission { .. } if image.state != ImageState::Available => {
                let (afi, state) = (image.afi, image.state);
                let message = format!(
                    "Load permissions of '{afi}' cannot change while it is '{state}'; it has to be 'available'"
                );
                Err(ApiError::client("IncorrectState", message))
            }
            _ => Ok(()),
        }
    }

    fn apply(self, image: &mut CatalogImage) {
        match self {
            Self::Name(name) => image.name = Some(name),
            Self::Description(description) => image.description = Some(description),
            Self::LoadPermission { add, remove } => {
                image.public = (image.public || add.everybody) && !remove.everybody;
                image.shared_with.extend(add.accounts);
                for account in &remove.accounts {
                    image.shared_with.remove(account);
                }
            }
        }
    }
}

/// Takes permissions in both of their forms: `OperationType` with `UserId.N` and `UserGroup.N`, or
/// `LoadPermission.Add.N` and `LoadPermission.Remove.N`.
fn take_permissions(params: &mut Params) -> Result<Option<Modification>, ApiError> {
    let mut add = take_structures(params, "LoadPermission.Add")?;
    let mut remove = take_structures(params, "LoadPermission.Remove")?;
    let operation = params.take("OperationType");
    let mut who = Who::default();
    for text in params.take_list("UserId") {
        who.accounts.insert(rules::parse_account(&text)?);
    }
    for text in params.take_list("UserGroup") {
        who.take_group("UserGroup", &text)?;
    }
    match operation.as_deref() {
        None if who.is_nobody() => {}
        None => return Err(ApiError::missing("OperationType")),
        Some("add") if !who.is_nobody() => add.join(who),
        Some("remove") if !who.is_nobody() => remove.join(who),
        Some("add" | "remove") => return Err(ApiError::missing("UserId")),
        Some(other) => {
            return Err(ApiError::invalid_value(
                "OperationType",
                shown(other),
                "Expecting add or remove.",
            ));
        }
    }
    let nothing = add.is_nobody() && remove.is_nobody();
    Ok((!nothing).then_some(Modification::LoadPermission { add, remove }))
}

fn take_structures(params: &mut Params, name: &str) -> Result<Who, ApiError> {
    let mut who = Who::default();
    for mut permission in params.take_structures(name) {
        let account = permission.take("UserId");
        let group = permission.take("Group");
        permission.finish()?;
        if let Some(account) = account {
            who.accounts.insert(rules::parse_account(&account)?);
        }
        if let Some(group) = group {
            who.take_group("Group", &group)?;
        }
    }
    Ok(who)
}

impl Who {
    fn take_group(&mut self, parameter: &str, text: &str) -> Result<(), ApiError> {
        if text != "all" {
            let wanted = "Expecting all.";
            return Err(ApiError::invalid_value(parameter, shown(text), wanted));
        }
        self.everybody = true;
        Ok(())
    }

    fn is_nobody(&self) -> bool {
        self.accounts.is_empty() && !self.everybody
    }

    fn join(&mut self, other: Self) {
        self.accounts.extend(other.accounts);
        self.everybody |= other.everybody;
    }
}
