//! What loads and clears do about a kernel driver that has the application function.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use afi_pcie::bus::Watch;
use afi_pcie::{Bus, BusError, Function, FunctionInfo};
use afi_proto::{Bdf, Family};
use afi_sim::bus::SimBus;

use super::super::*;
use super::rig::*;
use crate::problem::{Class, Problem as _};

/// A bus whose host has drivers.
struct Host<'a> {
    bus: &'a SimBus,
    app: Bdf,
    /// The driver that the host finds for the function, when it looks.
    finds: Option<&'static str>,
    /// The driver that the function is on.
    driver: Mutex<Option<&'static str>>,
    in_use: bool,
    /// What was asked of the host.
    orders: Mutex<Vec<&'static str>>,
}

impl<'a> Host<'a> {
    fn new(rig: &'a Rig, driver: &'static str) -> Self {
        Self {
            bus: &rig.bus,
            app: rig.slot().app_bdf,
            finds: Some(driver),
            driver: Mutex::new(Some(driver)),
            in_use: false,
            orders: Mutex::default(),
        }
    }

    fn order(&self, order: &'static str) {
        self.orders.lock().unwrap().push(order);
    }

    /// What was asked for since the last time.
    fn orders(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.orders.lock().unwrap())
    }

    fn load(&self, rig: &Rig, plan: &LoadPlan) -> Result<LoadReport, Box<SlotError>> {
        let context = Context {
            bus: self,
            ..rig.context()
        };
        let deadline = Deadline::after(Duration::from_secs(20));
        load(&context, &rig.slot(), plan, &mut Unobserved, &deadline)
    }

    fn clear(&self, rig: &Rig) -> Result<ClearReport, Box<SlotError>> {
        let deadline = Deadline::after(Duration::from_secs(20));
        let plan = ClearPlan::with_retries(RETRIES);
        clear(self, &rig.slot(), "test", &plan, &mut Unobserved, &deadline)
    }
}

impl Bus for Host<'_> {
    fn name(&self) -> String {
        self.bus.name()
    }

    fn functions(&self) -> Result<Vec<FunctionInfo>, BusError> {
        let mut functions = self.bus.functions()?;
        for info in &mut functions {
            if info.bdf == self.app {
                info.driver = self.driver.lock().unwrap().map(str::to_owned);
            }
        }
        Ok(functions)
    }

    fn open(&self, bdf: Bdf) -> Result<Arc<dyn Function>, BusError> {
        self.bus.open(bdf)
    }

    fn can_remove(&self, bdf: Bdf) -> Result<(), BusError> {
        match self.in_use && bdf == self.app {
            true => Err(BusError::InUse { bdf }),
            false => Ok(()),
        }
    }

    fn remove(&self, bdf: Bdf) -> Result<(), BusError> {
        self.can_remove(bdf)?;
        self.order("remove");
        *self.driver.lock().unwrap() = None;
        self.bus.remove(bdf)
    }

    fn rescan(&self, near: Bdf) -> Result<(), BusError> {
        self.order("rescan");
        self.bus.rescan(near)?;
        if self.bus.function(self.app)?.is_some() {
            *self.driver.lock().unwrap() = self.finds;
        }
        Ok(())
    }

    fn watch(&self) -> Result<Box<dyn Watch>, BusError> {
        self.bus.watch()
    }

    fn lock_directory(&self) -> PathBuf {
        self.bus.lock_directory()
    }
}

fn steps(report: &LoadReport) -> Vec<Step> {
    report.steps.iter().map(|time| time.step).collect()
}

