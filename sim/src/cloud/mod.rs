//! What would the cloud do? Its endpoints on loopback, for an instance that is simulated: the EC2
//! API, the object store S3 and the instance metadata service. The real clients talk to them when the
//! standard variables `AWS_ENDPOINT_URL_EC2`, `AWS_ENDPOINT_URL_S3` and
//! `AWS_EC2_METADATA_SERVICE_ENDPOINT` name them.
//!
//! ```
//! use afi_proto::Family;
//! use afi_sim::cloud::{CloudConfig, CloudServer, InstanceIdentity};
//!
//! let cloud = CloudServer::start(CloudConfig::new(InstanceIdentity::simulated(Family::F1, 1)))?;
//! println!("export AWS_ENDPOINT_URL_EC2={}", cloud.ec2_endpoint());
//! # Ok::<(), afi_sim::cloud::CloudError>(())
//! ```
//!
//! An action of the API is one file in `action/`, and one line in its table. A request is believed to
//! come from the account that its access key names; [`CloudConfig::require_signatures`] has it prove
//! that. `docs/cloud.md` says what is simulated and what is not.

mod action;
mod auth;
mod checker;
mod ec2;
mod error;
mod filter;
mod identity;
mod logs;
mod metadata;
mod metadata_token;
mod page;
mod query;
mod rules;
mod s3;
mod server;
mod signature;
mod store_files;
mod tarball;
mod times;
mod world;
mod xml;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

pub use auth::{access_key_of, secret_access_key_of};
pub use identity::InstanceIdentity;
pub use times::CloudTimes;
pub use world::OpenError;

use crate::catalog::SharedCatalog;
use crate::clock::Clock;
use crate::fault::{FaultPlan, Kind};
use checker::Checker;
use ec2::Ec2;
use metadata::Metadata;
use server::{RefusingPort, Server};
use world::{Store, World, WorldConfig};

/// What the endpoints need to know.
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// The images that exist.
    pub catalog: SharedCatalog,
    /// The instance that the metadata service describes.
    pub identity: InstanceIdentity,
    /// What goes wrong: the kinds whose names begin with `api-`, `s3-`, `create-` and `copy-`.
    pub faults: Arc<FaultPlan>,
    /// Images become available, and session tokens of the metadata service expire, on this clock.
    pub clock: Clock,
    /// What the zero of the clock is called in timestamps.
    pub epoch: SystemTime,
    /// How long things take.
    pub times: CloudTimes,
    /// Refuse requests whose signature does not fit their access key. S3 always does.
    pub require_signatures: bool,
    /// Where state and buckets are kept, for the next start. `None`: in a folder that goes with the
    /// server.
    pub directory: Option<PathBuf>,
}

impl CloudConfig {
    /// The default catalogue, nothing going wrong, a clock that runs by itself, no proof of
    /// identity, and nothing kept.
    pub fn new(identity: InstanceIdentity) -> Self {
        Self {
            catalog: SharedCatalog::default(),
            identity,
            faults: Arc::new(FaultPlan::none()),
            clock: Clock::automatic(),
            epoch: SystemTime::now(),
            times: CloudTimes::default(),
            require_signatures: false,
            directory: None,
        }
    }
}

/// The running endpoints, on free ports of 127.0.0.1. Dropping it stops them.
///
/// They live on one thread that sleeps while nobody asks anything, and one that checks tarballs.
#[derive(Debug)]
pub struct CloudServer {
    ec2: Arc<Ec2>,
    world: Arc<World>,
    ec2_address: SocketAddr,
    s3_address: SocketAddr,
    metadata_address: SocketAddr,
    notices: Vec<String>,
    _server: Server,
    /// Holds the port of the EC2 endpoint when that is to refuse connections.
    _refusing: Option<RefusingPort>,
    /// The folder of a server that keeps nothing.
    _folder: Option<TempDir>,
}

/// Why the endpoints cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloudError {
    /// There is no free port or no thread.
    #[error("cannot start an endpoint")]
    Endpoint {
        /// What the system said.
        #[from]
        source: io::Error,
    },
    /// The folder of state and buckets cannot be used.
    #[error("cannot use the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was kept before cannot be used.
    #[error(transparent)]
    State(#[from] OpenError),
}

