//! The PCI bus of the running kernel, through sysfs.
//!
//! Source: the kernel's `Documentation/ABI/testing/sysfs-bus-pci` and
//! `Documentation/PCI/sysfs-pci.rst`.
//!
//! Only functions of FPGA slots are shown, opened and removed: those with the ids of a management
//! function, and those in the place of an application function beside one. A function can go and
//! come back at any time, because somebody else rescans the bus; that is ordinary. A handle holds on
//! to the function that it was opened on: it never reaches another one that took its place.

mod attribute;
mod function;
mod grant;
mod identity;
mod report;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use afi_proto::Bdf;
use nix::errno::Errno;

use crate::bus::{Bus, Function, FunctionInfo, Watch};
use crate::capture::HostView;
use crate::vfio::bind::{self, Binding};
use crate::vfio::{self, VfioFunction};
use crate::watch::{Kind, ListingWatch};
use crate::{BusError, Deadline};
use function::SysfsFunction;
use tree::{Device, Missed, Tree};

/// Where the running kernel shows its devices.
const SYS: &str = "/sys";
/// Where locks on slots of this machine are kept (Filesystem Hierarchy Standard 3.0, 5.9).
const LOCKS: &str = "/run/lock/afi";
/// How long udev may take to give the files of a function that has come back to their group. Seen:
/// a few milliseconds; the kernel first gives the function its addresses, and udev may be at work on
/// other devices.
const GRANTED: Duration = Duration::from_secs(5);

/// The PCI bus of the running kernel, or what a tree of files shows of one.
#[derive(Debug)]
pub struct SysfsBus {
    tree: Tree,
    /// Functions that were made to come back, and when: their files are root's alone for a moment.
    renewed: Mutex<BTreeMap<Bdf, Instant>>,
}

impl SysfsBus {
    /// The bus of this machine.
    ///
    /// # Errors
    /// When sysfs is not mounted, or the machine has no PCI bus.
    pub fn open() -> Result<Self, BusError> {
        Self::at(Path::new(SYS))
    }

    /// The bus in a tree of files that is laid out as `/sys`. Locks on its slots are kept in `lock`
    /// in that tree.
    ///
    /// # Errors
    /// When there is no `bus/pci/devices` in it.
    pub fn at(root: &Path) -> Result<Self, BusError> {
        let tree = Tree::new(root);
        let path = tree.devices();
        match fs::metadata(&path) {
            Ok(_) => Ok(Self {
                tree,
                renewed: Mutex::default(),
            }),
            Err(source) => Err(BusError::NoBus { path, source }),
        }
    }

    /// Changes drivers, of functions of FPGA slots only.
    fn rebind(
        &self,
        app: Bdf,
        mgmt: Bdf,
        change: impl FnOnce(&vfio::Places) -> Result<Binding, bind::BindError>,
    ) -> Result<Binding, BusError> {
        for bdf in [app, mgmt] {
            match identity::identify(&self.tree, bdf) {
                Ok(_) => {}
                Err(Missed::Went) => return Err(BusError::NotFound { bdf }),
                Err(Missed::Failed(error)) => return Err(error),
            }
        }
        let places = vfio::Places::of(self.tree.root());
        change(&places).map_err(|source| BusError::Bind { bdf: app, source })
    }

    /// Sees that the kernel would not wait for the end of a program to remove a function.
    fn see_idle(&self, device: &Device) -> Result<(), Missed> {
        if device.link("driver")?.as_deref() != Some(vfio::DRIVER) {
            return Ok(());
        }
        let places = vfio::Places::of(self.tree.root());
        vfio::see_idle(&places, device.bdf).map_err(|error| error.of(device.bdf).into())
    }

    fn is_kernel(&self) -> bool {
        self.tree.root() == Path::new(SYS)
    }

    fn renewed(&self, bdf: Bdf) {
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        renewed.insert(bdf, Instant::now());
    }

    /// How long permissions on a function may be waited for. One that was removed or looked for here
    /// was within this user's rights, and will be again.
    fn patience(&self, bdf: Bdf) -> Option<Deadline> {
        let renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        let left = GRANTED.checked_sub(renewed.get(&bdf)?.elapsed())?;
        Some(Deadline::after(left))
    }