#[test]
fn a_driver_that_keeps_state_is_detached_before_the_command_and_bound_anew() {
    let rig = Rig::new(Family::F1, 1);
    let host = Host::new(&rig, "xdma");
    // Ids change with the first load, and stay with the second: the driver begins anew each time.
    for _ in 0..2 {
        let report = host.load(&rig, &plan(HELLO)).unwrap();
        let driver = report.bus.as_ref().unwrap().driver.clone().unwrap();
        assert_eq!(driver.before, "xdma");
        assert!(driver.detached);
        assert_eq!(driver.after.as_deref(), Some("xdma"));
        let steps = steps(&report);
        let at = |wanted| steps.iter().position(|step| *step == wanted).unwrap();
        assert!(at(Step::Detach) < at(Step::Send), "{steps:?}");
        assert_eq!(host.orders(), ["remove", "remove", "rescan"]);
        assert_eq!(
            report.bus.unwrap().rescanned,
            Some("its driver was detached")
        );
    }
    let driver = host.clear(&rig).unwrap().bus.driver.unwrap();
    assert!(driver.detached && driver.after.is_some());
}

#[test]
fn a_driver_that_passes_the_function_on_stays_when_the_ids_do() {
    let rig = Rig::new(Family::F1, 1);
    rig.load(&plan(HELLO)).unwrap();
    let mut host = Host::new(&rig, "uio_pci_generic");
    let report = host.load(&rig, &plan(HELLO)).unwrap();
    let driver = report.bus.unwrap().driver.unwrap();
    assert_eq!(
        (driver.detached, driver.after.as_deref()),
        (false, Some("uio_pci_generic"))
    );
    assert!(host.orders().is_empty());
    // Bound by hand, it is lost with the ids, and that is told.
    host.finds = None;
    let report = host.load(&rig, &plan(DRAM)).unwrap();
    let driver = report.bus.unwrap().driver.unwrap();
    assert_eq!((driver.detached, driver.after), (false, None));
    assert_eq!(host.orders(), ["remove", "rescan"]);
}

#[test]
fn what_takes_a_removal_is_refused_while_a_program_uses_the_function() {
    let rig = Rig::new(Family::F1, 1);
    rig.load(&plan(HELLO)).unwrap();
    let host = Host {
        in_use: true,
        ..Host::new(&rig, "vfio-pci")
    };
    let before = rig.state();
    let reload = LoadPlan {
        force_shell_reload: true,
        ..plan(HELLO)
    };
    for refused in [plan(DRAM), reload] {
        let error = host.load(&rig, &refused).unwrap_err();
        assert_eq!((error.class(), error.step), (Class::Busy, Step::Check));
        assert!(!error.touched);
    }
    let error = host.clear(&rig).unwrap_err();
    assert_eq!((error.class(), error.touched), (Class::Busy, false));
    assert!(host.orders().is_empty());
    assert_eq!(rig.state(), before);
    // The same image again is what its user restarts it with.
    host.load(&rig, &plan(HELLO)).unwrap();
    assert!(host.orders().is_empty());
    // So is an image that is put into the cache only.
    let prefetch = LoadPlan {
        prefetch: true,
        ..plan(DRAM)
    };
    host.load(&rig, &prefetch).unwrap();
}

#[test]
fn a_function_that_was_detached_comes_back_after_a_load_that_failed() {
    let rig = Rig::new(Family::F1, 1);
    let host = Host::new(&rig, "xdma");
    rig.fault("load-error=unspecified-error");
    let error = host.load(&rig, &plan(HELLO)).unwrap_err();
    assert_eq!(error.step, Step::Wait);
    assert_eq!(*host.driver.lock().unwrap(), Some("xdma"));
    assert_eq!(host.orders().last(), Some(&"rescan"));
}

#[test]
fn what_does_not_change_what_runs_leaves_the_driver_alone() {
    let rig = Rig::new(Family::F1, 1);
    let host = Host::new(&rig, "xdma");
    let prefetch = LoadPlan {
        prefetch: true,
        ..plan(HELLO)
    };
    let dry_run = LoadPlan {
        dry_run: true,
        ..plan(HELLO)
    };
    let refused = plan(OLD);
    assert!(host.load(&rig, &prefetch).is_ok());
    assert!(host.load(&rig, &dry_run).is_ok());
    assert!(host.load(&rig, &refused).is_err());
    assert!(host.orders().is_empty());
    assert_eq!(*host.driver.lock().unwrap(), Some("xdma"));
}
