//! Classes and remedies of what goes wrong with the memory of a card.

use afi_pcie::card_memory::{CardMemoryError, PassedOver, WhyNot};
use afi_pcie::cdev::CdevError;
use afi_pcie::dma::DmaMemoryError;
use afi_pcie::xdma::{DmaError, OpenError};
use nix::errno::Errno;

use super::bus::GONE;
use super::{Class, Problem, of_io};

impl Problem for CardMemoryError {
    fn class(&self) -> Class {
        match self {
            Self::Function { source, .. } | Self::Pcis { source } => source.class(),
            Self::Gone { .. } => Class::DeviceGone,
            Self::Cleared { .. } | Self::WithoutMemory { .. } | Self::Changed { .. } => {
                Class::Mismatch
            }
            Self::Outside { .. } | Self::NotByEngine { .. } => Class::Usage,
            // What is said of the last way, which every slot has.
            Self::NoPath { passed_over, .. } => {
                let last = passed_over.last();
                last.map_or(Class::Failed, |PassedOver { why, .. }| why.class())
            }
            Self::Unavailable { source, .. } => source.class(),
            Self::Xdma { source } => source.class(),
            Self::Memory { source } => source.class(),
            Self::Cdev { source } => source.class(),
            Self::Wait { source } => source.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Function { source, .. } | Self::Pcis { source } => return source.remedy(),
            Self::Gone { .. } => GONE,
            Self::Cleared { .. } => "load an image first: 'afi load SLOT IMAGE'",
            Self::WithoutMemory { .. } => {
                "if it is a design of your own that has kept these ids, say what memory it has: \
                 --memory-map BASE+SIZE"
            }
            Self::Outside { .. } => {
                "stay inside the memory of the design, or say what memory it has: \
                 --memory-map BASE+SIZE"
            }
            Self::Changed { .. } => {
                "load the image again; processes that use a slot have to hold its lock"
            }
            Self::NoPath { passed_over, .. } => {
                return passed_over.last().and_then(|last| last.why.remedy());
            }
            Self::Unavailable { source, .. } => return source.remedy(),
            Self::Xdma { source } => return source.remedy(),
            Self::Memory { source } => return source.remedy(),
            Self::Cdev { source } => return source.remedy(),
            Self::Wait { source } => return source.remedy(),
            Self::NotByEngine { .. } => return None,
        };
        Some(text.to_owned())
    }
}

impl Problem for WhyNot {
    fn class(&self) -> Class {
        match self {
            Self::DriverHas { .. } => Class::Busy,
            Self::NoDriver => Class::NotFound,
            Self::Engine { source } => source.class(),
            Self::NoDma { source } => source.class(),
            Self::Cdev { source } => source.class(),
            Self::Pcis { source } => source.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::DriverHas { driver } => Some(format!(
                "use its device files with '--path cdev', or unbind the driver '{driver}'"
            )),
            Self::NoDriver => Some("choose another --path, or none for the best".to_owned()),
            Self::Engine { source } => source.remedy(),
            Self::NoDma { source } => source.remedy(),
            Self::Cdev { source } => source.remedy(),
            Self::Pcis { source } => source.remedy(),
        }
    }
}

impl Problem for OpenError {
    fn class(&self) -> Class {
        match self {
            Self::Function { source, .. } => source.class(),
            Self::Register { source, .. } => source.class(),
            Self::NoEngine { .. } | Self::NoChannel { .. } => Class::NotFound,
            Self::Gone { .. } => Class::DeviceGone,
            Self::InUse { .. } | Self::Taken { .. } => Class::Busy,
            Self::LockFile { source, .. } => of_io(source),
            Self::Stream { .. } | Self::Options { .. } => Class::Usage,
            Self::Memory { source, .. } => source.class(),
            Self::Start { source, .. } => source.class(),
            Self::DoesNotStop { .. } => Class::Failed,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Function { source, .. } => return source.remedy(),
            Self::Register { source, .. } => return source.remedy(),
            Self::Memory { source, .. } => return source.remedy(),
            Self::Start { source, .. } => return source.remedy(),
            Self::NoEngine { .. } => "use '--path pcis', or no --path for the best there is",
            Self::Gone { .. } => GONE,
            Self::InUse { .. } => "end the other process, or wait for it",
            Self::LockFile { .. } => {
                "run this as root, or as a member of the group that owns the directory"
            }
            Self::DoesNotStop { .. } => "clear the slot and load the image again",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl Problem for DmaError {
    fn class(&self) -> Class {
        match self {
            Self::Ended { source, .. } => source.class(),
            Self::Gone { .. } => Class::DeviceGone,
            Self::NoEngine { .. } => Class::Mismatch,
            Self::Register { source, .. } => source.class(),
            Self::Function { source, .. } => source.class(),
            Self::Buffer { source } => source.class(),
            Self::Full { .. } => Class::Busy,
            Self::Range { .. }
            | Self::CardRange { .. }
            | Self::NoBuffer { .. }
            | Self::Empty
            | Self::TooLong { .. }
            | Self::WrongWay { .. } => Class::Usage,
            _ => Class::Failed,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Ended { source, .. } => return source.remedy(),
            Self::Register { source, .. } => return source.remedy(),
            Self::Function { source, .. } => return source.remedy(),
            Self::Gone { .. } => GONE,
            Self::Engine { .. } => {
                "see that the design answers at these addresses ('afi describe SLOT --metrics' \
                 counts what it did not answer), and try again"
            }
            Self::NoEngine { .. } | Self::Unstoppable { .. } => {
                "clear the slot and load the image again"
            }
            Self::Stopped { .. }
            | Self::Reset { .. }
            | Self::Aborted { .. }
            | Self::BusMasteringOff { .. } => "see who else uses the slot, and try again",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl Problem for DmaMemoryError {
    fn class(&self) -> Class {
        match self {
            Self::Map { source, .. } => source.class(),
            Self::Memory { source, .. } | Self::Share { source } => of_io(source),
            _ => Class::Failed,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Map { source, .. } => Some(source.remedy().unwrap_or_else(|| {
                "bind the function to vfio-pci ('afi bind SLOT') so that it may reach memory, or \
                 use '--path pcis'"
                    .to_owned()
            })),
            _ => None,
        }
    }
}

impl Problem for CdevError {
    fn class(&self) -> Class {
        match self {
            Self::NoDriver { .. } | Self::NotBound { .. } | Self::NoChannel { .. } => {
                Class::NotFound
            }
            Self::Io { source, .. } => match errno(source) {
                Some(Errno::EBUSY) => Class::Busy,
                _ => of_io(source),
            },
            Self::Transfer { source, .. } => match errno(source) {
                Some(Errno::ENODEV | Errno::ENXIO) => Class::DeviceGone,
                Some(Errno::EBUSY) => Class::Busy,
                _ => of_io(source),
            },
            Self::Stuck { .. } => Class::Failed,
            Self::Wait { source } => source.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::NoDriver { .. } | Self::NotBound { .. } | Self::NoChannel { .. } => {
                "choose another --path, or none for the best"
            }
            Self::Io { source, path, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                return Some(format!(
                    "run this as root, or let your group use {}",
                    path.display()
                ));
            }
            Self::Transfer { .. } => "'dmesg' shows what the driver says of it",
            Self::Wait { source } => return source.remedy(),
            Self::Io { .. } | Self::Stuck { .. } => return None,
        };
        Some(text.to_owned())
    }
}

fn errno(error: &std::io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}