impl CloudServer {
    /// Starts the endpoints.
    ///
    /// With the fault `api-refused` at this moment, nobody ever listens on the port of the EC2
    /// endpoint, and the kernel refuses connections to it. When the fault is set later, connections
    /// are reset before a byte of them is read.
    ///
    /// # Errors
    /// When there is no free port or no thread, or the folder or its state cannot be used.
    pub fn start(config: CloudConfig) -> Result<Self, CloudError> {
        let (folder, temporary) = folder(config.directory.clone())?;
        let objects = folder.join("s3");
        std::fs::create_dir_all(&objects).map_err(|source| CloudError::Folder {
            path: objects.clone(),
            source,
        })?;
        let kept = config.directory.is_some();
        let (world, notices) = World::new(WorldConfig {
            catalog: config.catalog,
            faults: Arc::clone(&config.faults),
            times: config.times,
            clock: config.clock.clone(),
            epoch: config.epoch,
            objects,
            store: kept.then(|| Store::new(folder.join("state.json"))),
        })?;
        let world = Arc::new(world);
        let metadata = Arc::new(Metadata::new(&config.identity, config.clock));
        let refused = config.faults.strikes(Kind::ApiRefused, None).is_some();
        let checker = Checker::start(&world)?;
        let ec2 = Arc::new(Ec2::new(
            Arc::clone(&world),
            checker,
            config.identity,
            config.require_signatures,
        ));

        let mut server = Server::builder();
        let metadata_address = server.listen(metadata::router(metadata), || true)?;
        let s3_address = server.listen(s3::router(Arc::clone(&world))?, || true)?;
        let (ec2_address, refusing) = if refused {
            let port = RefusingPort::reserve()?;
            (port.address(), Some(port))
        } else {
            let admits = Arc::clone(&ec2);
            let admit = move || admits.admits_connection();
            (server.listen(ec2::router(Arc::clone(&ec2)), admit)?, None)
        };
        server.run_beside(times::settle_when_due(Arc::clone(&world)));
        Ok(Self {
            ec2,
            world,
            ec2_address,
            s3_address,
            metadata_address,
            notices,
            _server: server.start()?,
            _refusing: refusing,
            _folder: temporary,
        })
    }

    /// The URL of the EC2 endpoint, for `AWS_ENDPOINT_URL_EC2`. It serves `GetCallerIdentity` of
    /// STS too, and so fits `AWS_ENDPOINT_URL_STS`.
    pub fn ec2_endpoint(&self) -> String {
        format!("http://{}", self.ec2_address)
    }

    /// The URL of the instance metadata service, for `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub fn metadata_endpoint(&self) -> String {
        format!("http://{}", self.metadata_address)
    }

    /// The URL of the object store, for `AWS_ENDPOINT_URL_S3`. Buckets are the first part of the path.
    pub fn s3_endpoint(&self) -> String {
        format!("http://{}", self.s3_address)
    }

    /// What is to be said about the state that was found: what could not be used, and where it is.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Waits until every uploaded tarball has been checked, and tells whether that was so in time. Its
    /// image stays pending until the clock says that it is done.
    pub fn wait_for_checks(&self, timeout: Duration) -> bool {
        self.world.wait_for_checks(timeout)
    }

    /// API requests that have arrived at the EC2 endpoint, whatever their answer was.
    pub fn requests(&self) -> u64 {
        self.ec2.requests()
    }
}

/// The folder to use, and what deletes it in the end.
fn folder(directory: Option<PathBuf>) -> Result<(PathBuf, Option<TempDir>), CloudError> {
    match directory {
        Some(path) => Ok((path, None)),
        None => {
            let temporary = tempfile::Builder::new()
                .prefix("afi-sim-cloud-")
                .tempdir()?;
            Ok((temporary.path().to_owned(), Some(temporary)))
        }
    }
}

#[cfg(test)]
mod tests;
