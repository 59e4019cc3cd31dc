//! An image in the file that survives a restart.

use std::collections::{BTreeMap, BTreeSet};

use afi_proto::{AfiId, AgfiId, Family, PciIds, ShellVersion};
use serde::{Deserialize, Serialize};

use super::text;
use crate::catalog::{
    AccountId, CatalogImage, ClockRecipes, Design, ImageState, ParseClockRecipeError, Region,
    Timestamp,
};

/// A [`CatalogImage`] as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ImageRecord {
    afi: AfiId,
    agfi: Option<AgfiId>,
    name: Option<String>,
    description: Option<String>,
    region: Region,
    owner_id: AccountId,
    owner_alias: Option<String>,
    state: ImageState,
    state_message: Option<String>,
    design: Option<DesignRecord>,
    public: bool,
    shared_with: BTreeSet<AccountId>,
    product_codes: Vec<String>,
    tags: BTreeMap<String, String>,
    #[serde(with = "text")]
    create_time: Timestamp,
    #[serde(with = "text")]
    update_time: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
struct DesignRecord {
    family: Family,
    shell: ShellVersion,
    /// Vendor, device, subsystem vendor, subsystem.
    ids: [u16; 4],
    model: String,
    data_retention: bool,
    power_watts: u64,
    clock_recipes: [String; 3],
}

impl ImageRecord {
    /// Whose record it is.
    pub(super) fn afi(&self) -> AfiId {
        self.afi
    }
}

impl From<&CatalogImage> for ImageRecord {
    fn from(image: &CatalogImage) -> Self {
        let image = image.clone();
        Self {
            afi: image.afi,
            agfi: image.agfi,
            name: image.name,
            description: image.description,
            region: image.region,
            owner_id: image.owner_id,
            owner_alias: image.owner_alias,
            state: image.state,
            state_message: image.state_message,
            design: image.design.map(|design| DesignRecord {
                family: design.family,
                shell: design.shell,
                ids: [
                    design.ids.vendor,
                    design.ids.device,
                    design.ids.subsystem_vendor,
                    design.ids.subsystem,
                ],
                model: design.model,
                data_retention: design.data_retention,
                power_watts: design.power_watts,
                clock_recipes: design.clock_recipes.names(),
            }),
            public: image.public,
            shared_with: image.shared_with,
            product_codes: image.product_codes,
            tags: image.tags,
            create_time: image.create_time,
            update_time: image.update_time,
        }
    }
}

impl TryFrom<ImageRecord> for CatalogImage {
    type Error = ParseClockRecipeError;

    fn try_from(record: ImageRecord) -> Result<Self, ParseClockRecipeError> {
        Ok(Self {
            afi: record.afi,
            agfi: record.agfi,
            name: record.name,
            description: record.description,
            region: record.region,
            owner_id: record.owner_id,
            owner_alias: record.owner_alias,
            state: record.state,
            state_message: record.state_message,
            design: record.design.map(Design::try_from).transpose()?,
            public: record.public,
            shared_with: record.shared_with,
            product_codes: record.product_codes,
            tags: record.tags,
            create_time: record.create_time,
            update_time: record.update_time,
        })
    }
}

impl TryFrom<DesignRecord> for Design {
    type Error = ParseClockRecipeError;

    fn try_from(record: DesignRecord) -> Result<Self, ParseClockRecipeError> {
        let recipes = record.clock_recipes.iter();
        let [vendor, device, subsystem_vendor, subsystem] = record.ids;
        let default = ClockRecipes::default_of(record.family);
        Ok(Self {
            clock_recipes: recipes
                .map(String::as_str)
                .try_fold(default, ClockRecipes::with)?,
            family: record.family,
            shell: record.shell,
            ids: PciIds::new(vendor, device, subsystem_vendor, subsystem),
            model: record.model,
            data_retention: record.data_retention,
            power_watts: record.power_watts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn every_image_of_the_default_catalogue_survives_its_record() {
        for image in Catalog::default().images() {
            let text = serde_json::to_string(&ImageRecord::from(image)).unwrap();
            let record: ImageRecord = serde_json::from_str(&text).unwrap();
            assert_eq!(&CatalogImage::try_from(record).unwrap(), image, "{text}");
        }
    }
}
