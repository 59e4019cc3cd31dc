//! The settings of the client: what this machine tells, and what only the instance's metadata
//! service does.

use std::env;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::Client;
use aws_smithy_http_client::pool::{self, ConnectionPool, DriverSpawner, Partition, PartitionId};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_types::service_config::ServiceConfigKey;
use tokio::runtime::Handle;

use super::super::{Call, CloudError, CloudOptions, Place, place_name};

/// The pause before the first retry, at most: the client draws it at random up to here, and
/// doubles the bound each time. Its own default of a second is long for a person who waits.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long one attempt may take before it is given up and the next one is made.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How long the metadata service may take. It is on the same host and answers in milliseconds;
/// where there is none, on a laptop, connections to it can be lost without an answer.
const METADATA: Duration = Duration::from_secs(2);

/// What options, environment and profile files tell, without the network.
#[derive(Debug)]
pub(super) struct Local {
    region: Option<Region>,
    endpoint: Option<String>,
}

impl Local {
    /// Reads them.
    pub(super) async fn read(options: &CloudOptions) -> Self {
        let region = region(options).await;
        let endpoint = match &options.endpoint {
            Some(endpoint) => Some(endpoint.clone()),
            None => {
                // Without a region the loader would ask the metadata service for one. For the
                // endpoint, any will do.
                let any = Region::from_static("none");
                endpoint(&loader(options).region(any).no_credentials().load().await)
            }
        };
        Self { region, endpoint }
    }

    /// Whether the endpoint is one without TLS, as simulated ones are.
    fn is_plain(&self) -> bool {
        let endpoint = self.endpoint.as_deref().unwrap_or_default();
        endpoint.to_ascii_lowercase().starts_with("http://")
    }

    /// Where answers of this client hold.
    pub(super) fn place(&self) -> Place {
        Place {
            cloud: place_name(self.endpoint.as_deref()),
            region: self.region.as_ref().map(ToString::to_string),
        }
    }
}

/// A client, and what it asks.
#[derive(Debug)]
pub(super) struct Session {
    /// The client.
    pub(super) client: Client,
    /// The region.
    pub(super) region: String,
    /// The endpoint, for errors.
    pub(super) endpoint: String,
}

impl Session {
    /// Makes the client. The network is asked only for the region, if nothing else tells it;
    /// credentials are fetched with the first call.
    pub(super) async fn open(local: &Local, options: &CloudOptions) -> Result<Self, CloudError> {
        // Reading the certificates of the system takes longer than all the rest, and a container
        // may have none: what is asked without TLS does without them.
        let plain = http_client(TrustStore::empty())?;
        let region = match &local.region {
            Some(region) => region.clone(),
            None => instance_region(&plain).await.ok_or(CloudError::NoRegion)?,
        };
        let shared = loader(options)
            .region(region.clone())
            .http_client(http_client(TrustStore::default())?)
            .load()
            .await;
        let mut config = ec2_config(&shared, options);
        if local.is_plain() {
            config = config.http_client(plain);
        }
        Ok(Self {
            client: Client::from_conf(config.build()),
            endpoint: local
                .endpoint
                .clone()
                .unwrap_or_else(|| format!("the EC2 endpoint of {region}")),
            region: region.to_string(),
        })
    }

    /// A call in the region that this session asks.
    pub(super) fn call(&self, action: &'static str) -> Call {
        Call {
            action,
            region: self.region.clone(),
        }
    }
}

/// The loader of the standard settings.
fn loader(options: &CloudOptions) -> aws_config::ConfigLoader {
    let loader = aws_config::defaults(BehaviorVersion::latest());
    match &options.profile {
        Some(profile) => loader.profile_name(profile),
        None => loader,
    }
}

