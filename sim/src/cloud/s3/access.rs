//! Who may do what with a bucket: its owner everything, in its region.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use crate::catalog::Region;
use crate::cloud::auth::account_of_key;
use crate::cloud::store_files::is_plain_key;
use crate::cloud::world::World;
use crate::fault::Kind;

/// The rules.
pub(super) struct Access(pub(super) Arc<World>);

/// The header in which S3 tells where a bucket really is.
const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let credentials = cx
            .credentials()
            .ok_or_else(|| s3_error!(AccessDenied, "Access Denied"))?;
        let account =
            account_of_key(&credentials.access_key).ok_or_else(|| s3_error!(InvalidAccessKeyId))?;
        let Some(bucket) = cx.s3_path().get_bucket_name() else {
            return Ok(());
        };
        let operation = cx.s3_op().name();
        if operation == "CreateBucket" {
            return Ok(());
        }
        let state = self.0.state();
        let Some(known) = state.buckets.get(bucket) else {
            return Err(s3_error!(
                NoSuchBucket,
                "The specified bucket does not exist"
            ));
        };
        if known.owner != account {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        if let Some(key) = cx.s3_path().get_object_key() {
            check_key(key)?;
        }
        // Where it is can be asked from anywhere (API Reference, GetBucketLocation).
        if operation == "GetBucketLocation" {
            return Ok(());
        }
        let asked = region_of(cx);
        if self.0.strikes(Kind::StoreOtherRegion) {
            return Err(elsewhere(&another_than(&known.region)));
        }
        match asked {
            Some(asked) if asked != known.region.as_str() => Err(elsewhere(&known.region)),
            _ => Ok(()),
        }
    }
}

/// Refuses a key that the store cannot hold, as S3 does with one that leads out of its bucket.
pub(super) fn check_key(key: &str) -> S3Result<()> {
    if is_plain_key(key) {
        Ok(())
    } else {
        Err(s3_error!(InvalidURI, "Couldn't parse the specified URI."))
    }
}

/// The region that the request was signed for: in the header, or in a presigned URL.
fn region_of(cx: &S3AccessContext<'_>) -> Option<String> {
    let of_scope = |scope: &str| scope.split('/').nth(2).map(str::to_owned);
    if let Some(value) = cx.headers().get("authorization") {
        let (_, scope) = value.to_str().ok()?.split_once("Credential=")?;
        return of_scope(scope);
    }
    let query = cx.uri().query()?.as_bytes();
    let mut pairs = form_urlencoded::parse(query);
    let (_, scope) = pairs.find(|(name, _)| name == "X-Amz-Credential")?;
    of_scope(&scope)
}

/// Clients follow this to the region in the header.
fn elsewhere(region: &Region) -> S3Error {
    let mut error = S3Error::with_message(
        S3ErrorCode::PermanentRedirect,
        "The bucket you are attempting to access must be addressed using the specified endpoint. \
         Please send all future requests to this endpoint.",
    );
    error.set_status_code(StatusCode::MOVED_PERMANENTLY);
    if let Ok(value) = HeaderValue::from_str(region.as_str()) {
        error.set_headers(HeaderMap::from_iter([(BUCKET_REGION, value)]));
    }
    error
}

/// For the fault: a region that the bucket is not in.
fn another_than(region: &Region) -> Region {
    let others = ["eu-west-1", "us-west-2"];
    let other = others.into_iter().find(|name| *name != region.as_str());
    other
        .and_then(|name| name.parse().ok())
        .unwrap_or_else(|| region.clone())
}
