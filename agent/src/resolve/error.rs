//! Why a reference did not lead to one image.

use std::fmt;

use crate::cloud::{CloudError, Place, RegionalImage};
use crate::image::{Image, ImageRef};
use crate::problem::{Class, Problem};

/// Why a reference did not lead to one image.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Refresh and offline were both wanted.
    #[error("the API is to be asked (refresh) and not to be asked (offline)")]
    Contradiction,
    /// The cloud shows no such image to this account.
    #[error("{} in {region} that this account can see", none(wanted))]
    NotFound {
        /// What was wanted.
        wanted: ImageRef,
        /// The region that was asked.
        region: String,
    },
    /// The cache does not know it, and the cloud was not to be asked.
    #[error(
        "{} in the cache{}, and the API was not to be asked",
        none(wanted),
        of(place)
    )]
    NotCached {
        /// What was wanted.
        wanted: ImageRef,
        /// Where it was looked for.
        place: Place,
    },
    /// It means more than one image.
    #[error("'{wanted}' means {} images:{}", images.len(), Listing(images))]
    Ambiguous {
        /// What was wanted.
        wanted: ImageRef,
        /// The images.
        images: Vec<Image>,
    },
    /// The image has no AGFI id, so that there is nothing to load: a copy that failed or is not
    /// ready.
    #[error(
        "{} in {region} has no AGFI id: its state is {}{}",
        image.afi,
        image.state,
        because(image)
    )]
    WithoutAgfi {
        /// The region that was asked.
        region: String,
        /// The image.
        image: RegionalImage,
    },
    /// The cloud did not answer.
    #[error("cannot find out which image '{wanted}' is")]
    Cloud {
        /// What was wanted.
        wanted: ImageRef,
        /// Whether the cache knows exactly one image for it, which was not to be used.
        known: bool,
        /// Why it did not.
        source: Box<CloudError>,
    },
}

impl ResolveError {
    pub(super) fn ambiguous(wanted: &ImageRef, mut images: Vec<Image>) -> Self {
        // Newest first; the ids make the order of equals the same every time.
        images.sort_by(|one, other| {
            let rank = |image: &Image| (image.create_time.clone(), image.agfi, image.afi);
            rank(other).cmp(&rank(one))
        });
        images.dedup_by_key(|image| (image.agfi, image.region.clone()));
        Self::Ambiguous {
            wanted: wanted.clone(),
            images,
        }
    }

    /// Whether it is only that the cache does not know the image.
    pub const fn is_not_cached(&self) -> bool {
        matches!(self, Self::NotCached { .. })
    }
}

impl Problem for ResolveError {
    fn class(&self) -> Class {
        match self {
            Self::Contradiction | Self::Ambiguous { .. } => Class::Usage,
            Self::NotFound { .. } | Self::NotCached { .. } => Class::NotFound,
            Self::WithoutAgfi { .. } => Class::Failed,
            Self::Cloud { source, .. } => source.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Contradiction => "leave out one of the two".to_owned(),
            Self::NotFound { wanted, region } => {
                let first = match wanted {
                    ImageRef::Agfi(_) => "see that the id is right",
                    ImageRef::Afi(_) => {
                        "see that the id is right (an AFI id is valid in one region, \
                         its AGFI id in all)"
                    }
                    ImageRef::Tag { .. } => {
                        "see that the tag is right (an account sees only the tags that it set)"
                    }
                    ImageRef::Name(_) => "see that the name is right, with its capitals",
                };
                format!(
                    "{first}, that the owner shares the image with this account, and that the \
                     image is in {region}: AWS_REGION chooses another region"
                )
            }
            Self::NotCached { .. } => "resolve it once without --offline".to_owned(),
            Self::Ambiguous { .. } => "give the AGFI id of the one that you mean".to_owned(),
            Self::WithoutAgfi { .. } => {
                "if it is pending, wait; if it failed, copy or create it again".to_owned()
            }
            Self::Cloud { known, source, .. } => {
                let remedy = source.remedy();
                if !known {
                    return remedy;
                }
                let or = "the image is in the cache, and --offline uses what is known of it";
                remedy.map_or_else(|| or.to_owned(), |remedy| format!("{remedy}; {or}"))
            }
        })
    }
}

fn none(wanted: &ImageRef) -> String {
    match wanted {
        ImageRef::Agfi(id) => format!("no image {id}"),
        ImageRef::Afi(id) => format!("no image {id}"),
        ImageRef::Tag { key, value } => format!("no image with the tag {key}={value}"),
        ImageRef::Name(name) => format!("no image named '{name}'"),
    }
}

fn of(place: &Place) -> String {
    place
        .region
        .as_ref()
        .map_or_else(String::new, |region| format!(" of {region}"))
}

fn because(image: &RegionalImage) -> String {
    image
        .state_message
        .as_ref()
        .map_or_else(String::new, |message| format!(" ({message})"))
}

/// One line for each image, with what helps to choose.
struct Listing<'a>(&'a [Image]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for image in self.0 {
            let owner = image.owner_alias.as_ref().or(image.owner_id.as_ref());
            let unknown = "unknown".to_owned();
            write!(
                f,
                "\n    {}, owner {}, in {}, created {}, {}",
                image.agfi,
                owner.unwrap_or(&unknown),
                image.region,
                image.create_time.as_ref().unwrap_or(&unknown),
                image.state,
            )?;
        }
        Ok(())
    }
}
