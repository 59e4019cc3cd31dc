//! The instance metadata service, version 2: session tokens and a tree of texts.
//!
//! Source: EC2 User Guide, "Use IMDSv2" (tokens and statuses), "Instance metadata categories" and
//! "Instance identity documents". Version 1, without tokens, is off.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::auth::{SESSION_TOKEN, secret_access_key_of, temporary_access_key_of};
use super::identity::InstanceIdentity;
use super::metadata_token::Tokens;
use crate::catalog::AccountId;
use crate::clock::Clock;

const TOKEN_PATH: &str = "/latest/api/token";
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
/// The role of the instance, which its credentials are for.
const ROLE_PATH: &str = "/latest/meta-data/iam/security-credentials/afi-sim";
/// Life of the role's credentials.
const CREDENTIALS_LIFE: Duration = Duration::from_secs(6 * 3600);

/// What the service works with.
#[derive(Debug)]
pub(super) struct Metadata {
    /// Texts by path.
    texts: Vec<(&'static str, String)>,
    account: AccountId,
    tokens: Tokens,
}

impl Metadata {
    pub(super) fn new(identity: &InstanceIdentity, clock: Clock) -> Self {
        let own = String::clone;
        let texts = vec![
            (
                "/latest/dynamic/instance-identity/document",
                document(identity),
            ),
            ("/latest/meta-data/ami-id", own(&identity.ami)),
            ("/latest/meta-data/instance-id", own(&identity.instance_id)),
            (
                "/latest/meta-data/instance-type",
                own(&identity.instance_type),
            ),
            ("/latest/meta-data/local-ipv4", own(&identity.private_ip)),
            (
                "/latest/meta-data/placement/availability-zone",
                own(&identity.availability_zone),
            ),
            (
                "/latest/meta-data/placement/region",
                identity.region.to_string(),
            ),
            (
                "/latest/meta-data/services/domain",
                "amazonaws.com".to_owned(),
            ),
            ("/latest/meta-data/services/partition", "aws".to_owned()),
        ];
        Self {
            texts,
            account: identity.account,
            tokens: Tokens::new(clock),
        }
    }

    /// What is at a path: a text, or the names under it, a directory's with a slash.
    fn at(&self, path: &str) -> Option<String> {
        let path = path.trim_end_matches('/');
        if path == ROLE_PATH {
            return Some(credentials(self.account));
        }
        if let Some((_, text)) = self.texts.iter().find(|(known, _)| *known == path) {
            return Some(text.clone());
        }
        let paths = self
            .texts
            .iter()
            .map(|(known, _)| *known)
            .chain([ROLE_PATH]);
        let names: BTreeSet<&str> = paths
            .filter_map(|known| known.strip_prefix(path)?.strip_prefix('/'))
            .map(|below| match below.find('/') {
                Some(slash) => &below[..=slash],
                None => below,
            })
            .collect();
        let names: Vec<&str> = names.into_iter().collect();
        (!names.is_empty()).then(|| names.join("\n"))
    }

    fn issue(&self, headers: &HeaderMap) -> Response {
        // A request that a proxy passed on is not from the instance.
        if headers.contains_key("x-forwarded-for") {
            return StatusCode::FORBIDDEN.into_response();
        }
        let ttl = headers.get(TTL_HEADER).and_then(|ttl| ttl.to_str().ok());
        let Some(ttl) = ttl.and_then(Tokens::parse_ttl) else {
            let why = format!("{TTL_HEADER} must be a number of seconds from 1 to 21600");
            return (StatusCode::BAD_REQUEST, why).into_response();
        };
        let headers = [
            (header::CONTENT_TYPE, "text/plain".to_owned()),
            (
                header::HeaderName::from_static(TTL_HEADER),
                ttl.as_secs().to_string(),
            ),
        ];
        (headers, self.tokens.issue(ttl)).into_response()
    }

    fn show(&self, path: &str, headers: &HeaderMap) -> Response {
        let token = headers
            .get(TOKEN_HEADER)
            .and_then(|token| token.to_str().ok());
        if !token.is_some_and(|token| self.tokens.accepts(token)) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        match self.at(path) {
            Some(text) => ([(header::CONTENT_TYPE, "text/plain")], text).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    }
}

/// Its routes.
pub(super) fn router(metadata: Arc<Metadata>) -> Router {
    Router::new().fallback(answer).with_state(metadata)
}

async fn answer(State(metadata): State<Arc<Metadata>>, request: Request) -> Response {
    let path = request.uri().path();
    match *request.method() {
        Method::PUT if path == TOKEN_PATH => metadata.issue(request.headers()),
        Method::GET | Method::HEAD => metadata.show(path, request.headers()),
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

fn document(identity: &InstanceIdentity) -> String {
    let started = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let document = json!({
        "accountId": identity.account.to_string(),
        "architecture": "x86_64",
        "availabilityZone": identity.availability_zone,
        "billingProducts": null,
        "devpayProductCodes": null,
        "imageId": identity.ami,
        "instanceId": identity.instance_id,
        "instanceType": identity.instance_type,
        "kernelId": null,
        "marketplaceProductCodes": null,
        "pendingTime": started,
        "privateIp": identity.private_ip,
        "ramdiskId": null,
        "region": identity.region.as_str(),
        "version": "2017-09-30",
    });
    format!("{document:#}")
}

/// Credentials that clients accept, and that nothing but the simulated endpoints would.
fn credentials(account: AccountId) -> String {
    let now = SystemTime::now();
    let written = |time| humantime::format_rfc3339_seconds(time).to_string();
    let credentials = json!({
        "Code": "Success",
        "LastUpdated": written(now),
        "Type": "AWS-HMAC",
        "AccessKeyId": temporary_access_key_of(account),
        "SecretAccessKey": secret_access_key_of(account),
        "Token": SESSION_TOKEN,
        "Expiration": written(now + CREDENTIALS_LIFE),
    });
    format!("{credentials:#}")
}
