//! Rules that several actions share: tags, client tokens, texts, ids.
//!
//! Source of the rules on tags: EC2 API Reference, `Tag` and "Tag restrictions" of the EC2 User
//! Guide; on client tokens: "Ensuring idempotency". No document bounds the name and description of an
//! FPGA image; the bound here is the one of machine images.

use std::collections::BTreeMap;

use afi_proto::AfiId;

use super::error::ApiError;
use super::query::{Params, shown};
use crate::catalog::AccountId;

/// Characters of a tag's key.
const MAX_TAG_KEY: usize = 127;
/// Characters of a tag's value.
const MAX_TAG_VALUE: usize = 256;
/// Tags of a resource.
const MAX_TAGS: usize = 50;
/// Characters of a client token.
const MAX_TOKEN: usize = 64;
/// Characters of a name or description.
const MAX_TEXT: usize = 255;

/// Tags by key.
pub(super) type Tags = BTreeMap<String, String>;

/// Takes the id of an FPGA image that has to be there.
pub(super) fn take_afi(params: &mut Params, name: &str) -> Result<AfiId, ApiError> {
    parse_afi(&params.take_required(name)?)
}

/// An id of an FPGA image.
pub(super) fn parse_afi(text: &str) -> Result<AfiId, ApiError> {
    text.parse()
        .map_err(|_| ApiError::image_id_malformed(shown(text)))
}

/// Takes a name or a description.
pub(super) fn take_text(params: &mut Params, name: &str) -> Result<Option<String>, ApiError> {
    match params.take(name) {
        Some(text) if text.chars().count() > MAX_TEXT => {
            let wanted = format!("Expecting at most {MAX_TEXT} characters.");
            Err(ApiError::invalid_value(name, shown(&text), &wanted))
        }
        text => Ok(text),
    }
}

/// Takes a client token.
pub(super) fn take_token(params: &mut Params) -> Result<Option<String>, ApiError> {
    match params.take("ClientToken") {
        Some(token) if token.is_empty() || token.len() > MAX_TOKEN || !token.is_ascii() => {
            let wanted = format!("Expecting 1 to {MAX_TOKEN} ASCII characters.");
            Err(ApiError::invalid_value(
                "ClientToken",
                shown(&token),
                &wanted,
            ))
        }
        token => Ok(token),
    }
}

/// An account that permissions name.
pub(super) fn parse_account(text: &str) -> Result<AccountId, ApiError> {
    text.parse().map_err(|_| {
        let message = format!("Invalid user id: \"{}\"", shown(text));
        ApiError::client("InvalidUserID.Malformed", message)
    })
}

/// Takes `TagSpecification.N`, each of one of these types of resources. Returns the tags of each
/// type, in the order of `types`.
pub(super) fn take_tag_specifications<const N: usize>(
    params: &mut Params,
    types: [&str; N],
) -> Result<[Tags; N], ApiError> {
    let mut all = [const { Tags::new() }; N];
    for mut specification in params.take_structures("TagSpecification") {
        let named = specification
            .take("ResourceType")
            .ok_or_else(|| ApiError::missing("TagSpecification.ResourceType"))?;
        let Some(place) = types.iter().position(|known| *known == named) else {
            let message = format!(
                "'{}' is not a valid taggable resource type for this operation.",
                shown(&named)
            );
            return Err(ApiError::client("InvalidParameterValue", message));
        };
        let tags = take_tags(&mut specification)?;
        specification.finish()?;
        for (key, value) in tags {
            if all[place].contains_key(&key) {
                return Err(duplicate(&key));
            }
            all[place].insert(key, value);
        }
        check_count(&all[place])?;
    }
    Ok(all)
}

/// Takes `Tag.N` with keys and values.
pub(super) fn take_tags(params: &mut Params) -> Result<Tags, ApiError> {
    let mut tags = Tags::new();
    for mut tag in params.take_structures("Tag") {
        let key = tag.take("Key").unwrap_or_default();
        let value = tag.take("Value").unwrap_or_default();
        tag.finish()?;
        check_tag(&key, &value)?;
        if tags.insert(key.clone(), value).is_some() {
            return Err(duplicate(&key));
        }
    }
    check_count(&tags)?;
    Ok(tags)
}

/// Whether a resource may have these tags all together.
pub(super) fn check_count(tags: &Tags) -> Result<(), ApiError> {
    if tags.len() <= MAX_TAGS {
        return Ok(());
    }
    let message = format!("The maximum number of tags on a resource is {MAX_TAGS}");
    Err(ApiError::client("TagLimitExceeded", message))
}

/// Whether a key can be that of a tag that a user sets or deletes.
pub(super) fn check_key(key: &str) -> Result<(), ApiError> {
    let message = if key.is_empty() {
        "Tag key can't be null or empty".to_owned()
    } else if key.chars().count() > MAX_TAG_KEY {
        format!(
            "Tag key exceeds the maximum length of {MAX_TAG_KEY} characters: '{}'",
            shown(key)
        )
    } else if key.to_ascii_lowercase().starts_with("aws:") {
        "Tag keys starting with 'aws:' are reserved for internal use".to_owned()
    } else {
        return Ok(());
    };
    Err(ApiError::client("InvalidParameterValue", message))
}

fn check_tag(key: &str, value: &str) -> Result<(), ApiError> {
    check_key(key)?;
    if value.chars().count() <= MAX_TAG_VALUE {
        return Ok(());
    }
    let message = format!(
        "Tag value exceeds the maximum length of {MAX_TAG_VALUE} characters: '{}'",
        shown(value)
    );
    Err(ApiError::client("InvalidParameterValue", message))
}

fn duplicate(key: &str) -> ApiError {
    let message = format!("Duplicate tag key '{}' specified.", shown(key));
    ApiError::client("InvalidParameterValue", message)
}
