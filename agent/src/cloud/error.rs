//! What can go wrong between this program and a cloud.

use std::error::Error;
use std::fmt;

use afi_pcie::Ended;

use crate::problem::{Class, Problem};

/// A call of a cloud's API: what errors name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The action as permissions name it: `ec2:DescribeFpgaImages`.
    pub action: &'static str,
    /// The region that was asked.
    pub region: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.action, self.region)
    }
}

/// The reason, of whatever type the client has.
type Source = Box<dyn Error + Send + Sync>;

/// Why a cloud did not answer a question.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// The cargo feature `aws` was off.
    #[error("this program was built without the EC2 client")]
    NotBuilt,
    /// Neither settings nor the instance's metadata tell the region.
    #[error(
        "it is not known which region to ask: no setting tells it, and the instance's metadata service does not either"
    )]
    NoRegion,
    /// No source has credentials.
    #[error("there are no credentials for {call}")]
    NoCredentials {
        /// The call.
        call: Call,
        /// Where they were looked for.
        source: Source,
    },
    /// The API does not accept the credentials.
    #[error("the credentials for {call} were refused ({code}: {message})")]
    Credentials {
        /// The call.
        call: Call,
        /// The API's code: `AuthFailure`, `RequestExpired`, …
        code: String,
        /// Its message.
        message: String,
    },
    /// The account may not make the call.
    #[error("{call} is not allowed ({code}: {message})")]
    Denied {
        /// The call.
        call: Call,
        /// The API's code: `UnauthorizedOperation`, …
        code: String,
        /// Its message.
        message: String,
    },
    /// The account makes too many calls, and still did at the last retry.
    #[error("{call} was throttled at every attempt ({code}: {message})")]
    Throttled {
        /// The call.
        call: Call,
        /// The API's code: `RequestLimitExceeded`, …
        code: String,
        /// Its message.
        message: String,
    },
    /// The endpoint is not there, or silent.
    #[error("no answer to {call} from {endpoint}")]
    Unreachable {
        /// The call.
        call: Call,
        /// The endpoint.
        endpoint: String,
        /// What the network said.
        source: Source,
    },
    /// The API failed, and still did at the last retry.
    #[error("{call} failed at every attempt with HTTP status {status} ({code}: {message})")]
    Server {
        /// The call.
        call: Call,
        /// The status, 500 or more.
        status: u16,
        /// The API's code: `InternalError`, …
        code: String,
        /// Its message.
        message: String,
    },
    /// The time was up or the caller did not want to wait any more.
    #[error("gave up {what}")]
    Ended {
        /// What was under way.
        what: String,
        /// Which of the two.
        source: Ended,
    },
    /// The API does not take the id.
    #[error("{call} does not accept the id ({message})")]
    Malformed {
        /// The call.
        call: Call,
        /// The API's message.
        message: String,
    },
    /// The API answered what this program does not understand.
    #[error("the answer to {call} cannot be used: {problem}")]
    Answer {
        /// The call.
        call: Call,
        /// What is wrong with it.
        problem: String,
        /// More about it, where there is more.
        source: Option<Source>,
    },
    /// The API refused for a reason that has no case of its own here.
    #[error("{call} was refused with HTTP status {status} ({code}: {message})")]
    Refused {
        /// The call.
        call: Call,
        /// The status.
        status: u16,
        /// The API's code.
        code: String,
        /// Its message.
        message: String,
    },
    /// The client could not be made or could not make the call.
    #[error("cannot {what}")]
    Client {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: Source,
    },
}

impl CloudError {
    /// Whether the API is away for the moment, rather than saying no: the same question can have
    /// an answer later, without anybody changing anything.
    pub const fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Throttled { .. }
                | Self::Unreachable { .. }
                | Self::Server { .. }
                | Self::Ended {
                    source: Ended::TimedOut { .. },
                    ..
                }
        )
    }
}

impl Problem for CloudError {
    fn class(&self) -> Class {
        match self {
            Self::NoCredentials { .. } | Self::Credentials { .. } | Self::Denied { .. } => {
                Class::NotPermitted
            }
            Self::NoRegion | Self::Malformed { .. } => Class::Usage,
            Self::Ended { source, .. } => source.class(),
            Self::NotBuilt
            | Self::Throttled { .. }
            | Self::Unreachable { .. }
            | Self::Server { .. }
            | Self::Answer { .. }
            | Self::Refused { .. }
            | Self::Client { .. } => Class::Failed,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::NotBuilt => {
                "use a build with the cargo feature 'aws', or --offline for images that were \
                 resolved before"
            }
            Self::NoRegion => "set AWS_REGION to the region of the instance, such as us-east-1",
            Self::NoCredentials { .. } => {
                "give the instance a role, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY"
            }
            Self::Credentials { .. } => {
                "renew the credentials, and see that they are for this region's cloud and that \
                 the clock of this machine is right"
            }
            Self::Denied { call, .. } => {
                return Some(format!(
                    "allow the action {} for the instance's role or the user whose credentials \
                     these are",
                    call.action
                ));
            }
            Self::Throttled { .. } => "try again later; other programs of the account count too",
            Self::Unreachable { .. } => {
                "see that this machine reaches the endpoint: its network, its proxy \
                 (HTTPS_PROXY), and AWS_ENDPOINT_URL_EC2 if that is set"
            }
            Self::Server { .. } => "try again later",
            Self::Ended { source, .. } => return source.remedy(),
            Self::Answer { .. } => "see that AWS_ENDPOINT_URL_EC2, if set, is the EC2 API",
            Self::Malformed { .. } | Self::Refused { .. } | Self::Client { .. } => return None,
        };
        Some(text.to_owned())
    }
}
