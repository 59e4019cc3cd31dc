//! What would the cloud do? Its endpoints on loopback, for an instance that is simulated: the EC2
//! API and the instance metadata service. The real clients talk to them when the standard variables
//! `AWS_ENDPOINT_URL_EC2` and `AWS_EC2_METADATA_SERVICE_ENDPOINT` name them.
//!
//! ```
//! use afi_proto::Family;
//! use afi_sim::cloud::{CloudConfig, CloudServer, InstanceIdentity};
//!
//! let cloud = CloudServer::start(CloudConfig::new(InstanceIdentity::simulated(Family::F1, 1)))?;
//! println!("export AWS_ENDPOINT_URL_EC2={}", cloud.ec2_endpoint());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! An action of the API is one file in `action/`, and one line in its table. Signatures are not
//! checked: a request is believed to come from the account that its access key names.

mod action;
mod auth;
mod ec2;
mod error;
mod filter;
mod identity;
mod metadata;
mod metadata_token;
mod page;
mod query;
mod server;
mod xml;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

pub use auth::access_key_of;
pub use identity::InstanceIdentity;

use crate::catalog::SharedCatalog;
use crate::clock::Clock;
use crate::fault::{FaultPlan, Kind};
use ec2::Ec2;
use metadata::Metadata;
use server::{RefusingPort, Server};

/// What the endpoints need to know.
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// The images that exist.
    pub catalog: SharedCatalog,
    /// The instance that the metadata service describes.
    pub identity: InstanceIdentity,
    /// What goes wrong: the kinds whose names begin with `api-`.
    pub faults: Arc<FaultPlan>,
    /// Session tokens of the metadata service expire on this clock.
    pub clock: Clock,
}

impl CloudConfig {
    /// The default catalogue, nothing going wrong, and a clock that runs by itself.
    pub fn new(identity: InstanceIdentity) -> Self {
        Self {
            catalog: SharedCatalog::default(),
            identity,
            faults: Arc::new(FaultPlan::none()),
            clock: Clock::automatic(),
        }
    }
}

/// The running endpoints, on free ports of 127.0.0.1. Dropping it stops them.
///
/// They live on one thread that sleeps while nobody asks anything.
#[derive(Debug)]
pub struct CloudServer {
    ec2: Arc<Ec2>,
    ec2_address: SocketAddr,
    metadata_address: SocketAddr,
    _server: Server,
    /// Holds the port of the EC2 endpoint when that is to refuse connections.
    _refusing: Option<RefusingPort>,
}

impl CloudServer {
    /// Starts the endpoints. Fails when there is no free port or no thread.
    ///
    /// With the fault `api-refused` at this moment, nobody ever listens on the port of the EC2
    /// endpoint, and the kernel refuses connections to it. When the fault is set later, connections
    /// are reset before a byte of them is read.
    pub fn start(config: CloudConfig) -> io::Result<Self> {
        let CloudConfig {
            catalog,
            identity,
            faults,
            clock,
        } = config;
        let metadata = Arc::new(Metadata::new(&identity, clock));
        let refused = faults.strikes(Kind::ApiRefused, None).is_some();
        let ec2 = Arc::new(Ec2::new(catalog, identity.account, faults));

        let mut server = Server::builder();
        let metadata_address = server.listen(metadata::router(metadata), || true)?;
        let (ec2_address, refusing) = if refused {
            let port = RefusingPort::reserve()?;
            (port.address(), Some(port))
        } else {
            let admits = Arc::clone(&ec2);
            let admit = move || admits.admits_connection();
            (server.listen(ec2::router(Arc::clone(&ec2)), admit)?, None)
        };
        Ok(Self {
            ec2,
            ec2_address,
            metadata_address,
            _server: server.start()?,
            _refusing: refusing,
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

    /// API requests that have arrived at the EC2 endpoint, whatever their answer was.
    pub fn requests(&self) -> u64 {
        self.ec2.requests()
    }
}

#[cfg(test)]
mod tests;
