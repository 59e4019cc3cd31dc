//! `DescribeFpgaImages`: the images that an account sees in a region (EC2 API Reference; element
//! names from the service's Smithy model, `FpgaImage`).

use std::collections::BTreeSet;

use afi_proto::AfiId;

use super::Call;
use crate::catalog::{AccountId, Catalog, CatalogImage};
use crate::cloud::error::ApiError;
use crate::cloud::filter::Filter;
use crate::cloud::page::Page;
use crate::cloud::query::{Params, shown};
use crate::cloud::rules;
use crate::cloud::xml::Xml;
use crate::fault::Kind;

pub(super) fn run(call: &Call<'_>, params: Params, xml: &mut Xml) -> Result<(), ApiError> {
    let caller = call.caller;
    let request = Request::take(params, call)?;
    let nothing = Catalog::empty();
    let shared = call.world.catalog.read();
    let catalog = if call.world.strikes(Kind::ApiEmpty) {
        &nothing
    } else {
        &*shared
    };
    for afi in &request.ids {
        super::visible(catalog, caller, *afi)?;
    }
    // Images that were named are looked up; otherwise the walk begins where the page before ended.
    let named = request.ids.iter().filter_map(|afi| catalog.image(*afi));
    let after = request.page.after().and_then(|key| key.parse().ok());
    let all = catalog.images_after(after);
    let candidates: Box<dyn Iterator<Item = &CatalogImage>> = if request.ids.is_empty() {
        Box::new(all)
    } else {
        Box::new(named)
    };
    let wanted = candidates
        .filter(|image| image.is_visible_in(caller.account, &caller.region))
        .filter(|image| request.wants(image, caller.account));
    let (images, next) = request.page.cut(wanted, |image| image.afi.to_string());
    xml.list("fpgaImageSet", images, |xml, image| {
        write(xml, image, caller.account)
    });
    xml.optional_text("nextToken", next.as_deref());
    Ok(())
}

struct Request {
    /// Each once, in their order.
    ids: BTreeSet<AfiId>,
    owners: Vec<Owner>,
    filters: Vec<(Attribute, Filter)>,
    page: Page,
}

impl Request {
    fn take(mut params: Params, call: &Call<'_>) -> Result<Self, ApiError> {
        let dry_run = params.take_bool("DryRun")?;
        let page = Page::take(&mut params, call.caller, 5..=1000)?;
        let ids: BTreeSet<AfiId> = params
            .take_list("FpgaImageId")
            .iter()
            .map(|text| rules::parse_afi(text))
            .collect::<Result<_, _>>()?;
        let owners = params
            .take_list("Owner")
            .iter()
            .map(|text| Owner::parse(text))
            .collect::<Result<_, _>>()?;
        let filters = Filter::take_all(&mut params)?
            .into_iter()
            .map(|filter| Ok((Attribute::of(&filter)?, filter)))
            .collect::<Result<_, ApiError>>()?;
        params.finish()?;
        // As DescribeInstances, DescribeImages and others do. Whether this action does is not
        // documented; what works against the stricter of the two works against both.
        if !ids.is_empty() && !page.is_everything() {
            let message = "The parameter FpgaImageIds cannot be used with the parameter MaxResults or NextToken";
            return Err(ApiError::client("InvalidParameterCombination", message));
        }
        if dry_run == Some(true) {
            return Err(ApiError::dry_run());
        }
        Ok(Self {
            ids,
            owners,
            filters,
            page,
        })
    }

    fn wants(&self, image: &CatalogImage, viewer: AccountId) -> bool {
        (self.owners.is_empty() || self.owners.iter().any(|owner| owner.owns(image, viewer)))
            && self
                .filters
                .iter()
                .all(|(attribute, filter)| attribute.passes(filter, image, viewer))
    }
}

/// What `Owner.N` names.
enum Owner {
    Caller,
    Alias(&'static str),
    Account(AccountId),
}

impl Owner {
    fn parse(text: &str) -> Result<Self, ApiError> {
        match text {
            "self" => Ok(Self::Caller),
            "amazon" => Ok(Self::Alias("amazon")),
            "aws-marketplace" => Ok(Self::Alias("aws-marketplace")),
            _ => rules::parse_account(text).map(Self::Account),
        }
    }

