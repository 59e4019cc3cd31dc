//! From what a user wrote to one image, with as few questions to the cloud as possible.
//!
//! | wanted | normally | `refresh` | `offline` |
//! | --- | --- | --- | --- |
//! | AGFI or AFI id | cache; the API if it is not there | API | cache |
//! | name or tag | API; the cache while the API is away | API | cache |
//!
//! An id always means the same image, and what a load needs to know of it (ids, shell, family)
//! never changes; so once an id was seen as available, no question is asked. Names and tags can
//! move to another image at any time; so they are asked for each time, and the cache only stands
//! in while the API is away ([`CloudError::is_outage`](crate::cloud::CloudError::is_outage)). An
//! API that answers "not allowed" is not away. What came from where is always told ([`Source`]).
//!
//! The cache holds images that are available, and no others. Whether an image can be loaded is not
//! decided here: a pending or failed one is resolved like any other, and the state is checked by
//! who loads it.

pub mod cache;
mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use afi_pcie::Deadline;
use serde::{Serialize, Serializer};

use crate::cloud::{Answer, Cloud, Place};
use crate::image::{Image, ImageRef, ImageState};
use cache::{Cached, ImageCache};

pub use error::ResolveError;

/// How long the API may take for an answer that the cache can stand in for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long writing the cache may take: another process may be writing it.
const LEARNING: Duration = Duration::from_secs(1);

/// Finds images: through the cache and, where that is not enough, the cloud.
#[derive(Debug)]
pub struct Resolver {
    cloud: Arc<dyn Cloud>,
    cache: ImageCache,
}

/// Whether the cloud is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Ask, whatever the cache knows.
    pub refresh: bool,
    /// Do not ask, whatever the cache does not know.
    pub offline: bool,
}

/// An image, and who told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The image.
    pub image: Image,
    /// Who told it.
    pub from: Source,
}

/// Who told what an image is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Source {
    /// The cloud's API, just now.
    Api,
    /// The API, some time ago.
    Cache {
        /// How long ago. Whole seconds in JSON, as `age_seconds`.
        #[serde(rename = "age_seconds", serialize_with = "whole_seconds")]
        age: Duration,
        /// Why it was not asked again.
        #[serde(flatten)]
        reason: CacheReason,
    },
}

/// Why the cache answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum CacheReason {
    /// It was an id, and the image is known.
    Known,
    /// The caller did not want the API to be asked.
    Offline,
    /// The API was asked and is away.
    ApiAway {
        /// What happened to the question.
        error: String,
    },
}

impl Resolver {
    /// A resolver that asks this cloud and keeps what it learns in this cache. Neither is touched
    /// before the first question.
    pub const fn new(cloud: Arc<dyn Cloud>, cache: ImageCache) -> Self {
        Self { cloud, cache }
    }

    /// The one image that `wanted` means.
    ///
    /// # Errors
    /// When there is none or more than one, and when the cloud had to be asked and did not answer.
    /// A cache that cannot be read or written is a warning in the log.
    pub fn resolve(
        &self,
        wanted: &ImageRef,
        policy: Policy,
        deadline: &Deadline,
    ) -> Result<Resolved, ResolveError> {
        if policy.refresh && policy.offline {
            return Err(ResolveError::Contradiction);
        }
        let place = self.cloud.place();
        let mut known = Known::new(self.cache.find(&place, wanted));
        if policy.offline {
            return known.only(wanted, &place, CacheReason::Offline);
        }
        if wanted.is_id()
            && !policy.refresh
            && let Some(resolved) = known.newest(CacheReason::Known)
        {
            return Ok(resolved);
        }
        let stands_in = !policy.refresh && known.is_one_image();
        // An API that does not answer must not take the time in which the cache could.
        let asking = match stands_in {
            true => deadline.at_most(PATIENCE.min(deadline.remaining() / 2)),
            false => deadline.clone(),
        };
        match self.cloud.find(wanted, &asking) {
            Ok(answer) => self.take(wanted, &place, answer, deadline),
            Err(error) if stands_in && error.is_outage() => {
                let error = chain(&error);
                // Not a warning: who asked is told in the answer.
                tracing::info!(%wanted, error, "the API is away: using the cache");
                known.only(wanted, &place, CacheReason::ApiAway { error })
            }
            Err(source) => Err(ResolveError::Cloud {
                wanted: wanted.clone(),
                known: known.is_one_image(),
                source: Box::new(source),
            }),
        }
    }

