//! Which images exist? One TOML file says so, and both sides of the simulated instance read it:
//! the slots, which load images, and the cloud's API, which describes them.
//!
//! Written by hand, one table an image; `sim/src/catalog/default.toml` is a full example:
//!
//! ```
//! # use afi_sim::catalog::Catalog;
//! let catalog = Catalog::parse("mine.toml", r#"
//!     [[image]]
//!     afi = "afi-0f1f1000000000001"
//!     agfi = "agfi-0f1f1000000000001"
//!     name = "my_design"
//!     region = "us-east-1"
//!     family = "f1"
//!     shell = "0x04261818"
//!     ids = { vendor = "0x1d0f", device = "0xf000", subsystem_vendor = "0xfedd", subsystem = "0x1d51" }
//!     model = "cl_hello_world"
//! "#)?;
//! assert_eq!(catalog.images().count(), 1);
//! # Ok::<(), afi_sim::catalog::CatalogError>(())
//! ```

mod clocks;
mod failure;
mod file;
mod image;
mod names;
mod shared;
mod time;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::{fs, io};

use afi_proto::{AfiId, AgfiId, Family, PciIds, ShellVersion};

pub use clocks::{ClockRecipes, ParseClockRecipeError};
pub use failure::Failure;
pub use image::{CatalogImage, Design, ImageState};
pub use names::{AccountId, ParseAccountIdError, ParseRegionError, Region};
pub use shared::{InstanceImages, SharedCatalog};
pub use time::{ParseTimestampError, Timestamp};

/// The catalogue that comes with the program.
pub const DEFAULT: &str = include_str!("default.toml");

/// The images that exist, of every account and in every region.
#[derive(Debug, Clone)]
pub struct Catalog {
    images: BTreeMap<AfiId, CatalogImage>,
    /// The AFIs of each AGFI, as slots load by it.
    copies: BTreeMap<AgfiId, BTreeSet<AfiId>>,
}

impl Catalog {
    /// A catalogue without images.
    pub fn empty() -> Self {
        Self {
            images: BTreeMap::new(),
            copies: BTreeMap::new(),
        }
    }

