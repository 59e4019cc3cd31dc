//! How values are written in JSON: durations as numbers of milliseconds, ids as text such as
//! `0x1d0f` (as the EC2 API writes them), statuses and errors as name and number.

use std::time::Duration;

use afi_proto::PciIds;
use afi_proto::mailbox::{ErrorCode, SlotStatus};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

/// Milliseconds, to the microsecond.
pub(crate) fn millis<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(duration.as_micros() as f64 / 1000.0)
}

/// Milliseconds, or null.
pub(crate) fn optional_millis<S: Serializer>(
    duration: &Option<Duration>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => millis(duration, to),
        None => to.serialize_none(),
    }
}

/// The four ids of a function.
pub(crate) fn ids<S: Serializer>(ids: &PciIds, to: S) -> Result<S::Ok, S::Error> {
    let mut object = to.serialize_struct("PciIds", 4)?;
    object.serialize_field("vendor", &hex16(ids.vendor))?;
    object.serialize_field("device", &hex16(ids.device))?;
    object.serialize_field("subsystem_vendor", &hex16(ids.subsystem_vendor))?;
    object.serialize_field("subsystem", &hex16(ids.subsystem))?;
    object.end()
}

/// The status of a slot.
pub(crate) fn status<S: Serializer>(status: &SlotStatus, to: S) -> Result<S::Ok, S::Error> {
    named(status.name(), status.0, to)
}

/// An error of the shell.
pub(crate) fn error<S: Serializer>(error: &ErrorCode, to: S) -> Result<S::Ok, S::Error> {
    named(error.name(), error.0, to)
}

/// An error of the shell, or null.
pub(crate) fn optional_error<S: Serializer>(
    of: &Option<ErrorCode>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match of {
        Some(of) => error(of, to),
        None => to.serialize_none(),
    }
}

/// 16 bits as `0x1d0f`.
pub(crate) fn hex16(value: u16) -> String {
    format!("{value:#06x}")
}

fn named<S: Serializer>(name: &'static str, code: i32, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Named {
        name: &'static str,
        code: i32,
    }
    Named { name, code }.serialize(to)
}