    /// The files that make the kernel look for functions near an address, the least work first:
    /// those on the same bus, those anywhere. (The file `rescan` of a bridge is about the bus that
    /// the bridge is on, not about the one behind it.)
    fn rescan_files(&self, near: Bdf) -> [PathBuf; 2] {
        let bus = format!("{:04x}:{:02x}", near.domain(), near.bus());
        let of_bus = self.tree.root().join("class/pci_bus").join(bus);
        [
            of_bus.join("rescan"),
            self.tree.root().join("bus/pci/rescan"),
        ]
    }
}

impl Bus for SysfsBus {
    fn name(&self) -> String {
        if self.is_kernel() {
            return "sysfs".to_owned();
        }
        format!("sysfs at {}", self.tree.root().display())
    }

    /// The functions of FPGA slots. A function that is none, and whose ids cannot be read, does not
    /// stand in the way; but when no slot is found at all, it may be why, and its error is told.
    fn functions(&self) -> Result<Vec<FunctionInfo>, BusError> {
        identity::functions(&self.tree)
    }

    fn open(&self, bdf: Bdf) -> Result<Arc<dyn Function>, BusError> {
        let opened = identity::identify(&self.tree, bdf)
            .and_then(|device| SysfsFunction::new(device, self.patience(bdf)));
        match opened {
            Ok(function) if function.is_on(vfio::DRIVER) => {
                let places = vfio::Places::of(self.tree.root());
                Ok(Arc::new(VfioFunction::new(places, Box::new(function))))
            }
            Ok(function) => Ok(Arc::new(function)),
            Err(Missed::Went) => Err(BusError::NotFound { bdf }),
            Err(Missed::Failed(error)) => Err(error),
        }
    }

    fn can_remove(&self, bdf: Bdf) -> Result<(), BusError> {
        match identity::identify(&self.tree, bdf).and_then(|device| self.see_idle(&device)) {
            Ok(()) | Err(Missed::Went) => Ok(()),
            Err(Missed::Failed(error)) => Err(error),
        }
    }

    fn remove(&self, bdf: Bdf) -> Result<(), BusError> {
        let removed = identity::identify(&self.tree, bdf).and_then(|device| {
            self.see_idle(&device)?;
            device.write_one("remove")
        });
        match removed {
            Ok(()) | Err(Missed::Went) => {
                self.renewed(bdf);
                Ok(())
            }
            Err(Missed::Failed(error)) => Err(error),
        }
    }

    fn rescan(&self, near: Bdf) -> Result<(), BusError> {
        let mut refused = None;
        for path in self.rescan_files(near) {
            match tree::write_one(&path) {
                Ok(()) => {
                    self.renewed(near);
                    return Ok(());
                }
                Err(errno) => {
                    tracing::debug!(path = %path.display(), %errno, "not rescanned");
                    // That a file is missing tells less than that another one is refused.
                    if refused.is_none() || errno != Errno::ENOENT {
                        refused.get_or_insert(BusError::io("write 1 to", path)(errno.into()));
                    }
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }

    fn watch(&self) -> Result<Box<dyn Watch>, BusError> {
        let devices = self.tree.devices();
        let kind = match self.is_kernel() {
            true => Kind::Kernel,
            false => Kind::Files,
        };
        let watch = ListingWatch::new(devices.clone(), kind);
        Ok(Box::new(watch.map_err(BusError::io("list", devices))?))
    }

    fn lock_directory(&self) -> PathBuf {
        if self.is_kernel() {
            return LOCKS.into();
        }
        self.tree.root().join("lock")
    }

    fn bind(&self, app: Bdf, mgmt: Bdf, deadline: &Deadline) -> Result<Binding, BusError> {
        self.rebind(app, mgmt, |places| {
            bind::bind(places, &bind::RunningKernel, app, mgmt, deadline)
        })
    }

    fn unbind(&self, app: Bdf, mgmt: Bdf, deadline: &Deadline) -> Result<Binding, BusError> {
        self.rebind(app, mgmt, |places| {
            bind::unbind(places, &bind::RunningKernel, app, mgmt, deadline)
        })
    }

    fn host_view(&self, of: Option<Bdf>) -> HostView {
        match of {
            Some(bdf) => report::function(&self.tree, bdf),
            None => report::machine(&self.tree, &self.lock_directory()),
        }
    }

    fn function(&self, bdf: Bdf) -> Result<Option<FunctionInfo>, BusError> {
        let info = identity::identify(&self.tree, bdf).and_then(|device| identity::info(&device));
        match info {
            Ok(info) => Ok(Some(info)),
            Err(Missed::Went | Missed::Failed(BusError::NotFpga { .. })) => Ok(None),
            Err(Missed::Failed(error)) => Err(error),
        }
    }
}
