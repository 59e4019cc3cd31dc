//! Classes and remedies of what VFIO reports.

use std::io::ErrorKind;

use afi_pcie::vfio::VfioError;
use afi_pcie::vfio::bind::BindError;
use nix::errno::Errno;

use super::{Class, Problem, of_io};

impl Problem for VfioError {
    fn class(&self) -> Class {
        match self {
            Self::NoModule { .. } => Class::NotFound,
            Self::NotViable { .. } | Self::Busy { .. } => Class::Busy,
            Self::NoIommu { .. } | Self::NoIommuMode { .. } | Self::NoInterruptRemapping => {
                Class::NotPermitted
            }
            Self::LockedMemory { .. } => Class::NotPermitted,
            Self::OutsideIova { .. }
            | Self::NotPages { .. }
            | Self::Overlap { .. }
            | Self::NoVector { .. } => Class::Usage,
            Self::Refused { source, .. } if *source == Errno::ENODEV => Class::DeviceGone,
            Self::File { source, .. } => of_io(source),
            Self::Version { .. }
            | Self::TooManyMaps
            | Self::NoVectorsLeft { .. }
            | Self::Nonsense { .. }
            | Self::Refused { .. } => Class::Failed,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::NoIommu { .. } | Self::NoIommuMode { .. } => WITHOUT_IOMMU,
            Self::NotViable { others, .. } => {
                let names: Vec<&str> = others.iter().map(|other| other.name.as_str()).collect();
                return Some(format!(
                    "take {} off the driver: 'afi bind SLOT' does that for the functions of a slot",
                    names.join(" and ")
                ));
            }
            Self::Busy { .. } => "end that process, or wait for it",
            Self::NoModule { module, .. } => {
                return Some(format!("load it: sudo modprobe {module}"));
            }
            Self::NoInterruptRemapping => {
                "switch interrupt remapping on in the firmware; where the machine has none, and all \
                 its programs and images are trusted, VFIO can be told to go on without: sudo \
                 modprobe vfio_iommu_type1 allow_unsafe_interrupts=1"
            }
            Self::LockedMemory { .. } => {
                "raise the limit (ulimit -l, or LimitMEMLOCK= of a service), or map less at a time"
            }
            Self::TooManyMaps => {
                "map fewer and larger buffers, or raise the limit: parameter dma_entry_limit of the \
                 module vfio_iommu_type1"
            }
            Self::File { path, source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                return Some(format!(
                    "run this as root, or let your group use {} (udev rules)",
                    path.display()
                ));
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl Problem for BindError {
    fn class(&self) -> Class {
        match self {
            Self::NotPossible { source } => source.class(),
            Self::Order { source, .. } | Self::Look { source, .. } => of_io(source),
            Self::Unfinished { source, .. } => source.class(),
            Self::OtherDriver { .. } => Class::Failed,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::NotPossible { source } => return source.remedy(),
            Self::Order { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                "run this as root: only root can change drivers"
            }
            Self::Unfinished { .. } => {
                "a program may be using the function: end it, and see what the kernel says (dmesg)"
            }
            Self::OtherDriver { .. } => "see why the kernel refused it: dmesg",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// What there is where no IOMMU is on.
const WITHOUT_IOMMU: &str = "switch the IOMMU on (firmware, and 'intel_iommu=on' or 'amd_iommu=on' \
     with 'iommu=pt' on the kernel's command line; virtual instances often have none); or use the \
     kernel's xdma driver, whose devices need no IOMMU; or the copies through BAR4, which need no \
     DMA. VFIO's no-IOMMU mode is not used: with it a card can write to all memory of the machine";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_iommu_every_other_way_is_named() {
        let error = VfioError::NoIommu {
            path: "/sys/bus/pci/devices/0000:00:1d.0/iommu_group".into(),
        };
        assert_eq!(error.class(), Class::NotPermitted);
        let remedy = error.remedy().unwrap();
        for way in ["intel_iommu=on", "xdma driver", "BAR4", "no-IOMMU mode"] {
            assert!(remedy.contains(way), "{way}: {remedy}");
        }
    }
}
