//! Errors of the API, with the codes of the EC2 API Reference ("Error codes for the Amazon EC2
//! API").

use afi_proto::AfiId;
use axum::http::StatusCode;

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// The request is wrong.
    pub(super) fn client(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn invalid_value(name: &str, value: &str, wanted: &str) -> Self {
        let message = format!("Value ({value}) for parameter {name} is invalid. {wanted}");
        Self::client("InvalidParameterValue", message)
    }

    pub(super) fn image_not_found(afi: AfiId) -> Self {
        let message = format!("Image ID '{afi}' not found.");
        Self::client("InvalidFpgaImageID.NotFound", message)
    }

    pub(super) fn image_id_malformed(text: &str) -> Self {
        let message = format!("Invalid id: \"{text}\" (expecting \"afi-...\")");
        Self::client("InvalidFpgaImageID.Malformed", message)
    }

    /// The answer to a dry run that would have worked.
    pub(super) fn dry_run() -> Self {
        let message = "Request would have succeeded, but DryRun flag is set.";
        Self::new(StatusCode::PRECONDITION_FAILED, "DryRunOperation", message)
    }

    pub(super) fn unauthorized() -> Self {
        let message = "You are not authorized to perform this operation.";
        Self::new(StatusCode::FORBIDDEN, "UnauthorizedOperation", message)
    }

    pub(super) fn throttled() -> Self {
        let message = "Request limit exceeded.";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "RequestLimitExceeded",
            message,
        )
    }

    /// The credentials, or the request, are too old.
    pub(super) fn expired() -> Self {
        Self::client("RequestExpired", "Request has expired.")
    }

    /// A parameter that has to be there is not.
    pub(super) fn missing(name: &str) -> Self {
        let message = format!("The request must contain the parameter {name}");
        Self::client("MissingParameter", message)
    }

    pub(super) fn not_permitted(message: impl Into<String>) -> Self {
        Self::client("OperationNotPermitted", message)
    }

    pub(super) fn internal() -> Self {
        let message = "An internal error has occurred.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }
}
