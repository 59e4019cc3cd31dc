//! Binding over a tree that looks like `/sys`, with a kernel that takes orders as Linux does, and
//! fails where it is told to.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use afi_proto::Bdf;
use nix::errno::Errno;

use super::{BindError, Binding, Kernel, bind, unbind};
use crate::vfio::{Places, VfioError};
use crate::{Deadline, Ended};

const APP: &str = "0000:34:00.0";
const MGMT: &str = "0000:34:00.1";
const OTHER: &str = "0000:35:00.0";

/// A slot of F2, with a driver of the kernel on both functions, in one group.
struct Machine {
    root: tempfile::TempDir,
    orders: RefCell<Vec<String>>,
    /// The order that goes wrong, counted from 0.
    fails: Cell<Option<(usize, Failure)>>,
    is_in_use: Cell<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Refused.
    Error,
    /// Not finished in time.
    Hangs,
    /// Taken, and nothing comes of it.
    Nothing,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            root: tempfile::tempdir().unwrap(),
            orders: RefCell::default(),
            fails: Cell::default(),
            is_in_use: Cell::default(),
        };
        machine.write("kernel/iommu_groups/7/name", "");
        for (bdf, driver) in [(APP, "xdma"), (MGMT, "fpga-mgmt")] {
            machine.write(
                &format!("bus/pci/devices/{bdf}/driver_override"),
                "(null)\n",
            );
            machine.join_group(bdf);
            machine.set_driver(bdf, Some(driver));
        }
        for driver in ["xdma", "fpga-mgmt", "vfio-pci"] {
            fs::create_dir_all(machine.path("bus/pci/drivers").join(driver)).unwrap();
        }
        machine
    }

    fn join_group(&self, bdf: &str) {
        let device = self.path("bus/pci/devices").join(bdf);
        fs::create_dir_all(&device).unwrap();
        symlink(
            "../../../../kernel/iommu_groups/7",
            device.join("iommu_group"),
        )
        .unwrap();
        let members = self.path("kernel/iommu_groups/7/devices");
        fs::create_dir_all(&members).unwrap();
        symlink(device, members.join(bdf)).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn driver(&self, bdf: &str) -> Option<String> {
        let link = fs::read_link(self.path("bus/pci/devices").join(bdf).join("driver"));
        Some(link.ok()?.file_name()?.to_str()?.to_owned())
    }

    fn set_driver(&self, bdf: &str, driver: Option<&str>) {
        let link = self.path("bus/pci/devices").join(bdf).join("driver");
        let _ = fs::remove_file(&link);
        if let Some(driver) = driver {
            symlink(format!("../../drivers/{driver}"), link).unwrap();
        }
    }

    fn told(&self, bdf: &str) -> String {
        let file = self
            .path("bus/pci/devices")
            .join(bdf)
            .join("driver_override");
        let text = fs::read_to_string(file).unwrap();
        let text = text.trim_end();
        if text == "(null)" {
            String::new()
        } else {
            text.to_owned()
        }
    }

    /// What there is to put back: drivers and what the kernel was told of them.
    fn state(&self) -> [(Option<String>, String); 2] {
        [APP, MGMT].map(|bdf| (self.driver(bdf), self.told(bdf)))
    }

    /// Puts a function onto a driver, if it may be on that.
    fn attach(&self, bdf: &str, driver: &str) -> io::Result<()> {
        let told = self.told(bdf);
        if self.driver(bdf).is_some() {
            return Err(Errno::EBUSY.into());
        }
        if !told.is_empty() && told != driver {
            return Err(Errno::ENODEV.into());
        }
        self.set_driver(bdf, Some(driver));
        Ok(())
    }

    fn take(&self, path: &Path, text: &str) -> io::Result<()> {
        let bdf = text.trim_end();
        let driver = || {
            path.parent()
                .unwrap()
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
        };
        match path.file_name().unwrap().to_str().unwrap() {
            "driver_override" => {
                let told = if text == "\n" { "(null)\n" } else { text };
                fs::write(path, told)
            }
            "unbind" if self.driver(bdf).as_deref() == Some(driver()) => {
                self.set_driver(bdf, None);
                Ok(())
            }
            "unbind" => Err(Errno::ENODEV.into()),
            "bind" => self.attach(bdf, driver()),
            "drivers_probe" => {
                let told = self.told(bdf);
                let own = if bdf == APP { "xdma" } else { "fpga-mgmt" };
                self.attach(bdf, if told.is_empty() { own } else { &told })
            }
            other => panic!("{other} takes no orders"),
        }
    }

    fn fail(&self, at: usize, how: Failure) {
        self.fails.set(Some((at, how)));
    }

    fn bind(&self) -> Result<Binding, BindError> {
        bind(&self.places(), self, bdf(APP), bdf(MGMT), &soon())
    }

    fn unbind(&self) -> Result<Binding, BindError> {
        unbind(&self.places(), self, bdf(APP), bdf(MGMT), &soon())
    }

    fn places(&self) -> Places {
        Places::of(self.root.path())
    }
}