    /// Reads a catalogue file.
    pub fn load(path: &Path) -> Result<Self, CatalogError> {
        let text = fs::read_to_string(path).map_err(|source| CatalogError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Parses the text of a catalogue. `origin` is what errors call it: the name of its file.
    pub fn parse(origin: &str, text: &str) -> Result<Self, CatalogError> {
        file::parse(text).map_err(|(line, problem)| CatalogError::Content {
            origin: origin.to_owned(),
            line,
            problem: Box::new(problem),
        })
    }

    /// Every image, in the order of its AFI ids.
    pub fn images(&self) -> impl Iterator<Item = &CatalogImage> {
        self.images.values()
    }

    /// The images after this AFI id, in the order of their ids; all of them after `None`.
    pub fn images_after(&self, afi: Option<AfiId>) -> impl Iterator<Item = &CatalogImage> {
        let from = afi.map_or(Bound::Unbounded, Bound::Excluded);
        self.images
            .range((from, Bound::Unbounded))
            .map(|(_, image)| image)
    }

    /// The image with this regional id.
    pub fn image(&self, afi: AfiId) -> Option<&CatalogImage> {
        self.images.get(&afi)
    }

    /// The images that an account sees in a region, in the order of their AFI ids: its own, public
    /// ones, and those shared with it.
    pub fn visible(
        &self,
        account: AccountId,
        region: &Region,
    ) -> impl Iterator<Item = &CatalogImage> {
        self.images()
            .filter(move |image| image.is_visible_in(account, region))
    }

    /// An image with this global id that an account's slots in a region may load now.
    ///
    /// Several AFIs of a region can share an AGFI; it is loadable as long as one of them is.
    pub fn loadable(
        &self,
        agfi: AgfiId,
        account: AccountId,
        region: &Region,
    ) -> Option<&CatalogImage> {
        self.copies_of(agfi).find(|image| {
            image.state == ImageState::Available && image.is_visible_in(account, region)
        })
    }

    /// The AFIs that share a global id, in every region.
    fn copies_of(&self, agfi: AgfiId) -> impl Iterator<Item = &CatalogImage> {
        let afis = self.copies.get(&agfi).into_iter().flatten();
        afis.filter_map(|afi| self.images.get(afi))
    }

    /// Adds an image, if it is sound by itself and agrees with the others.
    pub fn insert(&mut self, image: CatalogImage) -> Result<(), CatalogProblem> {
        image.check()?;
        self.check_same_design(&image)?;
        match self.images.entry(image.afi) {
            Entry::Occupied(_) => Err(CatalogProblem::DuplicateAfi { afi: image.afi }),
            Entry::Vacant(place) => {
                if let Some(agfi) = image.agfi {
                    self.copies.entry(agfi).or_default().insert(image.afi);
                }
                place.insert(image);
                Ok(())
            }
        }
    }

    /// Puts an image in the place of the one with its id, or adds it.
    pub fn replace(&mut self, image: CatalogImage) -> Result<(), CatalogProblem> {
        let before = self.remove(image.afi);
        let inserted = self.insert(image);
        if inserted.is_err()
            && let Some(before) = before
        {
            self.insert(before)?;
        }
        inserted
    }

    /// Takes an image out.
    pub fn remove(&mut self, afi: AfiId) -> Option<CatalogImage> {
        let image = self.images.remove(&afi)?;
        if let Some(agfi) = image.agfi
            && let Entry::Occupied(mut copies) = self.copies.entry(agfi)
        {
            copies.get_mut().remove(&afi);
            if copies.get().is_empty() {
                copies.remove();
            }
        }
        Some(image)
    }

    /// One AGFI may have several AFIs, in one region or in several: a copy gets an AFI of its own
    /// and keeps the AGFI (`CopyFpgaImage`). But an AGFI names one design, so they must all
    /// describe the same one: otherwise it would depend on chance what a slot loads.
    fn check_same_design(&self, image: &CatalogImage) -> Result<(), CatalogProblem> {
        let (Some(agfi), Some(design)) = (image.agfi, &image.design) else {
            return Ok(());
        };
        let differing = self
            .copies_of(agfi)
            .find(|other| other.design.as_ref().is_some_and(|theirs| theirs != design));
        match differing {
            None => Ok(()),
            Some(other) => Err(CatalogProblem::DifferentDesigns {
                agfi,
                afi: image.afi,
                other: other.afi,
            }),
        }
    }
}

impl Default for Catalog {
    /// The catalogue that comes with the program: the images of the public documents, working ones
    /// for each family, and one for each way an image can be refused.
    fn default() -> Self {
        Self::parse("default.toml", DEFAULT).expect("the catalogue in the program is tested")
    }
}

/// A catalogue that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The file cannot be read.
    #[error("cannot read the catalogue {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What stands in it is wrong.
    #[error("{origin}, line {line}: {problem}")]
    Content {
        /// The file.
        origin: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: Box<CatalogProblem>,
    },
}

/// What is wrong with an image of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogProblem {
    /// Not TOML, or not the keys and types of a catalogue.
    #[error("{message}")]
    Syntax {
        /// What the parser saw and wanted.
        message: String,
    },
    /// Two images have the same AFI id.
    #[error(
        "{afi} is there already; an AFI id names one image in one region, so give this one another"
    )]
    DuplicateAfi {
        /// The id.
        afi: AfiId,
    },
    /// Two AFIs share an AGFI and are different designs.
    #[error(
        "{afi} and {other} have the AGFI {agfi} and differ in what a slot loads (family, shell, ids, model, power, clocks); \
         AFIs with one AGFI are copies of one design, so make them the same or give one another AGFI"
    )]
    DifferentDesigns {
        /// The global id.
        agfi: AgfiId,
        /// The image that was added.
        afi: AfiId,
        /// The image that was there.
        other: AfiId,
    },
    /// A key that the state or other keys call for is missing.
    #[error("{afi} has no '{key}'; {because}")]
    Missing {
        /// The image.
        afi: AfiId,
        /// The key.
        key: &'static str,
        /// Why it is needed.
        because: &'static str,
    },
    /// The shell is one of another family.
    #[error("{afi} has family {family} and shell {shell}, which is a shell of {wanted}")]
    ShellOfOtherFamily {
        /// The image.
        afi: AfiId,
        /// Its family.
        family: Family,
        /// Its shell.
        shell: ShellVersion,
        /// The family of that shell.
        wanted: Family,
    },
    /// The PCI ids cannot be those of an image.
    #[error("{afi} has the ids {ids}: {because}")]
    Ids {
        /// The image.
        afi: AfiId,
        /// Its ids.
        ids: PciIds,
        /// The rule they break.
        because: &'static str,
    },
    /// Data retention on a family that has none.
    #[error(
        "{afi} has data_retention = true; slots of {family} cannot keep their DRAM through a load"
    )]
    DataRetention {
        /// The image.
        afi: AfiId,
        /// Its family.
        family: Family,
    },
    /// A clock recipe that does not exist.
    #[error("{afi}: {wrong}")]
    Clocks {
        /// The image.
        afi: AfiId,
        /// What was seen and wanted.
        wrong: ParseClockRecipeError,
    },
    /// A tag that EC2 would refuse.
    #[error(
        "{afi} has the tag '{key}'; wanted a key of 1 to 127 characters that does not start with \
         'aws:', and a value of at most 256"
    )]
    Tag {
        /// The image.
        afi: AfiId,
        /// The tag's key.
        key: String,
    },
    /// Updated before it was created.
    #[error("{afi} has update_time {updated}, which is before its create_time {created}")]
    Times {
        /// The image.
        afi: AfiId,
        /// When it was created.
        created: Timestamp,
        /// When it was updated.
        updated: Timestamp,
    },
}

impl CatalogProblem {
    /// The key of the image's table that it is about.
    fn key(&self) -> &'static str {
        match self {
            Self::DifferentDesigns { .. } => "agfi",
            Self::ShellOfOtherFamily { .. } => "shell",
            Self::Ids { .. } => "ids",
            Self::DataRetention { .. } => "data_retention",
            Self::Clocks { .. } => "clock_recipes",
            Self::Tag { .. } => "tags",
            Self::Times { .. } => "update_time",
            Self::Syntax { .. } | Self::DuplicateAfi { .. } | Self::Missing { .. } => "afi",
        }
    }
}

#[cfg(test)]
mod tests;
