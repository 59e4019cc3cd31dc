//! The EC2 endpoint: from an HTTP request to the answer of an action, through the faults.
//!
//! Protocol: EC2 API Reference, "Query requests" and "Error responses": a form in the body of a
//! POST or the query of a GET, and XML back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{self, Body};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::action::{self, Action, Call};
use super::auth::{Caller, Service};
use super::checker::Checker;
use super::error::ApiError;
use super::identity::InstanceIdentity;
use super::query::Params;
use super::signature;
use super::world::World;
use super::xml::Xml;
use crate::catalog::Timestamp;
use crate::fault::Kind;

/// Bytes of a request's body.
const MAX_BODY: usize = 1 << 20;
/// For a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What the endpoint works with.
#[derive(Debug)]
pub(super) struct Ec2 {
    world: Arc<World>,
    checker: Checker,
    /// The instance; its account is that of access keys that name none.
    identity: InstanceIdentity,
    launched: Timestamp,
    require_signatures: bool,
    requests: AtomicU64,
}

impl Ec2 {
    pub(super) fn new(
        world: Arc<World>,
        checker: Checker,
        identity: InstanceIdentity,
        require_signatures: bool,
    ) -> Self {
        Self {
            launched: world.now(),
            world,
            checker,
            identity,
            require_signatures,
            requests: AtomicU64::new(0),
        }
    }

    /// Requests that have arrived.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Whether a connection that just came is served.
    pub(super) fn admits_connection(&self) -> bool {
        !self.world.strikes(Kind::ApiRefused)
    }

    /// Runs the action that a request asks for. The error comes with the service whose form it is
    /// to have.
    fn run(
        &self,
        parts: &axum::http::request::Parts,
        body: &[u8],
    ) -> Result<(&'static Action, Service, Xml), (Service, ApiError)> {
        let ec2 = |error| (Service::Ec2, error);
        if self.world.strikes(Kind::ApiThrottled) {
            return Err(ec2(ApiError::throttled()));
        }
        if self.world.strikes(Kind::ApiInternalError) {
            return Err(ec2(ApiError::internal()));
        }
        let mut form = parts.uri.query().unwrap_or_default().as_bytes().to_vec();
        form.push(b'&');
        form.extend_from_slice(body);
        let mut params = Params::parse(&form).map_err(ec2)?;
        let home = self.identity.account;
        let caller = Caller::of(&parts.headers, &mut params, home).map_err(ec2)?;
        let service = caller.service;
        let failed = |error| (service, error);
        if self.world.strikes(Kind::ApiExpired) {
            return Err(failed(ApiError::expired()));
        }
        if self.require_signatures {
            signature::verify(service, parts, body, SystemTime::now()).map_err(failed)?;
        }
        let action = action::take(&mut params, service).map_err(failed)?;
        if self.world.strikes(Kind::ApiDenied) {
            return Err(failed(ApiError::unauthorized()));
        }
        self.world.settle();
        let call = Call {
            world: &self.world,
            checker: &self.checker,
            identity: &self.identity,
            launched: self.launched,
            caller: &caller,
        };
        let mut xml = Xml::default();
        (action.run)(&call, params, &mut xml).map_err(failed)?;
        Ok((action, service, xml))
    }
}

/// Its routes.
pub(super) fn router(ec2: Arc<Ec2>) -> Router {
    Router::new().fallback(answer).with_state(ec2)
}

async fn answer(State(ec2): State<Arc<Ec2>>, request: Request) -> Response {
    // Before it is counted, so that who has seen the count may change the faults.
    let delay = ec2.world.faults.strikes(Kind::ApiSlow, None);
    let number = ec2.requests.fetch_add(1, Ordering::SeqCst) + 1;
    let request_id = format!("00000000-0000-4000-8000-{number:012x}");
    if let Some(milliseconds) = delay {
        tokio::time::sleep(Duration::from_millis(milliseconds.unsigned_abs())).await;
    }
    let (parts, body) = request.into_parts();
    let result = match read(&parts, body).await {
        Ok(body) => ec2.run(&parts, &body),
        Err(error) => Err((Service::Ec2, error)),
    };
    match result {
        Ok((action, service, answer)) => {
            let text = write_answer(action, service, &answer, &request_id);
            respond(StatusCode::OK, text, request_id)
        }
        Err((service, error)) => {
            tracing::debug!(
                code = error.code,
                message = error.message,
                request_id,
                "refused"
            );
            let text = write_error(service, &error, &request_id);
            respond(error.status, text, request_id)
        }
    }
}

async fn read(parts: &axum::http::request::Parts, body: Body) -> Result<Vec<u8>, ApiError> {
    if parts.uri.path() != "/" {
        let message = "The API is at the path / of this endpoint.";
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "InvalidAction",
            message,
        ));
    }
    if parts.method != Method::POST && parts.method != Method::GET {
        let message = "The API takes POST and GET.";
        return Err(ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            message,
        ));
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, body::to_bytes(body, MAX_BODY));
    match read.await {
        Ok(Ok(body)) => Ok(body.to_vec()),
        Ok(Err(_)) => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            format!("The body has more than {MAX_BODY} bytes, or broke off."),
        )),
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "RequestTimeout",
            format!(
                "The body did not arrive within {} seconds.",
                BODY_TIMEOUT.as_secs()
            ),
        )),
    }
}

/// EC2 puts the elements of an answer into its root, STS into an element of their own.
fn write_answer(action: &Action, service: Service, answer: &Xml, request_id: &str) -> String {
    let root = format!("{}Response", action.name);
    let namespace = Some(namespace(service));
    match service {
        Service::Ec2 => Xml::document(&root, namespace, |xml| {
            xml.text("requestId", request_id);
            xml.append(answer);
        }),
        Service::Sts => Xml::document(&root, namespace, |xml| {
            xml.element(&format!("{}Result", action.name), |xml| xml.append(answer));
            xml.element("ResponseMetadata", |xml| xml.text("RequestId", request_id));
        }),
    }
}

fn write_error(service: Service, error: &ApiError, request_id: &str) -> String {
    let code_and_message = |xml: &mut Xml| {
        xml.text("Code", error.code);
        xml.text("Message", &error.message);
    };
    match service {
        Service::Ec2 => Xml::document("Response", None, |xml| {
            xml.element("Errors", |xml| xml.element("Error", code_and_message));
            xml.text("RequestID", request_id);
        }),
        Service::Sts => Xml::document("ErrorResponse", Some(namespace(service)), |xml| {
            xml.element("Error", |xml| {
                let sender = error.status.is_client_error();
                xml.text("Type", if sender { "Sender" } else { "Receiver" });
                code_and_message(xml);
            });
            xml.text("RequestId", request_id);
        }),
    }
}

fn namespace(service: Service) -> &'static str {
    match service {
        Service::Ec2 => "http://ec2.amazonaws.com/doc/2016-11-15/",
        Service::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
    }
}

fn respond(status: StatusCode, text: String, request_id: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/xml;charset=UTF-8".to_owned()),
        (
            header::HeaderName::from_static("x-amzn-requestid"),
            request_id,
        ),
    ];
    (status, headers, text).into_response()
}
