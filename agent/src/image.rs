//! What an FPGA image is, as the cloud's API tells it, and what a user may call it.

mod ids;
mod reference;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use afi_proto::{AfiId, AgfiId, Family, PciIds, ShellVersion};
use serde::{Deserialize, Serialize};

#[cfg(feature = "aws")]
pub(crate) use ids::{not_a_pci_id, parse_pci_id};
pub use reference::{ImageRef, ParseImageRefError};

/// An FPGA image, as one region tells it.
///
/// The JSON form writes ids and versions as the EC2 API does, as text such as `"0x1d0f"`, and
/// everything else with its own type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The global id, which is what a slot loads.
    pub agfi: AgfiId,
    /// The id in [`Self::region`].
    pub afi: Option<AfiId>,
    /// Its name. Not unique.
    pub name: Option<String>,
    /// What its owner wrote about it.
    pub description: Option<String>,
    /// The account that owns it.
    pub owner_id: Option<String>,
    /// A name for the owner: `amazon`, for example.
    pub owner_alias: Option<String>,
    /// The region that told this.
    pub region: String,
    /// Whether it can be loaded.
    pub state: ImageState,
    /// Why it is in that state, where the API says: the reason of a failure.
    pub state_message: Option<String>,
    /// The shell it was built for.
    pub shell: Option<ShellVersion>,
    /// The ids that the application function has when it is loaded.
    #[serde(with = "ids")]
    pub ids: Option<PciIds>,
    /// The instance family it was built for: see [`family_of`].
    pub family: Option<Family>,
    /// The instance types it can be loaded on, where the API says.
    #[serde(default)]
    pub instance_types: Vec<String>,
    /// Whether the card's DRAM can keep its contents while this image is loaded.
    pub data_retention: Option<bool>,
    /// Whether every account may load it.
    pub public: bool,
    /// Its tags, as this account sees them.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// When it was made, in RFC 3339, UTC. A text, as it is shown and compared, not computed with;
    /// as all of them are in UTC, their order as text is their order in time.
    pub create_time: Option<String>,
    /// When it was last changed; the same form.
    pub update_time: Option<String>,
}

impl Image {
    /// Whether this is what the user means by `wanted`.
    pub fn is(&self, wanted: &ImageRef) -> bool {
        match wanted {
            ImageRef::Agfi(agfi) => self.agfi == *agfi,
            ImageRef::Afi(afi) => self.afi == Some(*afi),
            ImageRef::Tag { key, value } => self.tags.get(key) == Some(value),
            ImageRef::Name(name) => self.name.as_ref() == Some(name),
        }
    }
}

/// The family of an image: that of the instance types it can be loaded on, where they are told and
/// agree, and else that of its shell. The part of a type before the point is compared, so that a
/// new size of a known family is recognised.
pub fn family_of(instance_types: &[String], shell: Option<ShellVersion>) -> Option<Family> {
    let mut of_types = instance_types
        .iter()
        .map(|name| name.split('.').next().and_then(|f| f.parse().ok()));
    let first: Option<Family> = of_types.next().flatten();
    first
        .filter(|_| of_types.all(|other| other == first))
        .or_else(|| shell.and_then(Family::of_shell))
}

/// The state of an image (`FpgaImageStateCode` of the EC2 API).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum ImageState {
    /// It can be loaded.
    Available,
    /// It is being made or copied.
    Pending,
    /// Making or copying it did not work.
    Failed,
    /// It cannot be loaded any more.
    Unavailable,
    /// A state that this version does not know.
    Other(String),
}

impl ImageState {
    /// The state as the API writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Available => "available",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
            Self::Other(text) => text,
        }
    }
}

impl fmt::Display for ImageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<String> for ImageState {
    fn from(text: String) -> Self {
        match text.as_str() {
            "available" => Self::Available,
            "pending" => Self::Pending,
            "failed" => Self::Failed,
            "unavailable" => Self::Unavailable,
            _ => Self::Other(text),
        }
    }
}

impl From<ImageState> for String {
    fn from(state: ImageState) -> Self {
        state.as_str().to_owned()
    }
}

impl FromStr for ImageState {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.to_owned().into())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An image to begin a test with: available, `cl_test`, in us-east-1.
    pub(crate) fn image(agfi: &str) -> Image {
        Image {
            agfi: agfi.parse().unwrap(),
            afi: Some(agfi.replace("agfi-", "afi-").parse().unwrap()),
            name: Some("cl_test".to_owned()),
            description: None,
            owner_id: Some("000000000000".to_owned()),
            owner_alias: None,
            region: "us-east-1".to_owned(),
            state: ImageState::Available,
            state_message: None,
            shell: Some(ShellVersion(0x0426_1818)),
            ids: Some(PciIds::new(0x1D0F, 0xF000, 0xFEDD, 0x1D51)),
            family: Some(Family::F1),
            instance_types: Vec::new(),
            data_retention: Some(false),
            public: false,
            tags: BTreeMap::from([("stage".to_owned(), "prod".to_owned())]),
            create_time: Some("2025-01-02T03:04:05Z".to_owned()),
            update_time: None,
        }
    }

    #[test]
    fn an_image_survives_its_json() {
        let mut image = image("agfi-0f1f1000000000001");
        image.state = ImageState::Other("archived".to_owned());
        let json = serde_json::to_value(&image).unwrap();
        assert_eq!(json["agfi"], "agfi-0f1f1000000000001");
        assert_eq!(json["shell"], "0x04261818");
        assert_eq!(json["family"], "f1");
        assert_eq!(json["ids"]["subsystem_vendor"], "0xfedd");
        assert_eq!(json["public"], false);
        assert_eq!(json["state"], "archived");
        assert_eq!(serde_json::from_value::<Image>(json).unwrap(), image);
        image.ids = None;
        let json = serde_json::to_value(&image).unwrap();
        assert!(json["ids"].is_null());
        assert_eq!(serde_json::from_value::<Image>(json).unwrap(), image);
    }

    #[test]
    fn the_family_is_that_of_the_instance_types_and_else_of_the_shell() {
        let types = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let f1_shell = Some(ShellVersion(0x0426_1818));
        let new_size = types(&["f2.6xlarge", "f2.96xlarge"]);
        assert_eq!(family_of(&new_size, f1_shell), Some(Family::F2));
        let mixed = types(&["f1.2xlarge", "f2.6xlarge"]);
        assert_eq!(family_of(&mixed, f1_shell), Some(Family::F1));
        assert_eq!(family_of(&mixed, None), None);
        assert_eq!(
            family_of(&types(&["g5.xlarge"]), f1_shell),
            Some(Family::F1)
        );
        assert_eq!(family_of(&[], Some(ShellVersion(1))), None);
    }

    #[test]
    fn an_image_answers_to_each_of_its_names_and_no_other() {
        let image = image("agfi-0f1f1000000000001");
        for name in [
            "agfi-0f1f1000000000001",
            "afi-0f1f1000000000001",
            "cl_test",
            "tag:stage=prod",
        ] {
            assert!(image.is(&name.parse().unwrap()), "{name}");
        }
        for name in [
            "agfi-0f1f1000000000002",
            "afi-0f1f1000000000002",
            "cl_test2",
            "cl_tes?",
            "tag:stage=test",
            "tag:other=prod",
        ] {
            assert!(!image.is(&name.parse().unwrap()), "{name}");
        }
    }
}
