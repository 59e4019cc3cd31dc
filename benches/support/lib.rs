//! What the benchmarks share: simulated slots, reached in the same process and over sockets.

mod dma;
mod null_engine;

pub use dma::{CARD_ADDRESS, DmaBench};
pub use null_engine::NullEngine;

use std::sync::Arc;

use afi_pcie::bus::{Bus, BusChoice};
use afi_pcie::mailbox::Mailbox;
use afi_pcie::slots;
use afi_proto::Family;
use afi_sim::catalog::{InstanceImages, SharedCatalog};
use afi_sim::cloud::InstanceIdentity;
use afi_sim::device::Timing;
use afi_sim::instance::{Instance, InstanceConfig, Served};
use anyhow::{Context, Result};
use tempfile::TempDir;

/// An instance with one F1 slot whose shell takes no time, and two ways to it.
pub struct Bench {
    /// The bus in this process.
    pub in_process: Arc<dyn Bus>,
    /// The same card over vfio-user.
    pub socket: Arc<dyn Bus>,
    _served: Served,
    _socket_instance: Instance,
    _directory: TempDir,
}

impl Bench {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no room for its sockets.
    pub fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let make = || {
            let identity = InstanceIdentity::simulated(Family::F1, 1);
            let catalog = SharedCatalog::default();
            let images = InstanceImages::new(catalog, identity.region, identity.account);
            Instance::new(InstanceConfig {
                timing: Timing::INSTANT,
                ..InstanceConfig::new(Family::F1, 1, Arc::new(images))
            })
        };
        let in_process = Arc::new(make().bus(directory.path())?);
        let socket_instance = make();
        let served = socket_instance.serve(directory.path())?;
        let socket = afi_pcie::bus::open(&BusChoice::Socket {
            directory: directory.path().to_owned(),
        })?;
        Ok(Self {
            in_process,
            socket,
            _served: served,
            _socket_instance: socket_instance,
            _directory: directory,
        })
    }

    /// The mailbox of the slot of a bus.
    ///
    /// # Errors
    /// When the slot does not answer.
    pub fn mailbox(bus: &dyn Bus) -> Result<Mailbox> {
        let slots = slots::discover(bus)?;
        let slot = slots.first().context("the instance has no slot")?;
        Ok(Mailbox::open(bus, slot)?)
    }
}
