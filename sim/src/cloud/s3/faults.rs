//! What goes wrong at the object store, before a request is looked at.

use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::cloud::world::World;
use crate::cloud::xml::Xml;
use crate::fault::Kind;

/// Waits as long as a fault says, and gives the answer of the one that strikes. Codes and statuses:
/// Amazon S3 API Reference, "Error responses".
pub(super) async fn strike(world: &World) -> Option<Response> {
    if let Some(milliseconds) = world.faults.strikes(Kind::StoreSlow, None) {
        tokio::time::sleep(Duration::from_millis(milliseconds.unsigned_abs())).await;
    }
    let answers = [
        (
            Kind::StoreThrottled,
            StatusCode::SERVICE_UNAVAILABLE,
            "SlowDown",
            "Please reduce your request rate.",
        ),
        (
            Kind::StoreInternalError,
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            "We encountered an internal error. Please try again.",
        ),
        (
            Kind::ApiExpired,
            StatusCode::BAD_REQUEST,
            "ExpiredToken",
            "The provided token has expired.",
        ),
        (
            Kind::StoreDenied,
            StatusCode::FORBIDDEN,
            "AccessDenied",
            "Access Denied",
        ),
    ];
    let struck = answers.into_iter().find(|(kind, ..)| world.strikes(*kind));
    let (_, status, code, message) = struck?;
    let text = Xml::document("Error", None, |xml| {
        xml.text("Code", code);
        xml.text("Message", message);
    });
    let headers = [
        (header::CONTENT_TYPE, "application/xml"),
        // The body of the request is not read.
        (header::CONNECTION, "close"),
    ];
    Some((status, headers, text).into_response())
}
