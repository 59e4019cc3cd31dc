//! One catalogue for the slots and the API.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use afi_proto::AgfiId;

use super::{AccountId, Catalog, Region};
use crate::image::{ImageSource, SlotImage};

/// A catalogue that several parts of an instance read, and that can change meanwhile. Clones are
/// the same catalogue.
#[derive(Debug, Clone, Default)]
pub struct SharedCatalog(Arc<RwLock<Catalog>>);

impl SharedCatalog {
    /// Shares a catalogue.
    pub fn new(catalog: Catalog) -> Self {
        Self(Arc::new(RwLock::new(catalog)))
    }

    /// For reading. Holds off changes until the guard is dropped.
    pub fn read(&self) -> RwLockReadGuard<'_, Catalog> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For changing. Holds off everybody else until the guard is dropped.
    pub fn write(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The images that the slots of one instance may load: available ones in its region that are its
/// account's, shared with it, or public.
#[derive(Debug)]
pub struct InstanceImages {
    catalog: SharedCatalog,
    region: Region,
    account: AccountId,
}

impl InstanceImages {
    /// The images for an instance of this account in this region.
    pub fn new(catalog: SharedCatalog, region: Region, account: AccountId) -> Self {
        Self {
            catalog,
            region,
            account,
        }
    }
}

impl ImageSource for InstanceImages {
    fn loadable(&self, agfi: AgfiId) -> Option<SlotImage> {
        let catalog = self.catalog.read();
        catalog
            .loadable(agfi, self.account, &self.region)?
            .slot_image()
    }
}
