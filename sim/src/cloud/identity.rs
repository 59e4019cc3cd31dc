//! Who the simulated instance is.

use afi_proto::Family;

use crate::catalog::{AccountId, Region};

/// What the metadata service tells of the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceIdentity {
    /// The account it belongs to. API requests with access keys that name no other are this one's.
    pub account: AccountId,
    /// Its region.
    pub region: Region,
    /// Its availability zone.
    pub availability_zone: String,
    /// Its id, `i-` and 17 hexadecimal digits.
    pub instance_id: String,
    /// Its type, such as `f2.6xlarge`.
    pub instance_type: String,
    /// The machine image it was started from, `ami-` and 17 hexadecimal digits.
    pub ami: String,
    /// Its private IPv4 address.
    pub private_ip: String,
}

/// The device that the instance boots from.
pub(super) const ROOT_DEVICE: &str = "/dev/xvda";

/// A volume of the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) device: &'static str,
    pub(super) id: &'static str,
    /// GiB.
    pub(super) size: u32,
    pub(super) kind: &'static str,
    pub(super) encrypted: bool,
    pub(super) delete_on_termination: bool,
}

/// A root volume, and one for data that is encrypted: the rules of a machine image differ for them.
const VOLUMES: [Volume; 2] = [
    Volume {
        device: ROOT_DEVICE,
        id: "vol-0f1f1000000000001",
        size: 85,
        kind: "gp3",
        encrypted: false,
        delete_on_termination: true,
    },
    Volume {
        device: "/dev/sdb",
        id: "vol-0f1f1000000000002",
        size: 100,
        kind: "gp3",
        encrypted: true,
        delete_on_termination: false,
    },
];

impl InstanceIdentity {
    /// The volumes that are attached to it.
    pub(super) fn volumes(&self) -> [Volume; 2] {
        VOLUMES
    }

    /// Whether it runs in a Local Zone: `us-west-2-lax-1a` is one, `us-west-2a` is not.
    pub(super) fn in_local_zone(&self) -> bool {
        let rest = self.availability_zone.strip_prefix(self.region.as_str());
        rest.is_some_and(|rest| rest.starts_with('-'))
    }

    /// A made-up instance in `us-east-1`: of the smallest type of the family with at least so many
    /// slots, or of its largest.
    pub fn simulated(family: Family, slots: u8) -> Self {
        let region: Region = "us-east-1".parse().expect("us-east-1 is a region");
        Self::simulated_in(region, family, slots)
    }

    /// The same in another region.
    pub fn simulated_in(region: Region, family: Family, slots: u8) -> Self {
        let types = family.profile().instance_types;
        let fitting = types
            .iter()
            .find(|known| known.slots >= slots)
            .or(types.last());
        Self {
            account: AccountId::SIMULATED,
            availability_zone: format!("{region}a"),
            region,
            instance_id: "i-0f1f1000000000001".to_owned(),
            instance_type: fitting
                .map_or(family.profile().name, |known| known.name)
                .to_owned(),
            ami: "ami-0f1f1000000000001".to_owned(),
            private_ip: "10.0.0.1".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_has_the_slots() {
        let of = |family, slots| InstanceIdentity::simulated(family, slots).instance_type;
        assert_eq!(of(Family::F1, 1), "f1.2xlarge");
        assert_eq!(of(Family::F1, 3), "f1.16xlarge");
        assert_eq!(of(Family::F2, 2), "f2.12xlarge");
        assert_eq!(of(Family::F2, 200), "f2.48xlarge");
    }
}
