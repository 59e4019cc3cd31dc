//! Who asks, and where: from the credential scope of Signature Version 4.
//!
//! Source: AWS IAM User Guide, "Elements of an AWS API request signature": the scope is
//! `KEY/date/region/service/aws4_request`. Whether the signature fits is `signature`'s question.

use axum::http::{HeaderMap, StatusCode, header};

use super::error::ApiError;
use super::query::Params;
use crate::catalog::{AccountId, Region};

/// What access keys of the simulation begin with; the account's 12 digits follow.
const LONG_TERM_KEY: &str = "AKIASIM0";
/// The same for the temporary credentials of the instance's role.
const TEMPORARY_KEY: &str = "ASIASIM0";
/// The session token of those temporary credentials.
pub(super) const SESSION_TOKEN: &str = "simulated";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A service that the endpoint answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Ec2,
    Sts,
}

/// The sender of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) account: AccountId,
    pub(super) region: Region,
    pub(super) service: Service,
}

/// An access key id with which requests count as this account's: `AKIASIM0` and the account. A key
/// that does not have this form is the simulated instance's own account's.
pub fn access_key_of(account: AccountId) -> String {
    format!("{LONG_TERM_KEY}{account}")
}

/// The access key id of the credentials that the metadata service gives out.
pub(super) fn temporary_access_key_of(account: AccountId) -> String {
    format!("{TEMPORARY_KEY}{account}")
}

/// The secret that goes with an account's access key: `simulated-` and the account. It is no secret:
/// whoever reads this may be any account of the simulation.
pub fn secret_access_key_of(account: AccountId) -> String {
    format!("simulated-{account}")
}

/// The secret of an access key; `None` for one that names no account.
pub(super) fn secret_of(access_key: &str) -> Option<String> {
    account_of_key(access_key).map(secret_access_key_of)
}

/// Whether a key is one of temporary credentials, which come with a session token.
pub(super) fn is_temporary(access_key: &str) -> bool {
    access_key.starts_with(TEMPORARY_KEY)
}

impl Caller {
    /// The caller that a request's header names, or the parameters of a presigned URL, which are
    /// taken. Keys that name no account are `home`'s.
    pub(super) fn of(
        headers: &HeaderMap,
        params: &mut Params,
        home: AccountId,
    ) -> Result<Self, ApiError> {
        let presigned = take_presigned(params);
        let scope = match headers.get(header::AUTHORIZATION) {
            Some(value) => scope_of_header(value.to_str().unwrap_or_default())?.to_owned(),
            None => presigned.ok_or_else(missing)?,
        };
        let parts: Vec<&str> = scope.split('/').collect();
        let &[key, _date, region, service, "aws4_request"] = parts.as_slice() else {
            return Err(incomplete(
                "Credential must be KEY/date/region/service/aws4_request.",
            ));
        };
        let region = region
            .parse()
            .map_err(|_| incomplete("Credential should be scoped to a valid region."))?;
        let service = match service {
            "ec2" => Service::Ec2,
            "sts" => Service::Sts,
            _ => {
                return Err(incomplete(
                    "Credential should be scoped to correct service: 'ec2'.",
                ));
            }
        };
        Ok(Self {
            account: account_of_key(key).unwrap_or(home),
            region,
            service,
        })
    }
}

/// The account that an access key names.
pub(super) fn account_of_key(key: &str) -> Option<AccountId> {
    let account = [LONG_TERM_KEY, TEMPORARY_KEY]
        .iter()
        .find_map(|prefix| key.strip_prefix(prefix))?;
    account.parse().ok()
}

/// `AWS4-HMAC-SHA256 Credential=SCOPE, SignedHeaders=…, Signature=…`, with or without the spaces.
fn scope_of_header(value: &str) -> Result<&str, ApiError> {
    let elements = value
        .strip_prefix(ALGORITHM)
        .ok_or_else(|| incomplete("Authorization must use AWS4-HMAC-SHA256."))?;
    elements
        .split(',')
        .find_map(|element| element.trim().strip_prefix("Credential="))
        .ok_or_else(|| incomplete("Authorization header requires 'Credential' parameter."))
}

/// Takes what a presigned URL carries, and returns its scope.
fn take_presigned(params: &mut Params) -> Option<String> {
    for name in [
        "Algorithm",
        "Date",
        "Expires",
        "SignedHeaders",
        "Signature",
        "Security-Token",
    ] {
        params.take(&format!("X-Amz-{name}"));
    }
    params.take("X-Amz-Credential")
}

fn missing() -> ApiError {
    let message = "Request is missing Authentication Token";
    ApiError::new(StatusCode::FORBIDDEN, "MissingAuthenticationToken", message)
}

fn incomplete(message: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "IncompleteSignature", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: AccountId = AccountId::SIMULATED;

    fn caller(header: &str) -> Result<Caller, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, header.parse().unwrap());
        Caller::of(&headers, &mut Params::default(), HOME)
    }

    #[test]
    fn the_scope_tells_account_region_and_service() {
        let ours = caller(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/eu-west-1/ec2/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=00",
        )
        .unwrap();
        assert_eq!(ours.account, HOME);
        assert_eq!(ours.region.as_str(), "eu-west-1");
        assert_eq!(ours.service, Service::Ec2);
        let theirs: AccountId = "095707098027".parse().unwrap();
        let key = access_key_of(theirs);
        let caller = caller(&format!(
            "AWS4-HMAC-SHA256 Credential={key}/20260101/us-west-2/sts/aws4_request"
        ));
        assert_eq!(caller.unwrap().account, theirs);
    }

    #[test]
    fn a_request_that_is_not_signed_is_refused() {
        let unsigned = Caller::of(&HeaderMap::new(), &mut Params::default(), HOME).unwrap_err();
        assert_eq!(unsigned.code, "MissingAuthenticationToken");
        for header in [
            "Basic x",
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA256 Credential=",
            "AWS4-HMAC-SHA256 Credential=a/b/us-east-1/ec2",
            "AWS4-HMAC-SHA256 Credential=a/b/nowhere/ec2/aws4_request",
            "AWS4-HMAC-SHA256 Credential=a/b/us-east-1/s3/aws4_request",
            "AWS4-HMAC-SHA256 Credential=a/b/us-east-1/ec2/aws4_request/more",
        ] {
            assert_eq!(
                caller(header).unwrap_err().code,
                "IncompleteSignature",
                "{header}"
            );
        }
    }

    #[test]
    fn a_presigned_url_carries_the_scope_itself() {
        let form = b"X-Amz-Credential=k%2F20260101%2Fus-east-1%2Fec2%2Faws4_request&X-Amz-Signature=0&Action=A";
        let mut params = Params::parse(form).unwrap();
        let caller = Caller::of(&HeaderMap::new(), &mut params, HOME).unwrap();
        assert_eq!(caller.region.as_str(), "us-east-1");
        assert_eq!(params.take("Action").as_deref(), Some("A"));
        params.finish().unwrap();
    }
}
