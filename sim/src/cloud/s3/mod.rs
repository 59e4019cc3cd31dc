//! The object store: buckets and objects as files below a folder, behind the S3 protocol of the
//! `s3s` crates.
//!
//! `s3s` parses requests and verifies their signatures, `s3s-fs` keeps objects. What is here is what
//! those do not know: which region and account a bucket is, and what goes wrong. Signatures are
//! always verified, unlike those of the other endpoints: an upload that is signed in pieces cannot be
//! taken apart otherwise.

mod access;
mod faults;
mod objects;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use s3s::auth::{S3Auth, SecretKey};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Result, s3_error};

use super::auth::secret_of;
use super::world::World;
use access::Access;
use objects::Objects;

/// What the endpoint works with.
#[derive(Clone)]
struct Endpoint {
    service: S3Service,
    world: Arc<World>,
}

/// Its routes. Fails when the folder of the buckets cannot be used.
pub(super) fn router(world: Arc<World>) -> io::Result<Router> {
    let objects = Objects::open(Arc::clone(&world))?;
    let mut builder = S3ServiceBuilder::new(objects);
    builder.set_auth(Secrets);
    builder.set_access(Access(Arc::clone(&world)));
    let service = builder.build();
    let endpoint = Endpoint { service, world };
    Ok(Router::new().fallback(answer).with_state(endpoint))
}

async fn answer(State(endpoint): State<Endpoint>, request: Request) -> Response {
    if let Some(refused) = faults::strike(&endpoint.world).await {
        return refused;
    }
    let request = request.map(s3s::Body::http_body_unsync);
    match endpoint.service.call(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => {
            let error: Box<dyn std::error::Error + Send + Sync> = error.into();
            tracing::warn!(%error, "S3");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The secrets of the simulated accounts.
struct Secrets;

#[async_trait::async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let secret = secret_of(access_key).ok_or_else(|| {
            s3_error!(
                InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records."
            )
        })?;
        Ok(SecretKey::from(secret))
    }
}
