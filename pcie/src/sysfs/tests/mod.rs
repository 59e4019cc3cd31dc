//! The sysfs bus, on trees of files that look like `/sys`.

mod arbitrary;
mod fake_sys;
mod functions;
mod grant;
mod listing;
mod permissions;
mod report;
mod vfio;
