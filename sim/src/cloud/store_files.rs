//! Objects as the cloud's own services reach them: files below the folder of the buckets, behind the
//! same rules that clients meet.

use std::path::{Component, Path, PathBuf};

use super::world::{State, World};
use crate::catalog::{AccountId, Region};
use crate::fault::Kind;

/// Why an account cannot reach an object from a region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AccessError {
    #[error("the bucket {bucket} does not exist")]
    NoSuchBucket { bucket: String },
    #[error("the bucket {bucket} is in {region}, not in the region of the request")]
    OtherRegion { bucket: String, region: Region },
    #[error("the bucket {bucket} is another account's")]
    Denied { bucket: String },
    #[error("'{key}' is no key that the store can hold")]
    Key { key: String },
}

/// Where an object is or would be, for an account that asks from a region.
pub(super) fn object(
    world: &World,
    state: &State,
    (account, region): (AccountId, &Region),
    bucket: &str,
    key: &str,
) -> Result<PathBuf, AccessError> {
    let name = || bucket.to_owned();
    let Some(known) = state.buckets.get(bucket) else {
        return Err(AccessError::NoSuchBucket { bucket: name() });
    };
    if known.owner != account || world.strikes(Kind::StoreDenied) {
        return Err(AccessError::Denied { bucket: name() });
    }
    if known.region != *region || world.strikes(Kind::StoreOtherRegion) {
        return Err(AccessError::OtherRegion {
            bucket: name(),
            region: known.region.clone(),
        });
    }
    if !is_plain_key(key) {
        let key = key.to_owned();
        return Err(AccessError::Key { key });
    }
    Ok(world.objects().join(bucket).join(key))
}

/// Whether a key stays in its bucket: keys are paths of files, and one with `..` would lead to another
/// account's.
pub(super) fn is_plain_key(key: &str) -> bool {
    let plain = |component| matches!(component, Component::Normal(_));
    !key.is_empty() && !key.contains('\0') && Path::new(key).components().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_cannot_leave_its_bucket() {
        for key in ["a", "a/b.tar", "a//b", "a/./b", "..a", "a..b/c.."] {
            assert!(is_plain_key(key), "{key}");
        }
        for key in ["", "..", "../a", "a/../../b", "/etc/passwd", "./a", "a\0b"] {
            assert!(!is_plain_key(key), "{key}");
        }
    }
}
