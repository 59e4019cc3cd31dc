//! A simulated instance, and a way to call a tool on it.

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use afi_pcie::{Bus, Cancel, Deadline};
use afi_proto::{AgfiId, Family, PciIds, ShellVersion};
use afi_sim::bus::SimBus;
use afi_sim::device::Timing;
use afi_sim::fault::FaultPlan;
use afi_sim::function::DeviceFunction;
use afi_sim::image::{ImageSource, SlotImage};
use afi_sim::instance::{Instance as SimInstance, InstanceConfig};
use tempfile::TempDir;

use super::super::{Dialect, Host, Tool, run};
use crate::cloud::{Answer, Cloud, CloudError, Place};
use crate::image::ImageRef;
use crate::instance::Instance;
use crate::resolve::Resolver;
use crate::resolve::cache::ImageCache;

/// An image that every slot can load.
pub(in crate::dropin) const HELLO: &str = "agfi-0f1f1000000000001";

/// The image [`HELLO`], for the shell of the slot that asks.
struct Images(ShellVersion);

impl ImageSource for Images {
    fn loadable(&self, agfi: AgfiId) -> Option<SlotImage> {
        (agfi.to_string() == HELLO).then(|| SlotImage {
            agfi,
            ids: PciIds::new(0x1D0F, 0xF000, 0xFEDD, 0x1D51),
            shell: self.0,
            model: "cl_hello_world".to_owned(),
            data_retention: true,
            power_watts: 20,
            clocks_hz: [[125_000_000; 7], [250_000_000; 7], [300_000_000; 7]],
        })
    }
}

/// The API, which the tools never ask.
#[derive(Debug)]
struct NeverAsked;

impl Cloud for NeverAsked {
    fn place(&self) -> Place {
        Place {
            cloud: "test".to_owned(),
            region: None,
        }
    }

    fn find(&self, wanted: &ImageRef, _: &Deadline) -> Result<Answer, CloudError> {
        panic!("the API was asked for {wanted}");
    }
}

/// A simulated instance.
pub(in crate::dropin) struct Rig {
    pub(in crate::dropin) bus: Arc<SimBus>,
    faults: Arc<FaultPlan>,
    resolver: Resolver,
    directory: TempDir,
    instance: SimInstance,
}

/// What a tool did.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::dropin) struct Ran {
    pub(in crate::dropin) status: u8,
    pub(in crate::dropin) out: String,
    pub(in crate::dropin) err: String,
}

impl Rig {
    pub(in crate::dropin) fn new(family: Family, slots: u8) -> Self {
        Self::with_timing(family, slots, Timing::default())
    }

    pub(in crate::dropin) fn with_timing(family: Family, slots: u8, timing: Timing) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let images = Arc::new(Images(family.profile().current_shell().version));
        let faults = Arc::new(FaultPlan::none());
        let instance = SimInstance::new(InstanceConfig {
            faults: Arc::clone(&faults),
            timing,
            ..InstanceConfig::new(family, slots, images)
        });
        let cache = ImageCache::in_directory(directory.path());
        Self {
            bus: Arc::new(instance.bus(directory.path()).unwrap()),
            faults,
            resolver: Resolver::new(Arc::new(NeverAsked), cache),
            directory,
            instance,
        }
    }

    /// A machine without FPGA slots.
    pub(in crate::dropin) fn without_slots() -> Self {
        let rig = Self::new(Family::F2, 1);
        let bus = Arc::new(SimBus::new([], rig.directory.path()).unwrap());
        Self { bus, ..rig }
    }

    /// The same instance behind other functions.
    pub(in crate::dropin) fn with_functions(
        self,
        wrap: impl Fn(Arc<dyn DeviceFunction>) -> Arc<dyn DeviceFunction>,
    ) -> Self {
        let functions = self.instance.functions().map(wrap);
        let bus = Arc::new(SimBus::new(functions, self.directory.path()).unwrap());
        Self { bus, ..self }
    }

    pub(in crate::dropin) fn fault(&self, fault: &str) {
        self.faults.set(vec![fault.parse().unwrap()]);
    }

    /// Where the locks are.
    pub(in crate::dropin) fn locks(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Runs a tool with the words of a line.
    pub(in crate::dropin) fn run(&self, tool: Tool, line: &str) -> Ran {
        self.run_with(tool, line, None, &Cancel::default())
    }

    pub(in crate::dropin) fn run_with(
        &self,
        tool: Tool,
        line: &str,
        dialect: Option<Dialect>,
        cancel: &Cancel,
    ) -> Ran {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let bus: Arc<dyn Bus> = Arc::<SimBus>::clone(&self.bus);
        let (stop, stopper) = UnixStream::pair().unwrap();
        drop(stopper);
        let host = Host {
            open: &|| Ok(Instance::on(Arc::clone(&bus))),
            resolver: &self.resolver,
            command: "test",
            dialect,
            cancel,
            stop: stop.as_fd(),
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = run(tool, &words, &host, &mut out, &mut err);
        Ran {
            status,
            out: String::from_utf8(out).unwrap(),
            err: String::from_utf8(err).unwrap(),
        }
    }
}

impl Ran {
    /// It worked, and said this and nothing on standard error.
    #[track_caller]
    pub(in crate::dropin) fn says(&self, out: &str) {
        assert_eq!(self.out, out);
        assert_eq!(self.err, "");
        assert_eq!(self.status, 0);
    }

    /// It failed with this status, and said this.
    #[track_caller]
    pub(in crate::dropin) fn fails(&self, status: u8, out: &str) {
        assert_eq!(self.out, out, "{}", self.err);
        assert_eq!(self.status, status);
    }
}
