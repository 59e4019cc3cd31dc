//! The catalogue's TOML: its keys, their defaults, and the line of what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use afi_proto::{AfiId, AgfiId, Family, PciIds, ShellVersion};
use serde::Deserialize;
use toml::Spanned;

use super::clocks::NamedRecipes;
use super::{
    AccountId, Catalog, CatalogImage, CatalogProblem, Design, ImageState, Region, Timestamp,
};

/// When an image that does not say was created.
const DEFAULT_CREATE_TIME: &str = "2026-01-01T00:00:00Z";

/// Parses a catalogue. The error has the line it is about, from 1.
pub(super) fn parse(text: &str) -> Result<Catalog, (usize, CatalogProblem)> {
    let line = |at: usize| 1 + text.bytes().take(at).filter(|b| *b == b'\n').count();
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let message = error.message().to_owned();
        (line(at), CatalogProblem::Syntax { message })
    })?;
    let mut catalog = Catalog::empty();
    for table in file.image {
        let places = Places::of(&table);
        let locate = |problem: CatalogProblem| (line(places.start_of(problem.key())), problem);
        let image = table.into_image().map_err(locate)?;
        catalog.insert(image).map_err(locate)?;
    }
    Ok(catalog)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    image: Vec<Table>,
}

/// One `[[image]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    afi: Spanned<AfiId>,
    agfi: Option<Spanned<AgfiId>>,
    name: Option<String>,
    description: Option<String>,
    region: Region,
    #[serde(default = "simulated_account")]
    owner_id: AccountId,
    owner_alias: Option<String>,
    #[serde(default = "available")]
    state: ImageState,
    state_message: Option<String>,
    family: Option<Family>,
    shell: Option<Spanned<ShellVersion>>,
    ids: Option<Spanned<Ids>>,
    model: Option<String>,
    data_retention: Option<Spanned<bool>>,
    power_watts: Option<u64>,
    clock_recipes: Option<Spanned<NamedRecipes>>,
    #[serde(default)]
    public: bool,
    #[serde(default)]
    shared_with: BTreeSet<AccountId>,
    #[serde(default)]
    product_codes: Vec<String>,
    tags: Option<Spanned<BTreeMap<String, String>>>,
    create_time: Option<Timestamp>,
    update_time: Option<Spanned<Timestamp>>,
}

fn simulated_account() -> AccountId {
    AccountId::SIMULATED
}

fn available() -> ImageState {
    ImageState::Available
}

/// PCI ids as the API writes them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ids {
    vendor: Id,
    device: Id,
    subsystem_vendor: Id,
    subsystem: Id,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Id(u16);

impl TryFrom<String> for Id {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.strip_prefix("0x").filter(|digits| {
            (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit())
        });
        let id = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        id.map(Self).ok_or_else(|| {
            format!("'{text}' is not a PCI id; wanted '0x' and up to 4 hexadecimal digits, such as 0x1d0f")
        })
    }
}

impl Table {
    fn into_image(self) -> Result<CatalogImage, CatalogProblem> {
        let design = self.design()?;
        let default_time = || {
            let time: toml::value::Datetime = DEFAULT_CREATE_TIME
                .parse()
                .expect("the default is a TOML date-time");
            Timestamp::try_from(time).expect("the default is in UTC")
        };
        let create_time = self.create_time.unwrap_or_else(default_time);
        Ok(CatalogImage {
            afi: self.afi.into_inner(),
            agfi: self.agfi.map(Spanned::into_inner),
            name: self.name,
            description: self.description,
            region: self.region,
            owner_id: self.owner_id,
            owner_alias: self.owner_alias,
            state: self.state,
            state_message: self.state_message,
            design,
            public: self.public,
            shared_with: self.shared_with,
            product_codes: self.product_codes,
            tags: self.tags.map(Spanned::into_inner).unwrap_or_default(),
            create_time,
            update_time: self.update_time.map_or(create_time, Spanned::into_inner),
        })
    }

    /// The keys of a design stand together or not at all.
    fn design(&self) -> Result<Option<Design>, CatalogProblem> {
        let afi = *self.afi.get_ref();
        let nothing = self.family.is_none()
            && self.shell.is_none()
            && self.ids.is_none()
            && self.model.is_none()
            && self.data_retention.is_none()
            && self.power_watts.is_none()
            && self.clock_recipes.is_none();
        if nothing {
            return Ok(None);
        }
        let missing = |key| CatalogProblem::Missing {
            afi,
            key,
            because: "family, shell, ids and model describe a design together",
        };
        let family = self.family.ok_or_else(|| missing("family"))?;
        let shell = self.shell.as_ref().ok_or_else(|| missing("shell"))?;
        let ids = self.ids.as_ref().ok_or_else(|| missing("ids"))?.get_ref();
        let model = self.model.clone().ok_or_else(|| missing("model"))?;
        let default_recipes = NamedRecipes::default();
        let recipes = self
            .clock_recipes
            .as_ref()
            .map_or(&default_recipes, Spanned::get_ref);
        let clock_recipes = recipes
            .resolve(family)
            .map_err(|wrong| CatalogProblem::Clocks { afi, wrong })?;
        Ok(Some(Design {
            family,
            shell: *shell.get_ref(),
            ids: PciIds::new(
                ids.vendor.0,
                ids.device.0,
                ids.subsystem_vendor.0,
                ids.subsystem.0,
            ),
            model,
            data_retention: self
                .data_retention
                .as_ref()
                .is_some_and(|kept| *kept.get_ref()),
            power_watts: self.power_watts.unwrap_or(Design::DEFAULT_POWER_WATTS),
            clock_recipes,
        }))
    }
}

/// Where in the text the keys of an image are.
struct Places {
    afi: Range<usize>,
    others: [(&'static str, Option<Range<usize>>); 7],
}

impl Places {
    fn of(table: &Table) -> Self {
        fn span<T>(value: &Option<Spanned<T>>) -> Option<Range<usize>> {
            value.as_ref().map(Spanned::span)
        }
        Self {
            afi: table.afi.span(),
            others: [
                ("agfi", span(&table.agfi)),
                ("shell", span(&table.shell)),
                ("ids", span(&table.ids)),
                ("data_retention", span(&table.data_retention)),
                ("clock_recipes", span(&table.clock_recipes)),
                ("tags", span(&table.tags)),
                ("update_time", span(&table.update_time)),
            ],
        }
    }

    /// The first byte of a key's value; of the AFI id for any key that is not there.
    fn start_of(&self, key: &str) -> usize {
        let found = self.others.iter().find(|(name, _)| *name == key);
        let span = found
            .and_then(|(_, span)| span.as_ref())
            .unwrap_or(&self.afi);
        span.start
    }
}
