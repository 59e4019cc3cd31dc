//! The block device mappings of a machine image that is made of an instance.
//!
//! Source: EC2 API Reference, `CreateImage`, `BlockDeviceMapping` and `EbsBlockDevice`: of the volumes
//! that the instance has, only whether they go with it can be changed; others can be added.

use crate::cloud::error::ApiError;
use crate::cloud::identity::{ROOT_DEVICE, Volume};
use crate::cloud::query::{Params, shown};
use crate::cloud::world::{MappedVolume, Mapping, Snapshot};

/// Sizes of a type of volume in GiB, and its I/O operations a second where they can be chosen
/// (`EbsBlockDevice`).
struct VolumeType {
    name: &'static str,
    sizes: (u32, u32),
    iops: Option<(u32, u32)>,
    needs_iops: bool,
}

const VOLUME_TYPES: [VolumeType; 7] = [
    volume_type("gp2", (1, 16_384), None, false),
    volume_type("gp3", (1, 65_536), Some((3_000, 80_000)), false),
    volume_type("io1", (4, 16_384), Some((100, 64_000)), true),
    volume_type("io2", (4, 65_536), Some((100, 256_000)), true),
    volume_type("st1", (125, 16_384), None, false),
    volume_type("sc1", (125, 16_384), None, false),
    volume_type("standard", (1, 1_024), None, false),
];

const fn volume_type(
    name: &'static str,
    sizes: (u32, u32),
    iops: Option<(u32, u32)>,
    needs_iops: bool,
) -> VolumeType {
    VolumeType {
        name,
        sizes,
        iops,
        needs_iops,
    }
}

/// What is said of the throughput of a volume, in MiB/s; of `gp3` only.
const THROUGHPUT: std::ops::RangeInclusive<u32> = 125..=2_000;
/// Instance store volumes are `ephemeral0` to this one.
const MAX_EPHEMERAL: u32 = 23;
/// The type of a volume that names none.
const DEFAULT_TYPE: &str = "gp2";

/// One mapping of a request.
#[derive(Debug)]
pub(super) struct Wish {
    device: String,
    no_device: bool,
    virtual_name: Option<String>,
    ebs: Option<Ebs>,
}

/// `Ebs` of a mapping.
#[derive(Debug)]
struct Ebs {
    delete_on_termination: Option<bool>,
    iops: Option<u32>,
    snapshot: Option<String>,
    size: Option<u32>,
    kind: Option<String>,
    throughput: Option<u32>,
    encrypted: Option<bool>,
}

/// Takes `BlockDeviceMapping.N`.
pub(super) fn take(params: &mut Params) -> Result<Vec<Wish>, ApiError> {
    let mut wishes: Vec<Wish> = Vec::new();
    for mut mapping in params.take_structures("BlockDeviceMapping") {
        let device = mapping.take_required("DeviceName")?;
        if wishes.iter().any(|other| other.device == device) {
            return Err(wrong(&device, "the device is mapped twice"));
        }
        let no_device = mapping.take("NoDevice").is_some();
        let virtual_name = mapping.take("VirtualName");
        let ebs = take_ebs(&mut mapping, &device)?;
        mapping.finish()?;
        let given = usize::from(no_device)
            + usize::from(virtual_name.is_some())
            + usize::from(ebs.is_some());
        // NoDevice takes the device away "regardless of the assigned value".
        if given > 1 && !no_device {
            return Err(wrong(&device, "give one of Ebs, VirtualName and NoDevice"));
        }
        if given == 0 {
            return Err(wrong(&device, "Ebs, VirtualName or NoDevice is needed"));
        }
        if let Some(name) = &virtual_name {
            let number = name
                .strip_prefix("ephemeral")
                .and_then(|n| n.parse::<u32>().ok());
            if number.is_none_or(|number| number > MAX_EPHEMERAL) {
                return Err(wrong(
                    &device,
                    &format!("'{}' is no virtual name; wanted ephemeralN", shown(name)),
                ));
            }
        }
        wishes.push(Wish {
            device,
            no_device,
            virtual_name,
            ebs,
        });
    }
    Ok(wishes)
}

