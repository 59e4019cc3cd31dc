//! Classes and remedies of what a slot's shell reports.

use afi_pcie::mailbox::MailboxError;
use afi_proto::mailbox::ErrorCode;

use super::bus::GONE;
use super::{Class, Problem};

impl Class {
    /// The class of an error of the shell.
    ///
    /// `invalid-afi-id` is [`Class::NotFound`]: the shell does not tell an unknown image from one
    /// that this account may not load.
    pub const fn of_shell(error: ErrorCode) -> Self {
        match error {
            ErrorCode::BUSY | ErrorCode::HARDWARE_BUSY => Self::Busy,
            ErrorCode::INVALID_AFI_ID => Self::NotFound,
            ErrorCode::LOAD_TIMEOUT | ErrorCode::TIMED_OUT => Self::TimedOut,
            ErrorCode::INVALID_API_VERSION
            | ErrorCode::CL_ID_MISMATCH
            | ErrorCode::SHELL_NOT_SUPPORTED => Self::Mismatch,
            ErrorCode::PCI_DEVICE_MISSING | ErrorCode::UNRESPONSIVE => Self::DeviceGone,
            ErrorCode::INCOMPATIBLE_FLAGS
            | ErrorCode::INVALID_CLKGEN_INPUT
            | ErrorCode::INVALID_ARGUMENT => Self::Usage,
            _ => Self::Failed,
        }
    }
}

impl Problem for MailboxError {
    fn class(&self) -> Class {
        match self {
            Self::Open { source, .. } => source.class(),
            Self::Register { source, .. } => source.class(),
            Self::Gone { .. } => Class::DeviceGone,
            Self::TimedOut { .. } => Class::TimedOut,
            Self::Cancelled { .. } => Class::Interrupted,
            Self::Shell { error, .. } => Class::of_shell(*error),
            Self::OnlyStale { .. } => Class::Busy,
            Self::Length { .. } | Self::Malformed { .. } | Self::WrongOpcode { .. } => {
                Class::Failed
            }
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Open { source, .. } => return source.remedy(),
            Self::Register { source, .. } => return source.remedy(),
            Self::Gone { .. } => GONE,
            Self::TimedOut { .. } => {
                "try again; if the shell stays silent, stop and start the instance"
            }
            Self::Cancelled { .. } => return None,
            Self::Shell { error, .. } => error.remedy(),
            Self::OnlyStale { .. } => {
                "stop what else talks to the slot's mailbox without taking its lock, \
                 the vendor's fpga-* tools for example"
            }
            Self::Length { .. } | Self::Malformed { .. } | Self::WrongOpcode { .. } => {
                "try again, and see that nothing else talks to the slot's mailbox; \
                 if it stays, stop and start the instance"
            }
        };
        Some(text.to_owned())
    }
}
