//! What a report on a fault needs of sysfs beside what the bus itself reads: small texts, links and
//! permissions.
//!
//! Source: `Documentation/ABI/testing/sysfs-bus-pci`, `drivers/firmware/dmi-id.c` and
//! `security/lockdown/lockdown.c` of Linux.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use afi_proto::Bdf;
use nix::fcntl::OFlag;

use super::identity;
use super::tree::{Device, Tree};
use crate::capture::{FileRecord, HostView};

/// Attributes of a function whose text matters.
const TEXTS: [&str; 23] = [
    "broken_parity_status",
    "class",
    "current_link_speed",
    "current_link_width",
    "d3cold_allowed",
    "device",
    "driver_override",
    "enable",
    "irq",
    "local_cpulist",
    "max_link_speed",
    "max_link_width",
    "msi_bus",
    "numa_node",
    "power/control",
    "power/runtime_status",
    "power_state",
    "reset_method",
    "resource",
    "revision",
    "subsystem_device",
    "subsystem_vendor",
    "vendor",
];
/// Files of a function of which only the permissions matter.
const PERMISSIONS: [&str; 16] = [
    "config",
    "remove",
    "rescan",
    "reset",
    "resource0",
    "resource0_wc",
    "resource1",
    "resource1_wc",
    "resource2",
    "resource2_wc",
    "resource3",
    "resource3_wc",
    "resource4",
    "resource4_wc",
    "resource5",
    "resource5_wc",
];
/// Links of a function whose ends matter.
const LINKS: [&str; 3] = ["driver", "driver/module", "iommu_group"];
/// Files of the machine: which instance type it is, and whether its kernel is locked down. The
/// serial numbers and tags beside them name the instance, and are not read.
const MACHINE: [&str; 3] = [
    "class/dmi/id/product_name",
    "class/dmi/id/sys_vendor",
    "kernel/security/lockdown",
];
/// Files of the machine of which only the permissions matter.
const MACHINE_PERMISSIONS: [&str; 1] = ["bus/pci/rescan"];
/// The longest text that a file of sysfs holds: a page (`Documentation/filesystems/sysfs.rst`).
const LONGEST: u64 = 4096;

/// What sysfs tells of a function of a slot.
pub(super) fn function(tree: &Tree, bdf: Bdf) -> HostView {
    let Ok(device) = identity::identify(tree, bdf) else {
        return HostView::default();
    };
    let texts = TEXTS.iter().map(|name| (*name, true));
    let permissions = PERMISSIONS.iter().map(|name| (*name, false));
    let files = texts.chain(permissions).filter_map(|(name, with_text)| {
        let record = look(&device.file(name), with_text)?;
        Some((name.to_owned(), record))
    });
    HostView {
        files: files.collect(),
        links: LINKS
            .iter()
            .filter_map(|name| link(&device, name))
            .collect(),
    }
}

/// What sysfs tells of the machine, and who may use the directory of the locks.
pub(super) fn machine(tree: &Tree, locks: &Path) -> HostView {
    let texts = MACHINE.iter().map(|name| (*name, true));
    let permissions = MACHINE_PERMISSIONS.iter().map(|name| (*name, false));
    let mut view = HostView::default();
    for (name, with_text) in texts.chain(permissions) {
        if let Some(record) = look(&tree.root().join(name), with_text) {
            view.files.insert(name.to_owned(), record);
        }
    }
    if let Some(record) = look(locks, false) {
        view.files.insert("locks".to_owned(), record);
    }
    view
}

/// A file, its permissions, and its text if that is wanted; `None` when it is not there.
fn look(path: &Path, with_text: bool) -> Option<FileRecord> {
    let data = fs::symlink_metadata(path).ok()?;
    let mut record = FileRecord {
        mode: Some(format!("{:04o}", data.mode() & 0o7777)),
        owner: Some(data.uid()),
        group: Some(data.gid()),
        ..FileRecord::default()
    };
    if with_text {
        match text(path) {
            Ok(text) => record.text = Some(text),
            Err(error) => record.failure = Some(error.to_string()),
        }
    }
    Some(record)
}

/// The text of a file, as far as a file of sysfs can be long; what is not UTF-8 is replaced.
fn text(path: &Path) -> std::io::Result<String> {
    // Never through a link, and never waiting for what is no attribute.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)?;
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.trim_end_matches('\n').to_owned())
}

fn link(device: &Device, name: &str) -> Option<(String, String)> {
    let end = device.link(name).ok().flatten()?;
    Some((name.to_owned(), end))
}