impl Kernel for Machine {
    fn order(
        &self,
        path: &Path,
        text: &str,
        _deadline: &Deadline,
    ) -> Result<io::Result<()>, Ended> {
        let number = self.orders.borrow().len();
        let name = path.strip_prefix(self.root.path().join("bus/pci")).unwrap();
        let order = format!("{} < {}", name.display(), text.trim_end());
        self.orders.borrow_mut().push(order);
        match self.fails.get() {
            Some((at, Failure::Error)) if at == number => Ok(Err(Errno::EIO.into())),
            Some((at, Failure::Hangs)) if at == number => Err(Ended::TimedOut {
                after: Duration::from_secs(1),
            }),
            Some((at, Failure::Nothing)) if at == number => Ok(Ok(())),
            _ => Ok(self.take(path, text)),
        }
    }

    fn is_in_use(&self, group: &Path) -> bool {
        assert_eq!(group, self.path("dev/vfio/7"));
        self.is_in_use.get()
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(50))
}

fn bdf(text: &str) -> Bdf {
    text.parse().unwrap()
}

fn drivers(machine: &Machine) -> [Option<String>; 2] {
    [APP, MGMT].map(|bdf| machine.driver(bdf))
}

#[test]
fn binding_gives_the_group_to_programs_and_unbinding_back_to_the_kernel() {
    let machine = Machine::new();
    let bound = machine.bind().unwrap();
    assert_eq!(bound.group, Some(7));
    assert_eq!(drivers(&machine), [Some("vfio-pci".into()), None]);
    let told = |change: &super::DriverChange| (change.before.clone(), change.after.clone());
    let vfio = Some("vfio-pci".to_owned());
    let (xdma, mgmt) = (Some("xdma".to_owned()), Some("fpga-mgmt".to_owned()));
    let changes: Vec<_> = bound.changes.iter().map(told).collect();
    assert_eq!(
        changes,
        [(xdma.clone(), vfio.clone()), (mgmt.clone(), None)]
    );

    // Again changes nothing.
    let orders = machine.orders.borrow().len();
    let again = machine.bind().unwrap();
    assert_eq!(told(&again.changes[0]), (vfio.clone(), vfio.clone()));
    assert_eq!(machine.orders.borrow().len(), orders);

    let unbound = machine.unbind().unwrap();
    assert_eq!(drivers(&machine), [xdma.clone(), mgmt.clone()]);
    assert_eq!(machine.told(APP), "");
    let changes: Vec<_> = unbound.changes.iter().map(told).collect();
    assert_eq!(changes, [(vfio, xdma.clone()), (None, mgmt)]);

    let again = machine.unbind().unwrap();
    assert_eq!(told(&again.changes[0]), (xdma.clone(), xdma));
}

#[test]
fn a_step_that_fails_leaves_everything_as_it_was() {
    let rehearsal = Machine::new();
    rehearsal.bind().unwrap();
    let steps = rehearsal.orders.borrow().len();
    assert_eq!(steps, 4, "{:?}", rehearsal.orders);
    for at in 0..steps {
        for how in [Failure::Error, Failure::Hangs] {
            let machine = Machine::new();
            let before = machine.state();
            machine.fail(at, how);
            let error = machine.bind().unwrap_err();
            assert_eq!(machine.state(), before, "step {at}, {how:?}: {error}");
            assert!(
                error.to_string().ends_with("everything is as it was"),
                "{error}"
            );
        }
    }
}

#[test]
fn unbinding_that_fails_leaves_the_function_with_programs() {
    for at in 0..4 {
        let machine = Machine::new();
        machine.bind().unwrap();
        let before = machine.state();
        machine.fail(machine.orders.borrow().len() + at, Failure::Error);
        let error = machine.unbind().unwrap_err();
        assert_eq!(machine.state(), before, "step {at}: {error}");
    }
}

