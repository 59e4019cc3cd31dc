//! Classes and remedies of what the bus reports.

use std::io;
use std::path::Path;

use afi_pcie::{BarError, BusError, Ended};

use nix::errno::Errno;

use super::{Class, Problem, access};

impl Problem for Ended {
    fn class(&self) -> Class {
        match self {
            Self::TimedOut { .. } => Class::TimedOut,
            Self::Cancelled => Class::Interrupted,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::TimedOut { .. } => Some("allow more time with --timeout".to_owned()),
            Self::Cancelled => None,
        }
    }
}

impl Problem for BusError {
    fn class(&self) -> Class {
        match self {
            Self::NoBus { source, .. } | Self::Io { source, .. } => of_io(source),
            Self::NotFound { .. }
            | Self::NotFpga { .. }
            | Self::NoBar { .. }
            | Self::NoConfig { .. } => Class::NotFound,
            Self::InUse { .. } | Self::DriverBound { .. } => Class::Busy,
            Self::HeaderOnly { .. } => Class::NotPermitted,
            Self::Gone { .. } => Class::DeviceGone,
            Self::TimedOut { .. } => Class::TimedOut,
            Self::Wait { source, .. } => source.class(),
            Self::Bar { source, .. } => source.class(),
            Self::Vfio { source, .. } => source.class(),
            Self::Bind { source, .. } => source.class(),
            Self::Unsupported { .. } | Self::NoDrivers { .. } => Class::Usage,
            Self::Capture { source, .. } => source.class(),
            Self::Recorded { source } => source.class(),
            Self::Refused { .. }
            | Self::Protocol { .. }
            | Self::Nonsense { .. }
            | Self::DecodeOff { .. }
            | Self::Unassigned { .. }
            | Self::NoReset { .. } => Class::Failed,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::NoBus { .. } => {
                "name the bus with --bus or AFI_BUS: 'sysfs' on an FPGA instance, \
                 'socket:DIR' with a simulated one"
            }
            Self::NotFound { .. } | Self::NotFpga { .. } => {
                "'afi list' shows the slots and their functions"
            }
            Self::InUse { .. } => "end the other process, or wait for it",
            Self::Gone { .. } => GONE,
            Self::Io { path, source, .. } if path.starts_with("/sys") => {
                return refused(path, source);
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run this as root, or as a member of the group that owns the device's files"
            }
            Self::Wait { source, .. } => return source.remedy(),
            Self::TimedOut { .. } => "allow more time with --timeout",
            Self::HeaderOnly { .. } => {
                "run this as root: the kernel shows the rest only to processes with CAP_SYS_ADMIN, \
                 whatever the mode of the file"
            }
            Self::Nonsense { .. } => {
                "this is the kernel's own account of the device: remove and rescan it, or restart \
                 the instance"
            }
            Self::DecodeOff { .. } => GONE,
            Self::Unassigned { .. } => {
                "remove and rescan the function; if that does not help, restart with 'pci=realloc' \
                 on the kernel's command line"
            }
            Self::DriverBound { bdf, driver, .. } => {
                return Some(format!(
                    "unbind the driver: echo {bdf} | sudo tee /sys/bus/pci/drivers/{driver}/unbind"
                ));
            }
            Self::Capture { source, .. } => return source.remedy(),
            Self::Vfio { source, .. } => return source.remedy(),
            Self::Bind { source, .. } => return source.remedy(),
            Self::NoReset { .. } => "clear the slot and load the image again",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl Problem for BarError {
    fn class(&self) -> Class {
        match self {
            Self::OutOfBounds { .. } | Self::Misaligned { .. } | Self::NotCaptured { .. } => {
                Class::Usage
            }
            Self::Unreachable { .. } => Class::DeviceGone,
            Self::Recorded { source } => source.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::OutOfBounds { .. } => {
                Some("an access has to begin and end inside the BAR".to_owned())
            }
            Self::Misaligned { size, .. } => {
                Some(format!("the offset has to be a multiple of {size}"))
            }
            Self::Unreachable { .. } => Some(GONE.to_owned()),
            Self::NotCaptured { .. } | Self::Recorded { .. } => None,
        }
    }
}

/// What to do when the kernel refuses an operation on one of its own files.
fn refused(path: &Path, error: &io::Error) -> Option<String> {
    let text = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EACCES) => return Some(access::to_device(path)),
        Some(Errno::EPERM) => {
            "run this as root; where root is refused, too, the kernel is locked down (Secure Boot) \
             or the container is not privileged"
        }
        Some(Errno::EROFS) => {
            "/sys is mounted read-only, as in a container that is not privileged: mount it writable, \
             or run this outside"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// What to do when a card does not answer.
pub(super) const GONE: &str =
    "reset the slot or rescan the bus; if it stays away, stop and start the instance";

/// The class of what the system said about a file.
pub(crate) fn of_io(error: &io::Error) -> Class {
    match error.kind() {
        io::ErrorKind::NotFound => Class::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Class::NotPermitted,
        io::ErrorKind::TimedOut => Class::TimedOut,
        _ => Class::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_refuses_comes_with_what_helps() {
        let refused = |errno: Errno| {
            let source = io::Error::from(errno);
            BusError::io("write 1 to", "/sys/bus/pci/rescan")(source)
        };
        for (errno, class, helps) in [
            (Errno::EACCES, Class::NotPermitted, "sudo"),
            (Errno::EPERM, Class::NotPermitted, "Secure Boot"),
            (Errno::EROFS, Class::NotPermitted, "mount it writable"),
        ] {
            let error = refused(errno);
            assert_eq!(error.class(), class);
            assert!(error.remedy().unwrap().contains(helps), "{error}");
        }
        assert_eq!(refused(Errno::EIO).remedy(), None);
    }

    #[test]
    fn a_driver_in_the_way_comes_with_the_command_that_unbinds_it() {
        let error = BusError::DriverBound {
            bdf: "0000:00:1d.0".parse().unwrap(),
            driver: "xdma".to_owned(),
            path: "/sys/bus/pci/devices/0000:00:1d.0/resource0".into(),
            source: Errno::EINVAL.into(),
        };
        assert_eq!(error.class(), Class::Busy);
        let command = "echo 0000:00:1d.0 | sudo tee /sys/bus/pci/drivers/xdma/unbind";
        assert!(error.remedy().unwrap().ends_with(command));
    }
}
