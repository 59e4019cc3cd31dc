//! Builds what the command line describes: cards, endpoints, and the environment that leads to them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::InstanceArgs;
use super::environment::Environment;
use crate::catalog::{Catalog, InstanceImages, SharedCatalog};
use crate::clock::Clock;
use crate::cloud::{CloudConfig, CloudServer, InstanceIdentity};
use crate::custom_logic::ModelRegistry;
use crate::device::Timing;
use crate::fault::FaultPlan;
use crate::instance::{Instance, InstanceConfig, Served};

/// A running instance.
pub(super) struct Running {
    pub(super) environment: Environment,
    pub(super) catalog: SharedCatalog,
    _served: Served,
    _cloud: CloudServer,
}

/// Starts the instance in a directory that nobody else uses.
pub(super) fn start(
    args: &InstanceArgs,
    models: ModelRegistry,
    directory: &Path,
) -> Result<Running> {
    let catalog = match &args.catalog {
        Some(path) => Catalog::load(path)?,
        None => Catalog::default(),
    };
    let catalog = SharedCatalog::new(catalog);
    let region = args.region.parse()?;
    let identity = InstanceIdentity::simulated_in(region, args.family, args.slots);
    // Faults come after boot: the host has found its cards by then.
    let faults = Arc::new(FaultPlan::new(args.seed, Vec::new()));
    let clock = Clock::automatic();
    let images = InstanceImages::new(catalog.clone(), identity.region.clone(), identity.account);
    let instance = Instance::new(InstanceConfig {
        models,
        timing: Timing::default().with_load(args.load_time()),
        faults: Arc::clone(&faults),
        clock: clock.clone(),
        ..InstanceConfig::new(args.family, args.slots, Arc::new(images))
    });
    let served = instance.serve(directory)?;
    faults.set(args.faults.clone());
    let state = directory.join("state");
    fs::create_dir_all(&state).with_context(|| format!("cannot make {}", state.display()))?;
    let cloud = CloudServer::start(CloudConfig {
        catalog: catalog.clone(),
        identity: identity.clone(),
        faults,
        clock,
        times: args.cloud_times(),
        require_signatures: args.require_signatures,
        directory: Some(directory.join("cloud")),
        ..CloudConfig::new(identity.clone())
    })
    .context("cannot start the cloud's endpoints")?;
    for notice in cloud.notices() {
        eprintln!("note: {notice}");
    }
    Ok(Running {
        environment: Environment::new(directory, &state, &identity, &cloud),
        catalog,
        _served: served,
        _cloud: cloud,
    })
}
