//! What every error of this crate can tell beside its text: its class, and what to do.

mod access;
mod bus;
mod capture;
mod card_memory;
mod shell;
mod vfio;

pub(crate) use access::to_locks;
pub(crate) use bus::of_io;

/// The class of a failure, which is also the exit code of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Tried, and did not work.
    Failed = 1,
    /// Asked for wrongly.
    Usage = 2,
    /// No such slot, image or device.
    NotFound = 3,
    /// The system or the cloud does not allow it.
    NotPermitted = 4,
    /// Somebody else is using it.
    Busy = 5,
    /// Not done in time.
    TimedOut = 6,
    /// What is there is not what was wanted: ids, shell, family.
    Mismatch = 7,
    /// The device does not answer any more.
    DeviceGone = 8,
    /// The caller ended it, by Ctrl-C for example: 128 and the number of SIGINT, as shells count.
    Interrupted = 130,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 9] = [
        Self::Failed,
        Self::Usage,
        Self::NotFound,
        Self::NotPermitted,
        Self::Busy,
        Self::TimedOut,
        Self::Mismatch,
        Self::DeviceGone,
        Self::Interrupted,
    ];

    /// The exit code.
    pub const fn exit_code(self) -> u8 {
        self as u8
    }

    /// Its name, as the JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not-found",
            Self::NotPermitted => "not-permitted",
            Self::Busy => "busy",
            Self::TimedOut => "timed-out",
            Self::Mismatch => "mismatch",
            Self::DeviceGone => "device-gone",
            Self::Interrupted => "interrupted",
        }
    }

    /// What it means, in a few words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Failed => "it was tried and did not work",
            Self::Usage => "it was asked for wrongly",
            Self::NotFound => "there is no such slot, image or device",
            Self::NotPermitted => "the system or the cloud does not allow it",
            Self::Busy => "somebody else is using the slot",
            Self::TimedOut => "it was not done in time",
            Self::Mismatch => "what is there is not what was wanted: ids, shell or family",
            Self::DeviceGone => "the device does not answer any more",
            Self::Interrupted => "it was interrupted",
        }
    }
}

/// An error that knows its class and a way on.
pub trait Problem: std::error::Error {
    /// Its class.
    fn class(&self) -> Class;

    /// What to do about it, as a sentence without a capital and a full stop; `None` when the text
    /// says it all.
    fn remedy(&self) -> Option<String>;
}
