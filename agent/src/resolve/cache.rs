//! What was learnt about images, kept in a file.
//!
//! The file is `images.json` in a directory of the caller's choice. It is written as a whole and
//! put in place by renaming, so that a reader sees the old or the new one, never a part, and needs
//! no lock. Writers take turns by a lock on `images.lock`.
//!
//! A cache may fail without anything else failing: one that cannot be read is empty, one that
//! cannot be written learns nothing, and both are told in the log. A file that is damaged is set
//! aside at the next write.

mod file;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use afi_pcie::Deadline;
use serde::{Deserialize, Serialize};

use crate::cloud::{Answer, Place};
use crate::image::{Image, ImageRef, ImageState};

pub use file::CacheError;

/// Images that are kept at most; those learnt longest ago go first. A slot itself keeps 16, so
/// this is ample for a machine, and is read in a few milliseconds.
const MOST_IMAGES: usize = 256;

/// A cache of images on disk.
#[derive(Debug, Clone)]
pub struct ImageCache {
    directory: PathBuf,
}

/// An image from the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// The image, as it was then.
    pub image: Image,
    /// How long ago it was learnt. Zero when the clock was set back since.
    pub age: Duration,
}

/// One image in the file. Its cloud, its region and its two ids together are unique.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// [`Place::cloud`].
    cloud: String,
    /// When it was learnt, in seconds since 1970.
    learned: u64,
    image: Image,
}

impl ImageCache {
    /// The cache in this directory. It is made with the first write.
    pub fn in_directory(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// What is known of `wanted` at this place.
    ///
    /// When the region of the place is not known, every region of the cloud counts. That is safe
    /// for what the cache is used for: an AGFI id is the same image in every region, an AFI id is
    /// of one, and a slot refuses an image that its region does not have.
    pub fn find(&self, place: &Place, wanted: &ImageRef) -> Vec<Cached> {
        let entries = file::read(&self.directory).unwrap_or_else(|error| {
            tracing::warn!(
                error = super::chain(&error),
                "going on without what was learnt about images"
            );
            Vec::new()
        });
        let now = unix_seconds();
        entries
            .into_iter()
            .filter(|entry| entry.is_at(place) && entry.image.is(wanted))
            // Only such are written; but the file may have been edited.
            .filter(|entry| entry.image.state == ImageState::Available)
            .map(|entry| Cached {
                age: Duration::from_secs(now.saturating_sub(entry.learned)),
                image: entry.image,
            })
            .collect()
    }

    /// Takes over what a cloud said of `wanted`: its images that are available are kept, those
    /// that are not any more are forgotten, and so are names and tags that moved away.
    ///
    /// # Errors
    /// When the file cannot be written before the deadline. It is then as it was.
    pub fn learn(
        &self,
        cloud: &str,
        wanted: &ImageRef,
        answer: &Answer,
        deadline: &Deadline,
    ) -> Result<(), CacheError> {
        let now = unix_seconds();
        file::update(&self.directory, deadline, |entries| {
            merge(entries, cloud, wanted, answer, now);
        })
    }
}

impl Entry {
    fn is_at(&self, place: &Place) -> bool {
        let region = place.region.as_ref();
        self.cloud == place.cloud && region.is_none_or(|region| self.image.region == *region)
    }

    /// Whether both are one image of one region.
    fn is_same_image(&self, other: &Image) -> bool {
        (&self.image.region, self.image.agfi, self.image.afi)
            == (&other.region, other.agfi, other.afi)
    }
}

/// Brings entries in line with an answer.
fn merge(entries: &mut Vec<Entry>, cloud: &str, wanted: &ImageRef, answer: &Answer, now: u64) {
    let place = Place {
        cloud: cloud.to_owned(),
        region: Some(answer.region.clone()),
    };
    entries.retain_mut(|entry| {
        if !entry.is_at(&place) {
            return true;
        }
        if answer.images.iter().any(|image| entry.is_same_image(image)) {
            // Comes back below, as it is now, if it is still available.
            return false;
        }
        if !entry.image.is(wanted) {
            return true;
        }
        // It would be in the answer if it still was what it was.
        match wanted {
            ImageRef::Agfi(_) | ImageRef::Afi(_) => return false,
            ImageRef::Tag { key, .. } => drop(entry.image.tags.remove(key)),
            ImageRef::Name(_) => entry.image.name = None,
        }
        true
    });
    let available = |image: &&Image| image.state == ImageState::Available;
    entries.extend(answer.images.iter().filter(available).map(|image| Entry {
        cloud: cloud.to_owned(),
        learned: now,
        image: image.clone(),
    }));
    entries.sort_by_key(|entry| Reverse(entry.learned));
    entries.truncate(MOST_IMAGES);
}

fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}
