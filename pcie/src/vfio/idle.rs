//! Whether a program uses a function by VFIO.
//!
//! The kernel removes a function on `vfio-pci` only when nobody uses it any more; until then the one
//! who asked for it hangs, cannot be ended, and every other removal and rescan on the machine waits
//! behind it (`vfio_unregister_group_dev` in `drivers/vfio/vfio_main.c` of Linux, under
//! `pci_lock_rescan_remove`). So it has to be known before.

use std::fs::File;
use std::io::ErrorKind;

use afi_proto::Bdf;

use super::error::VfioError;
use super::places::Places;

/// Sees that nobody uses a function that is on `vfio-pci`.
///
/// The file of a group takes one user at a time, and none while one of its functions is used by the
/// newer interface without groups (`vfio_group_fops_open` in `drivers/vfio/group.c`). To open it
/// does nothing to the functions in it.
///
/// # Errors
/// When somebody does, or that cannot be told.
pub(crate) fn see_idle(places: &Places, bdf: Bdf) -> Result<(), VfioError> {
    let (group, path) = match places.group_of(bdf) {
        Ok(group) => (group, places.group_file(group)),
        Err(VfioError::NoIommuMode { group }) => {
            let file = places.dev.join("vfio").join(format!("noiommu-{group}"));
            (group, file)
        }
        Err(error) => return Err(error),
    };
    match File::options().read(true).write(true).open(&path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::ResourceBusy => Err(VfioError::Busy {
            group,
            holders: places.holders(group),
        }),
        Err(error) => Err(VfioError::file("see whether anybody uses", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_group_that_can_be_opened_is_idle_and_one_that_cannot_be_told_is_not() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let app = "0000:00:1d.0".parse().unwrap();
        let places = Places::of(root.path());
        assert!(matches!(
            see_idle(&places, app),
            Err(VfioError::NoIommu { .. })
        ));
        fs::create_dir_all(path("bus/pci/devices/0000:00:1d.0")).unwrap();
        let group = "../../../../kernel/iommu_groups/7";
        symlink(group, path("bus/pci/devices/0000:00:1d.0/iommu_group")).unwrap();
        assert!(matches!(
            see_idle(&places, app),
            Err(VfioError::File { path, .. }) if path.ends_with("vfio/7")
        ));
        fs::create_dir_all(path("dev/vfio")).unwrap();
        fs::write(path("dev/vfio/7"), "").unwrap();
        assert!(see_idle(&places, app).is_ok());
    }
}