/// The region, from options, environment or profile. An empty variable counts as none.
async fn region(options: &CloudOptions) -> Option<Region> {
    let told = |region: &Region| !region.as_ref().is_empty();
    if let Some(region) = options.region.clone().map(Region::new).filter(told) {
        return Some(region);
    }
    let environment = EnvironmentVariableRegionProvider::new().region().await;
    if let Some(region) = environment.filter(told) {
        return Some(region);
    }
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &options.profile {
        profile = profile.profile_name(name);
    }
    profile.build().region().await.filter(told)
}

/// The endpoint that environment or profile set for EC2, or for every service. The keys are those
/// of the AWS SDKs and Tools Reference Guide, "Service-specific endpoints".
fn endpoint(shared: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id("EC2")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .expect("all three parts are given");
    shared
        .service_config()
        .and_then(|config| config.load_config(key))
        .or_else(|| shared.endpoint_url().map(ToOwned::to_owned))
}

/// The region that the instance's metadata service tells.
async fn instance_region(http: &pool::Client) -> Option<Region> {
    let config = ProviderConfig::default().with_http_client(http.clone());
    let metadata = imds::Client::builder()
        .configure(&config)
        .operation_timeout(METADATA)
        .build();
    imds::region::ImdsRegionProvider::builder()
        .configure(&config)
        .imds_client(metadata)
        .build()
        .region()
        .await
}

/// How often is tried stays with the standard settings (`AWS_MAX_ATTEMPTS`, 3 by default); how
/// long is waited between is set here.
fn ec2_config(shared: &SdkConfig, options: &CloudOptions) -> aws_sdk_ec2::config::Builder {
    let retry = shared
        .retry_config()
        .cloned()
        .unwrap_or_else(RetryConfig::standard)
        .with_initial_backoff(FIRST_PAUSE)
        .with_max_backoff(LONGEST_PAUSE);
    let mut timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT)
        .build();
    if let Some(standard) = shared.timeout_config() {
        timeouts.take_defaults_from(standard);
    }
    let mut config = aws_sdk_ec2::config::Builder::from(shared)
        .retry_config(retry)
        .timeout_config(timeouts);
    if let Some(endpoint) = &options.endpoint {
        config = config.endpoint_url(endpoint);
    }
    config
}

/// The HTTP client, for the API and for whoever gives credentials. Its connections live on the
/// runtime that this is called on.
fn http_client(trust: TrustStore) -> Result<pool::Client, CloudError> {
    let here = PartitionId::from_index(0);
    let runtime = Handle::current();
    let spawner = DriverSpawner::from_fn(move |driver| drop(runtime.spawn(driver)));
    let failed = |source| CloudError::Client {
        what: "make an HTTPS client",
        source,
    };
    let tls = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| failed(error.into()))?;
    let pool = ConnectionPool::builder()
        .partitions([Partition::new(here, spawner)])
        .proxy_config(proxy()?)
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(tls)
        .build_https()
        .map_err(|error| failed(error.into()))?;
    Ok(pool::Client::from_partition(&pool, here).expect("the pool was made with this partition"))
}

/// The proxy of `HTTPS_PROXY`, except for what `NO_PROXY` names. `HTTP_PROXY` does not count: what
/// is asked without TLS is the metadata service and simulated endpoints, and both are local.
fn proxy() -> Result<ProxyConfig, CloudError> {
    let first = |names: [&str; 2]| {
        let mut values = names.iter().filter_map(|name| env::var(name).ok());
        values.find(|value| !value.is_empty())
    };
    let Some(url) = first(["https_proxy", "HTTPS_PROXY"]) else {
        return Ok(ProxyConfig::disabled());
    };
    let url = if url.contains("://") {
        url
    } else {
        format!("http://{url}")
    };
    let proxy = ProxyConfig::https(url).map_err(|source| CloudError::Client {
        what: "use the proxy that HTTPS_PROXY names",
        source: source.into(),
    })?;
    Ok(match first(["no_proxy", "NO_PROXY"]) {
        Some(except) => proxy.no_proxy(except),
        None => proxy,
    })
}