    /// Learns from an answer, and picks the image from it.
    fn take(
        &self,
        wanted: &ImageRef,
        place: &Place,
        mut answer: Answer,
        deadline: &Deadline,
    ) -> Result<Resolved, ResolveError> {
        // An endpoint that is not quite EC2 may leave a filter out or take it for a pattern.
        answer.images.retain(|image| image.is(wanted));
        let learned = self
            .cache
            .learn(&place.cloud, wanted, &answer, &deadline.at_most(LEARNING));
        if let Err(error) = learned {
            tracing::warn!(error = chain(&error), "cannot keep what the API told");
        }
        let image = choose(wanted, answer)?;
        Ok(Resolved {
            image,
            from: Source::Api,
        })
    }
}

/// What the cache knows of a reference.
struct Known(Vec<Cached>);

impl Known {
    fn new(mut cached: Vec<Cached>) -> Self {
        cached.sort_by_key(|cached| cached.age);
        Self(cached)
    }

    /// Whether all of it is one image. Entries that differ in region or AFI id can be.
    fn is_one_image(&self) -> bool {
        let mut ids = self.0.iter().map(|cached| cached.image.agfi);
        let first = ids.next();
        first.is_some() && ids.all(|id| Some(id) == first)
    }

    /// What was learnt last.
    fn newest(&mut self, reason: CacheReason) -> Option<Resolved> {
        let cached = (!self.0.is_empty()).then(|| self.0.swap_remove(0))?;
        Some(Resolved {
            image: cached.image,
            from: Source::Cache {
                age: cached.age,
                reason,
            },
        })
    }

    /// What was learnt last, if there is nothing else.
    fn only(
        mut self,
        wanted: &ImageRef,
        place: &Place,
        reason: CacheReason,
    ) -> Result<Resolved, ResolveError> {
        if !self.0.is_empty() && !self.is_one_image() {
            let images = self.0.into_iter().map(|cached| cached.image).collect();
            return Err(ResolveError::ambiguous(wanted, images));
        }
        self.newest(reason).ok_or_else(|| ResolveError::NotCached {
            wanted: wanted.clone(),
            place: place.clone(),
        })
    }
}

/// The one image that an answer means.
///
/// Several AFIs of a region with one AGFI are one image: copies within the region. Of these, one
/// that is available comes first, then the one that was changed last.
fn choose(wanted: &ImageRef, answer: Answer) -> Result<Image, ResolveError> {
    let Answer {
        region,
        images,
        without_agfi,
    } = answer;
    let different: BTreeSet<_> = images.iter().map(|image| image.agfi).collect();
    if different.len() > 1 {
        return Err(ResolveError::ambiguous(wanted, images));
    }
    let best = images.into_iter().max_by(|one, other| {
        let rank = |image: &Image| {
            let available = image.state == ImageState::Available;
            let changed = image.update_time.clone().or(image.create_time.clone());
            (available, changed, image.afi)
        };
        rank(one).cmp(&rank(other))
    });
    match (best, without_agfi.into_iter().next()) {
        (Some(image), _) => Ok(image),
        (None, Some(image)) => Err(ResolveError::WithoutAgfi { region, image }),
        (None, None) => Err(ResolveError::NotFound {
            wanted: wanted.clone(),
            region,
        }),
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api => f.write_str("the API"),
            Self::Cache { age, reason } => {
                write!(f, "the cache, from {} ago: {reason}", in_words(*age))
            }
        }
    }
}

impl fmt::Display for CacheReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known => f.write_str("the image is known"),
            Self::Offline => f.write_str("the API was not to be asked"),
            Self::ApiAway { error } => write!(f, "the API is away ({error})"),
        }
    }
}

/// A duration in its largest whole unit: `3 days`, `1 hour`.
fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

fn whole_seconds<S: Serializer>(age: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(age.as_secs())
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
