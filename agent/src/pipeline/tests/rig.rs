//! A simulated instance for the tests of the pipeline.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use afi_pcie::slots;
use afi_proto::{Family, PciIds, ShellVersion, SlotIndex};
use afi_sim::bus::SimBus;
use afi_sim::device::Timing;
use afi_sim::fault::FaultPlan;
use afi_sim::image::{ImageSource, SlotImage};
use afi_sim::instance::{Instance, InstanceConfig};
use tempfile::TempDir;

use super::super::*;
use crate::cloud::{Answer, Cloud, CloudError, Place};
use crate::image::ImageState;
use crate::resolve::cache::ImageCache;

pub(crate) const HELLO: &str = "agfi-0f1f1000000000001";
pub(crate) const DRAM: &str = "agfi-0f1f1000000000002";
pub(super) const OLD: &str = "agfi-0f1f1000000000003";
pub(super) const PENDING: &str = "agfi-0f1f1000000000004";
/// The cloud tells other ids of it than it has.
pub(super) const MISLABELLED: &str = "agfi-0f1f1000000000005";
pub(crate) const REGISTERS: &str = "agfi-0f2f2000000000001";

/// The images, as the cloud and the slots know them.
#[derive(Debug)]
struct Images(Vec<Image>);

impl Images {
    fn new() -> Self {
        let make = |agfi: &str, name: &str, device: u16| Image {
            name: Some(name.to_owned()),
            ids: Some(PciIds::new(0x1D0F, device, 0xFEDD, 0x1D51)),
            ..crate::image::tests::image(agfi)
        };
        let old = Image {
            shell: Some(ShellVersion(0x0714_17D3)),
            ..make(OLD, "cl_old", 0xF000)
        };
        let pending = Image {
            state: ImageState::Pending,
            ..make(PENDING, "cl_pending", 0xF000)
        };
        let registers = Image {
            shell: Some(ShellVersion(0x1021_2415)),
            family: Some(Family::F2),
            ..make(REGISTERS, "cl_axil_reg_access", 0xF010)
        };
        let dram = Image {
            data_retention: Some(true),
            ..make(DRAM, "cl_dram_dma", 0xF001)
        };
        let hello = make(HELLO, "cl_hello_world", 0xF000);
        let mislabelled = Image {
            ids: Some(PciIds::new(0x1D0F, 0xF0FF, 0xFEDD, 0x1D51)),
            ..make(MISLABELLED, "cl_hello_world_too", 0)
        };
        Self(vec![hello, dram, old, pending, mislabelled, registers])
    }
}

impl ImageSource for Images {
    fn loadable(&self, agfi: AgfiId) -> Option<SlotImage> {
        let image = self.0.iter().find(|image| image.agfi == agfi)?;
        let (ids, model) = match agfi.to_string().as_str() {
            MISLABELLED => (
                PciIds::new(0x1D0F, 0xF000, 1, 1),
                "cl_hello_world".to_owned(),
            ),
            _ => (image.ids?, image.name.clone()?),
        };
        Some(SlotImage {
            agfi,
            ids,
            shell: image.shell?,
            model,
            data_retention: image.data_retention?,
            power_watts: 20,
            clocks_hz: [[125_000_000; 7]; 3],
        })
    }
}

impl Cloud for Images {
    fn place(&self) -> Place {
        Place {
            cloud: "test".to_owned(),
            region: Some("us-east-1".to_owned()),
        }
    }

    fn find(&self, wanted: &ImageRef, _: &Deadline) -> Result<Answer, CloudError> {
        let images = self.0.iter().filter(|image| image.is(wanted));
        Ok(Answer {
            region: "us-east-1".to_owned(),
            images: images.cloned().collect(),
            without_agfi: Vec::new(),
        })
    }
}

/// Writes down the steps that begin and the tries.
#[derive(Clone, Default)]
pub(super) struct Diary(pub(super) Arc<Mutex<Vec<String>>>);

impl Observer for Diary {
    fn event(&mut self, _: SlotIndex, event: Event<'_>) {
        let line = match event {
            Event::Begin(step) => step.name().to_owned(),
            Event::Retry(attempt) => format!("retry after try {}", attempt.number),
            Event::End(..) => return,
        };
        self.0.lock().unwrap().push(line);
    }
}

/// A simulated instance, and what operations on it need.
pub(crate) struct Rig {
    pub(super) bus: SimBus,
    faults: Arc<FaultPlan>,
    pub(super) resolver: Resolver,
    /// Locks and the cache of images.
    directory: TempDir,
    instance: Instance,
}

impl Rig {
    pub(crate) fn new(family: Family, slots: u8) -> Self {
        Self::with_timing(family, slots, Timing::default())
    }

    pub(super) fn with_timing(family: Family, slots: u8, timing: Timing) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let images = Arc::new(Images::new());
        let faults = Arc::new(FaultPlan::none());
        let instance = Instance::new(InstanceConfig {
            faults: Arc::clone(&faults),
            timing,
            ..InstanceConfig::new(family, slots, Arc::<Images>::clone(&images))
        });
        Self {
            bus: instance.bus(directory.path()).unwrap(),
            faults,
            resolver: Resolver::new(images, ImageCache::in_directory(directory.path())),
            directory,
            instance,
        }
    }

    /// The same instance as a host sees it that starts now, in place of the one before.
    pub(crate) fn restarted(&self) -> Arc<SimBus> {
        Arc::new(self.instance.bus(self.directory.path()).unwrap())
    }

    pub(super) fn fault(&self, fault: &str) {
        self.faults.set(vec![fault.parse().unwrap()]);
    }

    pub(super) fn slots(&self) -> Vec<Slot> {
        slots::discover(&self.bus).unwrap()
    }

    pub(super) fn slot(&self) -> Slot {
        self.slots().remove(0)
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context {
            bus: &self.bus,
            resolver: &self.resolver,
            command: "test",
        }
    }

    pub(crate) fn load(&self, plan: &LoadPlan) -> Result<LoadReport, Box<SlotError>> {
        self.load_within(plan, Duration::from_secs(20))
    }

    pub(super) fn load_within(
        &self,
        plan: &LoadPlan,
        time: Duration,
    ) -> Result<LoadReport, Box<SlotError>> {
        let deadline = Deadline::after(time);
        load(
            &self.context(),
            &self.slot(),
            plan,
            &mut Unobserved,
            &deadline,
        )
    }

    pub(crate) fn clear(&self) -> Result<ClearReport, Box<SlotError>> {
        let deadline = Deadline::after(Duration::from_secs(20));
        clear(
            &self.bus,
            &self.slot(),
            "test",
            &ClearPlan::with_retries(RETRIES),
            &mut Unobserved,
            &deadline,
        )
    }

    /// What the slot runs, asked by somebody who comes later.
    pub(super) fn state(&self) -> SlotState {
        let deadline = Deadline::after(Duration::from_secs(20));
        let none = CommandFlags::empty();
        describe(&self.bus, &self.slot(), "test", none, &deadline)
            .unwrap()
            .0
    }
}

pub(crate) fn plan(image: &str) -> LoadPlan {
    LoadPlan::new(image.parse().unwrap())
}
