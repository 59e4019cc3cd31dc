//! Lets a group use the files of a function, so that its members need not be root.
//!
//! The kernel makes these files anew, and root's alone, each time it finds a function; so this is
//! done for each function that appears, by a rule of udev. The message that udev acts on is sent when
//! the function is listed; the files of its BARs are made after that, and are waited for.

use std::path::PathBuf;
use std::time::Duration;

use afi_proto::Bdf;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::unistd::{Gid, chown};

use super::SysfsBus;
use super::attribute::{self, WANTED_RESOURCES};
use super::function::CONFIG;
use super::identity::{self, Seen};
use super::tree::{Device, Missed};
use crate::{Backoff, BusError, Deadline};

/// What the group may do: write only, as the files that take orders allow no more.
const ORDERS: u32 = 0o220;
/// Read and write.
const REGISTERS: u32 = 0o660;
/// Read and write; everybody else goes on reading.
const CONFIGURATION: u32 = 0o664;
/// How long a file for write-combining may be missing beside the plain one of the same BAR: it is
/// made right after it, but not on every machine (`pci_create_attr` in `drivers/pci/pci-sysfs.c`).
const TWIN: Duration = Duration::from_millis(50);
/// The longest pause between two looks.
const LOOK: Duration = Duration::from_millis(2);

impl SysfsBus {
    /// Lets the group with this number use a function of an FPGA slot: its registers and memory, its
    /// configuration space, and the orders to reset it, to remove it and to scan its bus. With a
    /// management function comes the application function beside it, which cannot be told before.
    /// Gives the functions in question; none when the one at `bdf` is of no slot, or has gone.
    ///
    /// Configuration space is last: who can write that can use the rest.
    ///
    /// # Errors
    /// When the system refuses, or the files of the BARs do not appear before the deadline.
    pub fn grant(&self, bdf: Bdf, group: u32, deadline: &Deadline) -> Result<Vec<Bdf>, BusError> {
        let mut granted = Vec::new();
        let group = Gid::from_raw(group);
        for bdf in [Some(bdf), self.app_beside(bdf)?].into_iter().flatten() {
            let done = identity::identify(&self.tree, bdf).and_then(|device| {
                self.give_bus(bdf, group)?;
                give_function(&device, group, deadline)
            });
            match done {
                Ok(()) => granted.push(bdf),
                Err(Missed::Went | Missed::Failed(BusError::NotFpga { .. })) => {}
                Err(Missed::Failed(error)) => return Err(error),
            }
        }
        Ok(granted)
    }

    /// Where the application function is whose management function is at `bdf`.
    fn app_beside(&self, bdf: Bdf) -> Result<Option<Bdf>, BusError> {
        match identity::management_family(&self.tree, bdf) {
            Ok(family) => Ok(family.and_then(|family| family.profile().pairing.app_of(bdf))),
            Err(Seen::Went) => Ok(None),
            Err(Seen::Unknown(error) | Seen::Ours(error)) => Err(error),
        }
    }

    /// The order to scan the bus that a function is on. It stays when the function goes.
    fn give_bus(&self, bdf: Bdf, group: Gid) -> Result<(), BusError> {
        let [path, _] = self.rescan_files(bdf);
        let give = || {
            chown(&path, None, Some(group))?;
            let mode = Mode::from_bits_truncate(ORDERS);
            fchmodat(AT_FDCWD, &path, mode, FchmodatFlags::FollowSymlink)
        };
        match give() {
            // The bus has gone, and its functions with it.
            Ok(()) | Err(Errno::ENOENT | Errno::ENODEV) => Ok(()),
            Err(errno) => Err(refused(path.clone(), errno)),
        }
    }
}

fn give_function(device: &Device, group: Gid, deadline: &Deadline) -> Result<(), Missed> {
    let give = |name: &str, mode| match device.give(name, group, mode) {
        // Not every function can be reset.
        Err(Errno::ENOENT) if mode == ORDERS && device.is_current() => Ok(()),
        given => given.map_err(|errno| device.missed(GIVE, name, errno)),
    };
    give("remove", ORDERS)?;
    give("reset", ORDERS)?;
    for name in bar_files(device, deadline)? {
        give(&name, REGISTERS)?;
    }
    give(CONFIG, CONFIGURATION)
}

/// The files of the BARs, all of them made.
fn bar_files(device: &Device, deadline: &Deadline) -> Result<Vec<String>, Missed> {
    let mut files = Vec::new();
    let resources = device.value("resource", WANTED_RESOURCES, attribute::resources)?;
    for (index, resource) in resources.into_iter().enumerate() {
        let Some(resource) = resource else { continue };
        let plain = format!("resource{index}");
        await_file(device, &plain, deadline)?;
        if resource.is_prefetchable() {
            let twin = format!("{plain}_wc");
            match await_file(device, &twin, &deadline.at_most(TWIN)) {
                Ok(()) => files.push(twin),
                Err(Missed::Failed(BusError::Wait { .. })) => {}
                Err(missed) => return Err(missed),
            }
        }
        files.push(plain);
    }
    Ok(files)
}

fn await_file(device: &Device, name: &str, deadline: &Deadline) -> Result<(), Missed> {
    let mut backoff = Backoff::up_to(LOOK);
    loop {
        match device.open(name, OFlag::O_PATH) {
            Ok(_) => return Ok(()),
            Err(Errno::ENOENT) if device.is_current() => {}
            Err(errno) => return Err(device.missed("look at", name, errno)),
        }
        backoff.wait(deadline).map_err(|source| BusError::Wait {
            what: device.file(name).display().to_string(),
            source,
        })?;
    }
}

/// What is tried.
const GIVE: &str = "let the group use";

fn refused(path: PathBuf, errno: Errno) -> BusError {
    BusError::io(GIVE, path)(errno.into())
}
