//! What can be asked of a cloud: which images there are.
//!
//! The one implementation so far is the EC2 API. It is behind the cargo feature `aws`, as its
//! client is large; without the feature the program still knows what it resolved before.

#[cfg(feature = "aws")]
pub mod aws;
mod error;
#[cfg(not(feature = "aws"))]
mod without;

use std::fmt;
use std::sync::Arc;

use afi_pcie::Deadline;
use afi_proto::AfiId;

use crate::image::{Image, ImageRef, ImageState};

pub use error::{Call, CloudError};

/// A cloud whose images can be asked for.
///
/// Calls block; from asynchronous code, make them where blocking is allowed
/// (`tokio::task::spawn_blocking`).
pub trait Cloud: fmt::Debug + Send + Sync {
    /// Where this cloud's answers hold, as far as it can be told without the network.
    fn place(&self) -> Place;

    /// The images that `wanted` may mean, in whatever state they are: all that this account can
    /// see. An unknown one is an empty answer, not an error, as the cloud does not tell it from
    /// one that is not shared.
    ///
    /// # Errors
    /// When there is no answer before the deadline, or the answer is no list of images.
    fn find(&self, wanted: &ImageRef, deadline: &Deadline) -> Result<Answer, CloudError>;
}

/// The place that knowledge about images belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The cloud: `aws`, or `aws@HOST` where another endpoint than the cloud's own is set, since
    /// that may be another cloud, such as a simulated one.
    pub cloud: String,
    /// The region; `None` where only the network could tell.
    pub region: Option<String>,
}

/// What a cloud said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The region that was asked.
    pub region: String,
    /// The images.
    pub images: Vec<Image>,
    /// Images that have no global id, so that there is nothing to load: copies that are pending
    /// or failed.
    pub without_agfi: Vec<RegionalImage>,
}

/// An image without a global id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionalImage {
    /// Its id in the region.
    pub afi: AfiId,
    /// Its state.
    pub state: ImageState,
    /// Why it is in that state, where the API says.
    pub state_message: Option<String>,
}

/// What a user may set about the cloud; `None` leaves it to the cloud's standard settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloudOptions {
    /// The region: `us-east-1`.
    pub region: Option<String>,
    /// The profile in the cloud's own configuration files.
    pub profile: Option<String>,
    /// The URL of the API.
    pub endpoint: Option<String>,
}

/// The client of the cloud that this program runs in. Nothing is read and nobody is asked before
/// the first use.
#[cfg(feature = "aws")]
pub fn connect(options: CloudOptions) -> Arc<dyn Cloud> {
    Arc::new(aws::AwsCloud::connect(options))
}

/// Stands for the client that this program was built without.
#[cfg(not(feature = "aws"))]
pub fn connect(options: CloudOptions) -> Arc<dyn Cloud> {
    Arc::new(without::NoCloud::new(options))
}

/// The name under which knowledge from the EC2 API is kept: the host of an endpoint that is not
/// Amazon's is a part of it. The port is not, since a simulated instance gets another at every
/// start.
fn place_name(endpoint: Option<&str>) -> String {
    const OWN: [&str; 3] = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];
    match endpoint.map(host) {
        Some(host) if !OWN.iter().any(|domain| host.ends_with(domain)) => format!("aws@{host}"),
        _ => "aws".to_owned(),
    }
}

/// The host in a URL, in lower case.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let end = match host.find(']') {
        // An IPv6 address has colons of its own.
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    host[..end].to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_endpoint_is_another_place() {
        assert_eq!(place_name(None), "aws");
        for own in [
            "https://ec2.us-east-1.amazonaws.com",
            "https://vpce-1.ec2.us-east-1.vpce.amazonaws.com:443/x",
            "https://EC2.cn-north-1.AMAZONAWS.com.cn/",
            "https://ec2.us-east-1.api.aws",
        ] {
            assert_eq!(place_name(Some(own)), "aws", "{own}");
        }
        for (other, name) in [
            ("http://127.0.0.1:4566", "aws@127.0.0.1"),
            ("http://localhost:1/path", "aws@localhost"),
            ("http://[::1]:80", "aws@[::1]"),
            ("http://user:word@cloud.test:80?x", "aws@cloud.test"),
            (
                "https://amazonaws.com.evil.test",
                "aws@amazonaws.com.evil.test",
            ),
            ("nonsense", "aws@nonsense"),
            ("", "aws@"),
        ] {
            assert_eq!(place_name(Some(other)), name);
        }
    }
}
