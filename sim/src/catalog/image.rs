//! An image of the catalogue: what the API tells of it, and what a slot loads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use afi_proto::{AfiId, AgfiId, Family, PciIds, ShellVersion};
use serde::{Deserialize, Serialize};

use super::{AccountId, CatalogProblem, ClockRecipes, Region, Timestamp};
use crate::image::SlotImage;

/// An FPGA image in a region, with the fields of EC2's `FpgaImage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogImage {
    /// Its regional id.
    pub afi: AfiId,
    /// Its global id. `None` for a copy that is not done yet or failed: the API tells none then.
    pub agfi: Option<AgfiId>,
    /// Its name, which need not be unique.
    pub name: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Where it is.
    pub region: Region,
    /// Whose it is.
    pub owner_id: AccountId,
    /// The owner's alias: `amazon` or `aws-marketplace`.
    pub owner_alias: Option<String>,
    /// Whether it can be used.
    pub state: ImageState,
    /// Why it is in this state, mostly why it failed: `CODE: text`.
    pub state_message: Option<String>,
    /// What it is made of. `None` as long as nothing has been generated.
    pub design: Option<Design>,
    /// Whether every account may load it.
    pub public: bool,
    /// The accounts that may load it beside its owner.
    pub shared_with: BTreeSet<AccountId>,
    /// Codes of the marketplace.
    pub product_codes: Vec<String>,
    /// The owner's tags.
    pub tags: BTreeMap<String, String>,
    /// When it was created.
    pub create_time: Timestamp,
    /// When it changed last.
    pub update_time: Timestamp,
}

/// What an image is made of: all that a slot has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Design {
    /// The family it was built for.
    pub family: Family,
    /// The shell it was built for.
    pub shell: ShellVersion,
    /// The PCI ids it appears with on the bus.
    pub ids: PciIds,
    /// The model of its custom logic, by the name it is registered under.
    pub model: String,
    /// Whether it has all DDR interfaces, so that DRAM can be kept through a load.
    pub data_retention: bool,
    /// Power it draws, in watts.
    pub power_watts: u64,
    /// Its clocks.
    pub clock_recipes: ClockRecipes,
}

impl Design {
    /// Power of an image that does not say, in watts: well below the limit of every family.
    pub const DEFAULT_POWER_WATTS: u64 = 20;
}

/// The state of an image (EC2 API Reference, `FpgaImageState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageState {
    /// It is being generated or copied.
    Pending,
    /// It can be loaded.
    Available,
    /// It could not be generated or copied.
    Failed,
    /// It is no longer available for use.
    Unavailable,
}

impl ImageState {
    /// Every state.
    pub const ALL: [Self; 4] = [
        Self::Pending,
        Self::Available,
        Self::Failed,
        Self::Unavailable,
    ];
}

impl fmt::Display for ImageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Available => "available",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
        })
    }
}

impl CatalogImage {
    /// Whether an account sees it and, once available, may load it: its owner, everybody if it is
    /// public, and those it is shared with.
    pub fn is_visible_to(&self, account: AccountId) -> bool {
        self.public || self.owner_id == account || self.shared_with.contains(&account)
    }

    /// The same, asked in a region.
    pub fn is_visible_in(&self, account: AccountId, region: &Region) -> bool {
        self.region == *region && self.is_visible_to(account)
    }

    /// The tags that an account sees: tags are their owner's only (EC2 User Guide, "Tag your
    /// Amazon EC2 resources").
    pub fn tags_seen_by(&self, account: AccountId) -> impl Iterator<Item = (&str, &str)> {
        self.tags
            .iter()
            .filter(move |_| self.owner_id == account)
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// It as a slot loads it; `None` without a global id or a design.
    pub fn slot_image(&self) -> Option<SlotImage> {
        let design = self.design.as_ref()?;
        Some(SlotImage {
            agfi: self.agfi?,
            ids: design.ids,
            shell: design.shell,
            model: design.model.clone(),
            data_retention: design.data_retention,
            power_watts: design.power_watts,
            clocks_hz: design.clock_recipes.frequencies(design.family),
        })
    }

    /// Checks what can be checked without looking at other images.
    pub(super) fn check(&self) -> Result<(), CatalogProblem> {
        let afi = self.afi;
        if self.state == ImageState::Available {
            let because = "an available image has one, as slots load by it";
            if self.agfi.is_none() {
                return Err(CatalogProblem::Missing {
                    afi,
                    key: "agfi",
                    because,
                });
            }
            if self.design.is_none() {
                let because = "an available image has family, shell, ids and model";
                return Err(CatalogProblem::Missing {
                    afi,
                    key: "family",
                    because,
                });
            }
        }
        if let Some(design) = &self.design {
            design.check(afi)?;
        }
        // EC2 API Reference, Tag.
        let wrong_tag = self.tags.iter().find(|(key, value)| {
            let key_length = key.chars().count();
            key_length == 0
                || key_length > 127
                || key.starts_with("aws:")
                || value.chars().count() > 256
        });
        if let Some((key, _)) = wrong_tag {
            return Err(CatalogProblem::Tag {
                afi,
                key: key.clone(),
            });
        }
        if self.update_time < self.create_time {
            return Err(CatalogProblem::Times {
                afi,
                created: self.create_time,
                updated: self.update_time,
            });
        }
        Ok(())
    }
}

impl Design {
    /// A shell that no family knows is let through: an image for a newer shell is a real case, and
    /// slots refuse to load it.
    fn check(&self, afi: AfiId) -> Result<(), CatalogProblem> {
        let (family, shell, ids) = (self.family, self.shell, self.ids);
        if let Some(wanted) = Family::of_shell(shell).filter(|known| *known != family) {
            return Err(CatalogProblem::ShellOfOtherFamily {
                afi,
                family,
                shell,
                wanted,
            });
        }
        let profile = family.profile();
        let because = if ids.vendor == 0 || ids.vendor == 0x8086 {
            Some("a manifest must not have vendor 0x0000 or 0x8086 (AFI_Manifest.md)")
        } else if ids.is_absent() {
            Some("vendor 0xffff is what a bus without a device reads as")
        } else if ids.device == 0 {
            Some("a manifest must not have device 0x0000 (AFI_Manifest.md)")
        } else if ids.subsystem_vendor == 0 || ids.subsystem == 0 {
            Some("a manifest must have subsystem ids other than 0x0000 (AFI_Manifest.md)")
        } else if profile.cleared.same_device(ids) || profile.mgmt.same_device(ids) {
            Some("those are the shell's own, so a loaded slot would look like a cleared one")
        } else {
            None
        };
        if let Some(because) = because {
            return Err(CatalogProblem::Ids { afi, ids, because });
        }
        if self.data_retention && !profile.data_retention {
            return Err(CatalogProblem::DataRetention { afi, family });
        }
        Ok(())
    }
}
