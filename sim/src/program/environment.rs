//! The environment by which programs find a simulated instance, and nothing real.

use std::path::Path;
use std::process::Command;

use afi_pcie::BusChoice;

use crate::cloud::{CloudServer, InstanceIdentity, access_key_of, secret_access_key_of};

/// Variables to set and to take away.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    set: Vec<(&'static str, String)>,
}

/// Variables that could lead a client to somebody's real account.
const UNSET: [&str; 7] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

impl Environment {
    pub(super) fn new(
        directory: &Path,
        state: &Path,
        identity: &InstanceIdentity,
        cloud: &CloudServer,
    ) -> Self {
        let bus = BusChoice::Socket {
            directory: directory.to_owned(),
        };
        let set = vec![
            ("AFI_BUS", bus.to_string()),
            ("AFI_STATE_DIR", state.display().to_string()),
            ("AWS_ENDPOINT_URL_EC2", cloud.ec2_endpoint()),
            ("AWS_ENDPOINT_URL_STS", cloud.ec2_endpoint()),
            ("AWS_ENDPOINT_URL_S3", cloud.s3_endpoint()),
            (
                "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                cloud.metadata_endpoint(),
            ),
            ("AWS_REGION", identity.region.to_string()),
            ("AWS_DEFAULT_REGION", identity.region.to_string()),
            ("AWS_ACCESS_KEY_ID", access_key_of(identity.account)),
            (
                "AWS_SECRET_ACCESS_KEY",
                secret_access_key_of(identity.account),
            ),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
            ("NO_PROXY", "127.0.0.1,localhost".to_owned()),
        ];
        Self { set }
    }

    /// Gives the environment to a command.
    pub(super) fn apply(&self, command: &mut Command) {
        for name in UNSET {
            command.env_remove(name);
        }
        command.envs(self.set.iter().map(|(name, value)| (name, value)));
    }

    /// Lines for a shell.
    pub(super) fn exports(&self) -> String {
        let mut text = format!("unset {}\n", UNSET.join(" "));
        for (name, value) in &self.set {
            text.push_str(&format!(
                "export {name}='{}'\n",
                value.replace('\'', "'\\''")
            ));
        }
        text
    }
}
