//! From the client's errors to ours.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ConnectorError, ProvideErrorMetadata, SdkError};

use super::super::{Call, CloudError};

/// The code for an id that is unknown or not shared (EC2 API Reference, "Error codes", as the
/// following).
pub(super) const NOT_FOUND: &str = "InvalidFpgaImageID.NotFound";

/// Codes for credentials that are wrong, out of date, or signed with a wrong clock.
const CREDENTIALS: [&str; 9] = [
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Codes for what the account may not do.
const DENIED: [&str; 7] = [
    "AccessDenied",
    "AccessDeniedException",
    "Blocked",
    "OperationNotPermitted",
    "OptInRequired",
    "PendingVerification",
    "UnauthorizedOperation",
];

/// Codes for too many calls.
const THROTTLED: [&str; 8] = [
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
];

/// What a failed call means. `endpoint` is where it went.
pub(super) fn failure<E>(error: SdkError<E, HttpResponse>, call: Call, endpoint: &str) -> CloudError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let endpoint = endpoint.to_owned();
    match error {
        SdkError::ServiceError(context) => {
            let status = context.raw().status().as_u16();
            let error = context.into_err();
            if (200..300).contains(&status) {
                return not_an_answer(call, error.into());
            }
            let code = error.code().unwrap_or("no code").to_owned();
            let message = error.message().unwrap_or("no message").to_owned();
            refused(call, status, code, message)
        }
        SdkError::ResponseError(context) => {
            let source = SdkError::<E, HttpResponse>::ResponseError(context);
            not_an_answer(call, source.into())
        }
        SdkError::TimeoutError(context) => CloudError::Unreachable {
            call,
            endpoint,
            source: SdkError::<E, HttpResponse>::TimeoutError(context).into(),
        },
        SdkError::DispatchFailure(context) if context.is_io() || context.is_timeout() => {
            CloudError::Unreachable {
                call,
                endpoint,
                source: inner(SdkError::<E, HttpResponse>::DispatchFailure(context)),
            }
        }
        other => not_sent(call, inner(other)),
    }
}

/// What the code of a refusal means.
fn refused(call: Call, status: u16, code: String, message: String) -> CloudError {
    let is_one_of = |codes: &[&str]| codes.contains(&code.as_str());
    if is_one_of(&CREDENTIALS) {
        CloudError::Credentials {
            call,
            code,
            message,
        }
    } else if is_one_of(&DENIED) {
        CloudError::Denied {
            call,
            code,
            message,
        }
    } else if is_one_of(&THROTTLED) || status == 429 {
        CloudError::Throttled {
            call,
            code,
            message,
        }
    } else if code == "InvalidFpgaImageID.Malformed" {
        CloudError::Malformed { call, message }
    } else if status >= 500 {
        CloudError::Server {
            call,
            status,
            code,
            message,
        }
    } else {
        CloudError::Refused {
            call,
            status,
            code,
            message,
        }
    }
}

fn not_an_answer(call: Call, source: Box<dyn Error + Send + Sync>) -> CloudError {
    CloudError::Answer {
        call,
        problem: "it is not what the EC2 API answers".to_owned(),
        source: Some(source),
    }
}

/// What it means that a request did not leave this machine.
fn not_sent(call: Call, source: Box<dyn Error + Send + Sync>) -> CloudError {
    if has_cause::<CredentialsError>(source.as_ref()) {
        CloudError::NoCredentials { call, source }
    } else {
        CloudError::Client {
            what: "make a request to the EC2 API",
            source,
        }
    }
}

/// What an error is about, without the layers that only say in which phase it happened
/// ("dispatch failure", "io error").
fn inner<E>(error: SdkError<E, HttpResponse>) -> Box<dyn Error + Send + Sync>
where
    E: Error + Send + Sync + 'static,
{
    let source = error.into_source().unwrap_or_else(Into::into);
    match source.downcast::<ConnectorError>() {
        Ok(connector) => connector.into_source(),
        Err(source) => source,
    }
}

/// Whether an error of this type is anywhere in the chain.
fn has_cause<T: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<T>() {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{Class, Problem as _};

    fn refusal(status: u16, code: &str) -> CloudError {
        let call = Call {
            action: "ec2:DescribeFpgaImages",
            region: "us-east-1".to_owned(),
        };
        refused(call, status, code.to_owned(), "because".to_owned())
    }

    #[test]
    fn each_code_has_its_class_and_its_remedy() {
        let error = refusal(403, "UnauthorizedOperation");
        assert_eq!(error.class(), Class::NotPermitted);
        assert!(error.remedy().unwrap().contains("ec2:DescribeFpgaImages"));
        assert_eq!(
            error.to_string(),
            "ec2:DescribeFpgaImages in us-east-1 is not allowed (UnauthorizedOperation: because)"
        );
        let error = refusal(401, "AuthFailure");
        assert_eq!(error.class(), Class::NotPermitted);
        assert!(error.remedy().unwrap().contains("clock"));
        assert!(matches!(
            refusal(503, "RequestLimitExceeded"),
            CloudError::Throttled { .. }
        ));
        assert!(matches!(
            refusal(429, "no code"),
            CloudError::Throttled { .. }
        ));
        assert!(matches!(
            refusal(500, "InternalError"),
            CloudError::Server { .. }
        ));
        let error = refusal(400, "InvalidFpgaImageID.Malformed");
        assert_eq!(error.class(), Class::Usage);
        assert!(matches!(
            refusal(400, "InvalidParameterValue"),
            CloudError::Refused { .. }
        ));
    }

    #[test]
    fn only_what_passes_by_itself_is_an_outage() {
        for (status, code) in [(503, "RequestLimitExceeded"), (502, "no code")] {
            assert!(refusal(status, code).is_outage(), "{code}");
        }
        for (status, code) in [
            (403, "UnauthorizedOperation"),
            (401, "AuthFailure"),
            (400, "X"),
        ] {
            assert!(!refusal(status, code).is_outage(), "{code}");
        }
    }
}
