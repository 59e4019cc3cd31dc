//! The EC2 API, through Amazon's own client.
//!
//! Region, credentials and endpoint come from where every AWS tool takes them: the environment
//! (`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL_EC2`, …), the profile files, and on an instance
//! its metadata service. Environment and files are read once, at the first use.

#[cfg(test)]
mod canned;
mod convert;
mod failure;
mod query;
mod setup;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use afi_pcie::{Deadline, Ended};
use tokio::runtime::{self, Runtime};
use tokio::sync::OnceCell;

use super::{Answer, Cloud, CloudError, CloudOptions, Place, place_name};
use crate::image::ImageRef;
use setup::{Local, Session};

/// How long a cancellation may go unseen.
const LOOK: Duration = Duration::from_millis(20);

/// The EC2 API of one region.
#[derive(Debug)]
pub struct AwsCloud {
    options: CloudOptions,
    runtime: OnceLock<Runtime>,
    local: OnceCell<Local>,
    session: OnceCell<Session>,
}

impl AwsCloud {
    /// A client that reads its settings, and connects, when it is first used.
    pub const fn connect(options: CloudOptions) -> Self {
        Self {
            options,
            runtime: OnceLock::new(),
            local: OnceCell::const_new(),
            session: OnceCell::const_new(),
        }
    }

    /// What environment and files tell.
    async fn local(&self) -> &Local {
        self.local.get_or_init(|| Local::read(&self.options)).await
    }

    /// The client, made at the first call. A failure is not kept: the next call tries again.
    async fn session(&self) -> Result<&Session, CloudError> {
        let local = self.local().await;
        self.session
            .get_or_try_init(|| Session::open(local, &self.options))
            .await
    }

    /// Runs `work` on this thread until it or the deadline ends, whichever is first. Work that is
    /// not done is dropped, which closes its connections.
    fn run<T>(
        &self,
        what: impl Fn() -> String,
        deadline: &Deadline,
        work: impl Future<Output = Result<T, CloudError>>,
    ) -> Result<T, CloudError> {
        let gave_up = |source| CloudError::Ended {
            what: what(),
            source,
        };
        deadline.check().map_err(gave_up)?;
        self.runtime()?.block_on(async {
            tokio::select! {
                biased;
                result = work => result,
                source = ended(deadline) => Err(gave_up(source)),
            }
        })
    }

    fn runtime(&self) -> Result<&Runtime, CloudError> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let made = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| CloudError::Client {
                what: "make a runtime for the EC2 client",
                source: source.into(),
            })?;
        Ok(self.runtime.get_or_init(|| made))
    }
}

impl Cloud for AwsCloud {
    /// The region of options, environment or profile. On an instance where none of them has it,
    /// it is `None`, although the metadata service could tell: asking that is a network call.
    fn place(&self) -> Place {
        match self.runtime() {
            Ok(runtime) => runtime.block_on(self.local()).place(),
            Err(error) => {
                tracing::warn!(%error, "cannot read the settings of the EC2 client");
                Place {
                    cloud: place_name(self.options.endpoint.as_deref()),
                    region: self.options.region.clone(),
                }
            }
        }
    }

    fn find(&self, wanted: &ImageRef, deadline: &Deadline) -> Result<Answer, CloudError> {
        let what = || format!("asking the EC2 API for '{wanted}'");
        self.run(what, deadline, async {
            let session = self.session().await?;
            query::images(session, wanted).await
        })
    }
}

impl Drop for AwsCloud {
    /// Does not wait for what a deadline left behind: a name lookup cannot be interrupted, and
    /// dropping a runtime would wait for it.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Ends when the deadline does.
async fn ended(deadline: &Deadline) -> Ended {
    loop {
        if let Err(ended) = deadline.check() {
            return ended;
        }
        tokio::time::sleep(LOOK.min(deadline.remaining())).await;
    }
}
