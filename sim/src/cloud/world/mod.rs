//! What does the cloud remember? Everything beside the images themselves, which are the catalogue's:
//! what is under way, answers to client tokens, machine images, buckets.
//!
//! States follow from the clock. A request first settles what is due, so that a test with a stepped
//! clock sees each state exactly when it steps there; with a running clock a task of the server
//! settles too, so that slots and buckets see it without a request.
//!
//! Locks are taken in one order: the state, then the catalogue.

mod ids;
mod image_record;
mod job;
mod machine_image;
mod settle;
mod store;
mod text;
mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

use afi_proto::AfiId;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::CloudTimes;
use super::error::ApiError;
use crate::catalog::{AccountId, Catalog, CatalogImage, Region, SharedCatalog, Timestamp};
use crate::clock::Clock;
use crate::fault::{FaultPlan, Kind};

pub(super) use job::{Built, Creation, Job, Location, Verdict, Work};
pub(super) use machine_image::{MachineImage, MappedVolume, Mapping, Snapshot};
pub use store::OpenError;
pub(super) use store::Store;
pub(super) use token::Replay;

/// The cloud's memory, and what decides how it changes.
pub(super) struct World {
    pub(super) catalog: SharedCatalog,
    pub(super) faults: Arc<FaultPlan>,
    pub(super) times: CloudTimes,
    /// Where the buckets are: a folder each.
    objects: PathBuf,
    clock: Clock,
    /// What the clock's zero is called.
    epoch: SystemTime,
    state: Mutex<State>,
    store: Option<Store>,
    /// Something is due at another time than before.
    pub(super) rescheduled: Notify,
    /// A tarball has been checked.
    checked: Condvar,
}

/// What is remembered, and survives a restart.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// The number in the next id that is made up.
    next_id: u64,
    /// Images that are being created or copied.
    pub(super) jobs: BTreeMap<AfiId, Job>,
    /// Images that are other than the catalogue's file says, or gone.
    changed: BTreeSet<AfiId>,
    tokens: Vec<token::Token>,
    pub(super) machine_images: BTreeMap<String, MachineImage>,
    pub(super) snapshots: BTreeMap<String, Snapshot>,
    /// Tags of the instance.
    pub(super) instance_tags: BTreeMap<String, String>,
    pub(super) buckets: BTreeMap<String, Bucket>,
}

/// A bucket. Names are the whole partition's, whatever the region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bucket {
    pub(super) region: Region,
    pub(super) owner: AccountId,
    #[serde(with = "text")]
    pub(super) created: Timestamp,
}

/// What [`World::new`] needs.
pub(super) struct WorldConfig {
    pub(super) catalog: SharedCatalog,
    pub(super) faults: Arc<FaultPlan>,
    pub(super) times: CloudTimes,
    pub(super) clock: Clock,
    pub(super) epoch: SystemTime,
    pub(super) objects: PathBuf,
    pub(super) store: Option<Store>,
}

/// A change that is being made: to the state and to the catalogue, saved together.
pub(super) struct Change<'a> {
    pub(super) state: &'a mut State,
    pub(super) catalog: RwLockWriteGuard<'a, Catalog>,
    pub(super) times: CloudTimes,
    pub(super) now: Timestamp,
}

impl World {
    /// The world as it was left, and what is to be said about that.
    pub(super) fn new(config: WorldConfig) -> Result<(Self, Vec<String>), OpenError> {
        let mut notices = Vec::new();
        let state = match &config.store {
            None => State::default(),
            Some(store) => store.load(&mut config.catalog.write(), &mut notices)?,
        };
        let world = Self {
            catalog: config.catalog,
            faults: config.faults,
            times: config.times,
            objects: config.objects,
            clock: config.clock,
            epoch: config.epoch,
            state: Mutex::new(state),
            store: config.store,
            rescheduled: Notify::new(),
            checked: Condvar::new(),
        };
        Ok((world, notices))
    }

    /// The moment that it is.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::at(self.epoch).after(self.clock.now())
    }

    /// For reading. Holds off changes until the guard is dropped.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change, and saves it before anybody is told. A closure that fails has changed
    /// nothing.
    pub(super) fn change<R>(
        &self,
        make: impl FnOnce(&mut Change<'_>) -> Result<R, ApiError>,
    ) -> Result<R, ApiError> {
        let mut state = self.state();
        let mut change = Change {
            state: &mut state,
            catalog: self.catalog.write(),
            times: self.times,
            now: self.now(),
        };
        let made = make(&mut change)?;
        drop(change);
        self.save(&state).map_err(|error| {
            tracing::error!(%error, "the state of the cloud is not saved");
            ApiError::internal()
        })?;
        self.rescheduled.notify_one();
        Ok(made)
    }

    /// Whether this fault strikes now.
    pub(super) fn strikes(&self, kind: Kind) -> bool {
        self.faults.strikes(kind, None).is_some()
    }

    /// The folder that the buckets are in.
    pub(super) fn objects(&self) -> &Path {
        &self.objects
    }

    /// Waits until every tarball that there is has been checked, whatever the clock says. Tells
    /// whether that was so in time.
    pub(super) fn wait_for_checks(&self, timeout: Duration) -> bool {
        let unchecked = |state: &mut State| state.jobs.values().any(Job::is_unchecked);
        let waited = self
            .checked
            .wait_timeout_while(self.state(), timeout, unchecked)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.1.timed_out()
    }

    fn save(&self, state: &State) -> Result<(), store::SaveError> {
        match &self.store {
            None => Ok(()),
            Some(store) => store.save(state, &self.catalog.read()),
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl Change<'_> {
    /// Adds an image.
    pub(super) fn add_image(&mut self, image: CatalogImage) -> Result<(), ApiError> {
        let afi = image.afi;
        self.catalog.insert(image).map_err(unsound)?;
        self.state.changed.insert(afi);
        Ok(())
    }

    /// Changes an image that is there, from now on.
    pub(super) fn alter_image(
        &mut self,
        afi: AfiId,
        alter: impl FnOnce(&mut CatalogImage),
    ) -> Result<(), ApiError> {
        let image = self.catalog.image(afi).cloned();
        let mut image = image.ok_or_else(|| ApiError::image_not_found(afi))?;
        alter(&mut image);
        image.update_time = image.update_time.max(self.now);
        self.catalog.replace(image).map_err(unsound)?;
        self.state.changed.insert(afi);
        Ok(())
    }

    /// Sets the time of the last change of an image.
    pub(super) fn set_update_time(&mut self, afi: AfiId, time: Timestamp) -> Result<(), ApiError> {
        let image = self.catalog.image(afi).cloned();
        let mut image = image.ok_or_else(|| ApiError::image_not_found(afi))?;
        image.update_time = time;
        self.catalog.replace(image).map_err(unsound)
    }

    /// Deletes an image, and ends what is under way with it.
    pub(super) fn remove_image(&mut self, afi: AfiId) {
        self.catalog.remove(afi);
        self.state.jobs.remove(&afi);
        self.state.changed.insert(afi);
    }
}

/// The actions check what they take, so this is a mistake of theirs.
fn unsound(problem: crate::catalog::CatalogProblem) -> ApiError {
    tracing::error!(%problem, "an image that the catalogue refuses");
    ApiError::internal()
}
