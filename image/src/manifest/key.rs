//! The keys of a manifest.

use afi_proto::{ClockGroup, Family};

/// A key of a manifest.
///
/// Sources: `AFI_Manifest.md`, and what the public build scripts write. The last three are from
/// `create_vitis_afi.sh` (F1), which gives frequencies instead of recipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// `manifest_format_version`
    FormatVersion,
    /// `pci_vendor_id`
    VendorId,
    /// `pci_device_id`
    DeviceId,
    /// `pci_subsystem_id`
    SubsystemId,
    /// `pci_subsystem_vendor_id`
    SubsystemVendorId,
    /// `dcp_hash`
    DcpHash,
    /// `shell_version`
    ShellVersion,
    /// `dcp_file_name`
    DcpFileName,
    /// `hdk_version`
    HdkVersion,
    /// `tool_version`
    ToolVersion,
    /// `date`
    Date,
    /// `clock_recipe_a`
    ClockRecipeA,
    /// `clock_recipe_b`
    ClockRecipeB,
    /// `clock_recipe_c`
    ClockRecipeC,
    /// `clock_recipe_hbm`
    ClockRecipeHbm,
    /// `clock_main_a0`
    ClockMainA0,
    /// `clock_extra_b0`
    ClockExtraB0,
    /// `clock_extra_c0`
    ClockExtraC0,
}

impl Key {
    /// Every key, in the order in which the build scripts write them.
    pub const ALL: [Self; 18] = [
        Self::FormatVersion,
        Self::VendorId,
        Self::DeviceId,
        Self::SubsystemId,
        Self::SubsystemVendorId,
        Self::DcpHash,
        Self::ShellVersion,
        Self::DcpFileName,
        Self::HdkVersion,
        Self::ToolVersion,
        Self::Date,
        Self::ClockRecipeA,
        Self::ClockRecipeB,
        Self::ClockRecipeC,
        Self::ClockRecipeHbm,
        Self::ClockMainA0,
        Self::ClockExtraB0,
        Self::ClockExtraC0,
    ];

    /// The keys of the four ids of the application function.
    pub const IDS: [Self; 4] = [
        Self::VendorId,
        Self::DeviceId,
        Self::SubsystemVendorId,
        Self::SubsystemId,
    ];

    /// As it stands in a manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FormatVersion => "manifest_format_version",
            Self::VendorId => "pci_vendor_id",
            Self::DeviceId => "pci_device_id",
            Self::SubsystemId => "pci_subsystem_id",
            Self::SubsystemVendorId => "pci_subsystem_vendor_id",
            Self::DcpHash => "dcp_hash",
            Self::ShellVersion => "shell_version",
            Self::DcpFileName => "dcp_file_name",
            Self::HdkVersion => "hdk_version",
            Self::ToolVersion => "tool_version",
            Self::Date => "date",
            Self::ClockRecipeA => "clock_recipe_a",
            Self::ClockRecipeB => "clock_recipe_b",
            Self::ClockRecipeC => "clock_recipe_c",
            Self::ClockRecipeHbm => "clock_recipe_hbm",
            Self::ClockMainA0 => "clock_main_a0",
            Self::ClockExtraB0 => "clock_extra_b0",
            Self::ClockExtraC0 => "clock_extra_c0",
        }
    }

    /// The key of the recipe of a group of clocks.
    pub const fn recipe_of(group: ClockGroup) -> Self {
        match group {
            ClockGroup::A => Self::ClockRecipeA,
            ClockGroup::B => Self::ClockRecipeB,
            ClockGroup::C => Self::ClockRecipeC,
            ClockGroup::Hbm => Self::ClockRecipeHbm,
        }
    }

    /// The key that gives a group's clock as a frequency in MHz, in manifests of Vitis.
    pub const fn frequency_of(group: ClockGroup) -> Option<Self> {
        match group {
            ClockGroup::A => Some(Self::ClockMainA0),
            ClockGroup::B => Some(Self::ClockExtraB0),
            ClockGroup::C => Some(Self::ClockExtraC0),
            ClockGroup::Hbm => None,
        }
    }

    /// Whether a manifest has to have it. Where the family is not known: whether it has to in every
    /// family.
    pub fn is_mandatory(self, family: Option<Family>) -> bool {
        match self {
            Self::FormatVersion
            | Self::VendorId
            | Self::DeviceId
            | Self::SubsystemId
            | Self::SubsystemVendorId
            | Self::DcpHash
            | Self::ShellVersion
            | Self::DcpFileName
            | Self::ToolVersion => true,
            Self::ClockRecipeA => family == Some(Family::F1),
            _ => false,
        }
    }

    /// Its place in [`Self::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// The key of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// The key that was meant by a name that is none: the same in other letters or with other
    /// separators, or different in at most two characters.
    pub(crate) fn nearest(name: &str) -> Option<Self> {
        // Longer names are no slips, and a comparison of them takes long.
        const LONGEST: usize = 40;
        const SLIPS: usize = 2;
        if name.len() > LONGEST {
            return None;
        }
        let name = name.to_ascii_lowercase().replace(['-', ' '], "_");
        let distances = Self::ALL.map(|key| (distance(&name, key.name()), key));
        let nearest = distances.into_iter().min_by_key(|(distance, _)| *distance);
        nearest
            .filter(|(distance, _)| *distance <= SLIPS)
            .map(|(_, key)| key)
    }
}

/// How many characters have to be put in, taken out or replaced (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_at_its_place() {
        for (index, key) in Key::ALL.into_iter().enumerate() {
            assert_eq!(key.index(), index);
            assert_eq!(Key::named(key.name()), Some(key));
        }
    }

    #[test]
    fn a_slip_is_recognised_and_something_else_is_not() {
        assert_eq!(Key::nearest("pci_vender_id"), Some(Key::VendorId));
        assert_eq!(Key::nearest("PCI-Vendor-ID"), Some(Key::VendorId));
        assert_eq!(Key::nearest("clock_recipe_d"), Some(Key::ClockRecipeA));
        assert_eq!(Key::nearest("author"), None);
        assert_eq!(Key::nearest(&"x".repeat(10_000)), None);
    }
}
