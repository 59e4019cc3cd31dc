//! Captures: what a bug report needs of an instance, in one file, and a bus that is opened from it.
//!
//! A capture is taken on the instance with a [`RecordingBus`] around its bus, and written as JSON
//! ([`Capture`]). Elsewhere a [`CaptureBus`] shows the same slots: configuration space is what was
//! read, and the mailbox of a management function gives the answers that the shell gave, word by
//! word. Whatever would change a slot, or is not in the file, is refused.

mod bus;
mod error;
mod file;
mod format;
mod hex;
mod record;
mod replay;
#[cfg(test)]
mod tests;

pub use bus::CaptureBus;
pub use error::{CaptureError, RecordedFailure};
pub use file::MOST_BYTES;
pub use format::{
    Bytes, Capture, ConfigurationFile, Exchange, FileRecord, FunctionRecord, HostView, Ids,
    LockHolder, Machine, MailboxRecord, Response, SCHEMA_VERSION, SettingsRecord, Tool,
};
pub use record::RecordingBus;