    fn owns(&self, image: &CatalogImage, viewer: AccountId) -> bool {
        match self {
            Self::Caller => image.owner_id == viewer,
            Self::Alias(alias) => image.owner_alias.as_deref() == Some(alias),
            Self::Account(account) => image.owner_id == *account,
        }
    }
}

/// What a filter looks at.
enum Attribute {
    CreateTime,
    FpgaImageId,
    FpgaImageGlobalId,
    Name,
    OwnerId,
    ProductCode,
    ShellVersion,
    State,
    Tag(String),
    TagKey,
    TagValue,
    UpdateTime,
}

impl Attribute {
    fn of(filter: &Filter) -> Result<Self, ApiError> {
        Ok(match filter.name() {
            "create-time" => Self::CreateTime,
            "fpga-image-id" => Self::FpgaImageId,
            "fpga-image-global-id" => Self::FpgaImageGlobalId,
            "name" => Self::Name,
            "owner-id" => Self::OwnerId,
            "product-code" => Self::ProductCode,
            "shell-version" => Self::ShellVersion,
            "state" => Self::State,
            "tag-key" => Self::TagKey,
            "tag-value" => Self::TagValue,
            "update-time" => Self::UpdateTime,
            name => match name.strip_prefix("tag:") {
                Some(key) if !key.is_empty() => Self::Tag(key.to_owned()),
                _ => {
                    let message = format!("The filter '{}' is invalid", shown(name));
                    return Err(ApiError::client("InvalidParameterValue", message));
                }
            },
        })
    }

    fn passes(&self, filter: &Filter, image: &CatalogImage, viewer: AccountId) -> bool {
        let matches = |text: String| filter.matches(&text);
        match self {
            Self::CreateTime => matches(image.create_time.to_string()),
            Self::FpgaImageId => matches(image.afi.to_string()),
            Self::FpgaImageGlobalId => image.agfi.is_some_and(|agfi| matches(agfi.to_string())),
            Self::Name => image.name.as_ref().is_some_and(|name| filter.matches(name)),
            Self::OwnerId => matches(image.owner_id.to_string()),
            Self::ProductCode => image.product_codes.iter().any(|code| filter.matches(code)),
            Self::ShellVersion => image
                .design
                .as_ref()
                .is_some_and(|design| matches(design.shell.to_string())),
            Self::State => matches(image.state.to_string()),
            Self::Tag(wanted) => image
                .tags_seen_by(viewer)
                .any(|(key, value)| key == wanted && filter.matches(value)),
            Self::TagKey => image
                .tags_seen_by(viewer)
                .any(|(key, _)| filter.matches(key)),
            Self::TagValue => image
                .tags_seen_by(viewer)
                .any(|(_, value)| filter.matches(value)),
            Self::UpdateTime => matches(image.update_time.to_string()),
        }
    }
}

fn write(xml: &mut Xml, image: &CatalogImage, viewer: AccountId) {
    xml.text("fpgaImageId", &image.afi.to_string());
    if let Some(agfi) = image.agfi {
        xml.text("fpgaImageGlobalId", &agfi.to_string());
    }
    xml.optional_text("name", image.name.as_deref());
    xml.optional_text("description", image.description.as_deref());
    if let Some(design) = &image.design {
        xml.text("shellVersion", &design.shell.to_string());
        xml.element("pciId", |xml| {
            let id = |id: u16| format!("{id:#06x}");
            xml.text("DeviceId", &id(design.ids.device));
            xml.text("VendorId", &id(design.ids.vendor));
            xml.text("SubsystemId", &id(design.ids.subsystem));
            xml.text("SubsystemVendorId", &id(design.ids.subsystem_vendor));
        });
    }
    xml.element("state", |xml| {
        xml.text("code", &image.state.to_string());
        xml.optional_text("message", image.state_message.as_deref());
    });
    xml.text("createTime", &image.create_time.to_string());
    xml.text("updateTime", &image.update_time.to_string());
    xml.text("ownerId", &image.owner_id.to_string());
    xml.optional_text("ownerAlias", image.owner_alias.as_deref());
    if !image.product_codes.is_empty() {
        xml.list("productCodes", &image.product_codes, |xml, code| {
            xml.text("productCode", code);
            xml.text("type", "marketplace");
        });
    }
    xml.list("tags", image.tags_seen_by(viewer), |xml, (key, value)| {
        xml.text("key", key);
        xml.text("value", value);
    });
    xml.text("public", if image.public { "true" } else { "false" });
    if let Some(design) = &image.design {
        let kept = if design.data_retention {
            "true"
        } else {
            "false"
        };
        xml.text("dataRetentionSupport", kept);
        let types = design.family.profile().instance_types;
        xml.element("instanceTypes", |xml| {
            for instance_type in types {
                xml.text("item", instance_type.name);
            }
        });
    }
}
