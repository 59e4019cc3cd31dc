//! Where the kernel shows what VFIO needs: files of sysfs, device files, processes.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use afi_proto::Bdf;

use super::error::{Holder, Member, VfioError};

/// The driver of the kernel that gives functions to programs.
pub const DRIVER: &str = "vfio-pci";
/// The name of the groups of the mode in which there is no IOMMU (`drivers/vfio/group.c` of Linux).
const NO_IOMMU: &str = "vfio-noiommu";
/// Drivers that do no DMA, so that a group is usable beside them (`driver_managed_dma` in Linux).
const HARMLESS: [&str; 3] = [DRIVER, "pci-stub", "pcieport"];

/// The roots of the kernel's file systems.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(super) sys: PathBuf,
    pub(super) dev: PathBuf,
    proc: PathBuf,
}

impl Places {
    /// Those of a tree that is laid out as `/sys`. That of the running kernel has its neighbours;
    /// any other has them inside, which is for tests.
    pub(crate) fn of(sys: &Path) -> Self {
        let is_kernel = sys == Path::new("/sys");
        let beside = |name: &str| {
            if is_kernel {
                Path::new("/").join(name)
            } else {
                sys.join(name)
            }
        };
        Self {
            sys: sys.to_owned(),
            dev: beside("dev"),
            proc: beside("proc"),
        }
    }

    /// The directory of a function.
    pub(super) fn device(&self, bdf: Bdf) -> PathBuf {
        self.sys.join("bus/pci/devices").join(bdf.to_string())
    }

    /// The directory of a driver of PCI functions.
    pub(super) fn driver(&self, name: &str) -> PathBuf {
        self.sys.join("bus/pci/drivers").join(name)
    }

    /// The driver that a function is on.
    pub(super) fn driver_of(&self, bdf: Bdf) -> std::io::Result<Option<String>> {
        last_of_link(&self.device(bdf).join("driver"))
    }

    /// The group that a function is in.
    pub(super) fn group_of(&self, bdf: Bdf) -> Result<u32, VfioError> {
        let path = self.device(bdf).join("iommu_group");
        let name = last_of_link(&path).map_err(VfioError::file("read", &path))?;
        let name = name.ok_or_else(|| VfioError::NoIommu { path: path.clone() })?;
        let group = name.parse().map_err(|_| VfioError::Nonsense {
            found: format!("a link {} to '{name}'", path.display()),
            wanted: "one to the number of a group",
        })?;
        let kind = fs::read_to_string(self.group(group).join("name")).unwrap_or_default();
        if kind.trim_end() == NO_IOMMU {
            return Err(VfioError::NoIommuMode { group });
        }
        Ok(group)
    }

    /// The functions of a group, by name.
    pub(super) fn members(&self, group: u32) -> std::io::Result<Vec<Member>> {
        let mut members = Vec::new();
        for entry in fs::read_dir(self.group(group).join("devices"))? {
            let entry = entry?;
            members.push(Member {
                name: entry.file_name().to_string_lossy().into_owned(),
                driver: last_of_link(&entry.path().join("driver"))?,
            });
        }
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(members)
    }

    /// The functions of a group whose drivers are in the way of using it.
    pub(super) fn in_the_way(&self, group: u32) -> Vec<Member> {
        let members = self.members(group).unwrap_or_default();
        let does_dma = |member: &Member| {
            let driver = member.driver.as_deref();
            driver.is_some_and(|driver| !HARMLESS.contains(&driver))
        };
        members.into_iter().filter(does_dma).collect()
    }

    /// The file of a group.
    pub(super) fn group_file(&self, group: u32) -> PathBuf {
        self.dev.join("vfio").join(group.to_string())
    }

    /// Who has the file of a group open. Only root sees the processes of others.
    pub(super) fn holders(&self, group: u32) -> Vec<Holder> {
        let file = self.group_file(group);
        let mut holders: Vec<Holder> = entries(&self.proc)
            .filter_map(|process| {
                let pid = process.file_name()?.to_str()?.parse().ok()?;
                let has_it = |descriptor: PathBuf| {
                    fs::read_link(descriptor).is_ok_and(|target| target == file)
                };
                entries(&process.join("fd")).any(has_it).then(|| {
                    let command = fs::read_to_string(process.join("comm")).unwrap_or_default();
                    let command = command.trim_end().to_owned();
                    Holder { pid, command }
                })
            })
            .collect();
        holders.sort_by_key(|holder| holder.pid);
        holders
    }

    fn group(&self, group: u32) -> PathBuf {
        self.sys.join("kernel/iommu_groups").join(group.to_string())
    }
}

/// The entries of a directory; none when it cannot be read.
fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

/// The last part of what a link leads to; `None` when there is no such link.
fn last_of_link(path: &Path) -> std::io::Result<Option<String>> {
    match fs::read_link(path) {
        Ok(target) => {
            let last = target.file_name().unwrap_or_else(|| OsStr::new(""));
            Ok(Some(last.to_string_lossy().into_owned()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