fn take_ebs(mapping: &mut Params, device: &str) -> Result<Option<Ebs>, ApiError> {
    let mut number = |name: &str| mapping.take_number(name);
    let (iops, size) = (number("Ebs.Iops")?, number("Ebs.VolumeSize")?);
    let throughput = number("Ebs.Throughput")?;
    for name in [
        "KmsKeyId",
        "OutpostArn",
        "AvailabilityZone",
        "AvailabilityZoneId",
        "VolumeInitializationRate",
    ] {
        if mapping.take(&format!("Ebs.{name}")).is_some() {
            return Err(wrong(
                device,
                &format!("{name} is not supported by CreateImage"),
            ));
        }
    }
    // Of no consequence: the simulated instance has one EBS card.
    let card = mapping.take_number("Ebs.EbsCardIndex")?;
    let ebs = Ebs {
        delete_on_termination: mapping.take_bool("Ebs.DeleteOnTermination")?,
        iops,
        snapshot: mapping.take("Ebs.SnapshotId"),
        size,
        kind: mapping.take("Ebs.VolumeType"),
        throughput,
        encrypted: mapping.take_bool("Ebs.Encrypted")?,
    };
    let given = card.is_some()
        || ebs.delete_on_termination.is_some()
        || ebs.iops.is_some()
        || ebs.snapshot.is_some()
        || ebs.size.is_some()
        || ebs.kind.is_some()
        || ebs.throughput.is_some()
        || ebs.encrypted.is_some();
    Ok(given.then_some(ebs))
}

/// The mappings of an image of these volumes, with the wishes. `snapshots` finds one of the caller's.
/// A volume of the instance has no snapshot yet.
pub(super) fn resolve<'a>(
    volumes: &[Volume],
    wishes: &[Wish],
    snapshots: impl Fn(&str) -> Option<&'a Snapshot>,
) -> Result<Vec<Mapping>, ApiError> {
    let mut mappings = Vec::new();
    for volume in volumes {
        let wish = wishes.iter().find(|wish| wish.device == volume.device);
        mappings.extend(existing(volume, wish)?);
    }
    let added = wishes
        .iter()
        .filter(|wish| volumes.iter().all(|volume| volume.device != wish.device));
    for wish in added.filter(|wish| !wish.no_device) {
        let volume = match &wish.ebs {
            Some(ebs) => Some(new_volume(&wish.device, ebs, &snapshots)?),
            None => None,
        };
        mappings.push(Mapping {
            device: wish.device.clone(),
            virtual_name: wish.virtual_name.clone(),
            volume,
        });
    }
    Ok(mappings)
}

/// The mapping of a volume that the instance has; `None` when it is left out.
fn existing(volume: &Volume, wish: Option<&Wish>) -> Result<Option<Mapping>, ApiError> {
    let device = volume.device;
    if wish.is_some_and(|wish| wish.no_device) {
        if device == ROOT_DEVICE {
            return Err(wrong(device, "the root device cannot be left out"));
        }
        return Ok(None);
    }
    if wish.is_some_and(|wish| wish.virtual_name.is_some()) {
        return Err(wrong(device, "the device is a volume of the instance"));
    }
    let ebs = wish.and_then(|wish| wish.ebs.as_ref());
    if let Some(ebs) = ebs {
        let unchanged = [
            (ebs.size.is_some_and(|size| size != volume.size), "size"),
            (
                ebs.kind.as_deref().is_some_and(|kind| kind != volume.kind),
                "type",
            ),
            (ebs.snapshot.is_some(), "snapshot"),
            (ebs.iops.is_some(), "IOPS"),
            (ebs.throughput.is_some(), "throughput"),
            // For an encrypted volume false is ignored.
            (
                ebs.encrypted == Some(true) && !volume.encrypted,
                "encryption",
            ),
        ];
        if let Some((_, what)) = unchanged.iter().find(|(changed, _)| *changed) {
            let why = format!(
                "the {what} of a volume of the instance cannot be changed; only DeleteOnTermination can"
            );
            return Err(wrong(device, &why));
        }
    }
    let delete = ebs.and_then(|ebs| ebs.delete_on_termination);
    Ok(Some(Mapping {
        device: device.to_owned(),
        virtual_name: None,
        volume: Some(MappedVolume {
            snapshot: None,
            size: volume.size,
            kind: volume.kind.to_owned(),
            iops: None,
            throughput: None,
            encrypted: volume.encrypted,
            delete_on_termination: delete.unwrap_or(volume.delete_on_termination),
        }),
    }))
}