#[test]
fn what_was_told_of_the_driver_before_is_told_again() {
    let machine = Machine::new();
    machine.write(&format!("bus/pci/devices/{APP}/driver_override"), "xdma\n");
    machine.fail(2, Failure::Error);
    machine.bind().unwrap_err();
    assert_eq!(machine.told(APP), "xdma");
    assert_eq!(machine.driver(APP).as_deref(), Some("xdma"));
}

#[test]
fn a_driver_that_does_not_take_the_function_is_told_and_undone() {
    let machine = Machine::new();
    let before = machine.state();
    machine.fail(2, Failure::Nothing);
    let error = machine.bind().unwrap_err();
    assert!(
        matches!(&error, BindError::OtherDriver { found: None, .. }),
        "{error}"
    );
    assert_eq!(machine.state(), before);
}

#[test]
fn what_cannot_be_undone_is_told() {
    /// Fails from one order on, as a kernel that has gone bad.
    struct Broken<'a>(&'a Machine, usize);
    impl Kernel for Broken<'_> {
        fn order(
            &self,
            path: &Path,
            text: &str,
            deadline: &Deadline,
        ) -> Result<io::Result<()>, Ended> {
            let number = self.0.orders.borrow().len();
            let outcome = self.0.order(path, text, deadline);
            if number >= self.1 {
                Ok(Err(Errno::EIO.into()))
            } else {
                outcome
            }
        }
        fn is_in_use(&self, _group: &Path) -> bool {
            false
        }
    }
    let machine = Machine::new();
    let broken = Broken(&machine, 1);
    let error = bind(&machine.places(), &broken, bdf(APP), bdf(MGMT), &soon()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("NOT as it was"), "{text}");
    assert!(text.contains("drivers/xdma/bind"), "{text}");
}

#[test]
fn a_function_of_somebody_else_in_the_group_is_not_touched() {
    let machine = Machine::new();
    machine.join_group(OTHER);
    machine.set_driver(OTHER, Some("ena"));
    let error = machine.bind().unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("group 7") && text.contains("0000:35:00.0 is on ena"),
        "{text}"
    );
    assert!(!text.contains(MGMT), "{text}");
    assert_eq!(*machine.orders.borrow(), [""; 0]);
    // A port of the kernel's own does no DMA.
    machine.set_driver(OTHER, Some("pcieport"));
    machine.bind().unwrap();
}

#[test]
fn what_is_missing_is_told_before_anything_is_touched() {
    let machine = Machine::new();
    fs::remove_dir(machine.path("bus/pci/drivers/vfio-pci")).unwrap();
    let error = machine.bind().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("module 'vfio-pci' is not loaded"),
        "{error}"
    );

    machine.write("kernel/iommu_groups/7/name", "vfio-noiommu\n");
    let error = machine.bind().unwrap_err();
    assert!(error.to_string().contains("no-IOMMU mode"), "{error}");

    fs::remove_file(machine.path(&format!("bus/pci/devices/{APP}/iommu_group"))).unwrap();
    let error = machine.bind().unwrap_err();
    assert!(error.to_string().starts_with("the IOMMU is off"), "{error}");
    assert_eq!(*machine.orders.borrow(), [""; 0]);
}

#[test]
fn a_function_that_a_program_has_open_is_not_taken_from_it() {
    let machine = Machine::new();
    machine.bind().unwrap();
    let orders = machine.orders.borrow().len();
    machine.is_in_use.set(true);
    // A process that has it open, as /proc shows it, and one that has not.
    for (pid, file) in [("41", "/dev/null"), ("42", "dev/vfio/7")] {
        machine.write(&format!("proc/{pid}/comm"), "soak\n");
        let fd = machine.path(&format!("proc/{pid}/fd"));
        fs::create_dir_all(&fd).unwrap();
        symlink(machine.path(file), fd.join("5")).unwrap();
    }
    let error = machine.unbind().unwrap_err();
    let BindError::NotPossible {
        source: VfioError::Busy { group: 7, holders },
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(holders.len(), 1);
    assert!(
        error.to_string().ends_with("in use by soak (process 42)"),
        "{error}"
    );
    assert_eq!(machine.orders.borrow().len(), orders);
}