fn new_volume<'a>(
    device: &str,
    ebs: &Ebs,
    snapshots: impl Fn(&str) -> Option<&'a Snapshot>,
) -> Result<MappedVolume, ApiError> {
    let snapshot = match &ebs.snapshot {
        None => None,
        Some(id) => Some(snapshots(id).ok_or_else(|| {
            let message = format!("The snapshot '{}' does not exist.", shown(id));
            ApiError::client("InvalidSnapshot.NotFound", message)
        })?),
    };
    if snapshot.is_some() && ebs.encrypted.is_some() {
        return Err(wrong(
            device,
            "the parameter encrypted must be omitted with a snapshot",
        ));
    }
    let Some(size) = ebs.size.or(snapshot.map(|snapshot| snapshot.size)) else {
        return Err(ApiError::missing("BlockDeviceMapping.Ebs.VolumeSize"));
    };
    if let Some(snapshot) = snapshot.filter(|snapshot| size < snapshot.size) {
        let why = format!(
            "the volume of {size} GiB is smaller than its snapshot of {} GiB",
            snapshot.size
        );
        return Err(wrong(device, &why));
    }
    let kind = ebs.kind.as_deref().unwrap_or(DEFAULT_TYPE);
    let known = VOLUME_TYPES.iter().find(|known| known.name == kind);
    let known =
        known.ok_or_else(|| wrong(device, &format!("'{}' is no type of volume", shown(kind))))?;
    known.check(device, size, ebs)?;
    Ok(MappedVolume {
        snapshot: ebs.snapshot.clone(),
        size,
        kind: kind.to_owned(),
        iops: ebs.iops,
        throughput: ebs.throughput,
        encrypted: ebs.encrypted.unwrap_or(false),
        delete_on_termination: ebs.delete_on_termination.unwrap_or(true),
    })
}

impl VolumeType {
    fn check(&self, device: &str, size: u32, ebs: &Ebs) -> Result<(), ApiError> {
        let name = self.name;
        let (least, most) = self.sizes;
        if !(least..=most).contains(&size) {
            return Err(wrong(
                device,
                &format!("a {name} volume has {least} to {most} GiB, not {size}"),
            ));
        }
        match (ebs.iops, self.iops) {
            (None, _) if self.needs_iops => {
                return Err(ApiError::missing("BlockDeviceMapping.Ebs.Iops"));
            }
            (Some(_), None) => {
                return Err(wrong(
                    device,
                    &format!("the parameter iops is not supported for {name} volumes"),
                ));
            }
            (Some(iops), Some((least, most))) if !(least..=most).contains(&iops) => {
                return Err(wrong(
                    device,
                    &format!("a {name} volume has {least} to {most} IOPS, not {iops}"),
                ));
            }
            _ => {}
        }
        match ebs.throughput {
            Some(_) if name != "gp3" => Err(wrong(
                device,
                &format!("the parameter throughput is not supported for {name} volumes"),
            )),
            Some(throughput) if !THROUGHPUT.contains(&throughput) => Err(wrong(
                device,
                &format!(
                    "a throughput is {} to {} MiB/s, not {throughput}",
                    THROUGHPUT.start(),
                    THROUGHPUT.end()
                ),
            )),
            _ => Ok(()),
        }
    }
}

fn wrong(device: &str, why: &str) -> ApiError {
    let message = format!("Invalid mapping of the device '{}': {why}", shown(device));
    ApiError::client("InvalidBlockDeviceMapping", message)
}
