//! What the shell does with a load, a clear and a prefetch: the state machine of a slot.
//!
//! ```text
//!               load                          done
//!  any state ─────────► busy ──────────────────────────────► loaded
//!      │                 ▲  └─ error ──► load-failed (17: image in place, clocks stopped)
//!      │ load -F, on F2  │ reloaded
//!      ├──► rl-reload-needed ── host agrees ──► busy (mailbox silent)
//!      │ prefetch                              done
//!      ├──► afi-cache-in-progress ──────────────────────────► the state before
//!      │ clear                                 done
//!      └──► busy ───────────────────────────────────────────► cleared
//! ```
//!
//! Work ends at a point in time; [`Slot::settle`] brings the slot up to now. Sources:
//! `hdk/docs/load_times.md` (cache, prefetch), `data_retention.md`, `afi_power.md`, and
//! `fpga_mgmt.c` for the order in which a host sees the states.

mod begin;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use afi_proto::mailbox::{ClockGroups, ErrorCode, Metrics, MetricsBody, SlotStatus};
use afi_proto::{AgfiId, Family, PciIds};

use super::CardConfig;
use super::cache::ImageCache;
use super::gate::Gate;
use super::memory::CardMemory;
use super::power::{IDLE_WATTS, PowerMeter};
use super::verdict::{Verdict, verdict};
use crate::custom_logic::CustomLogic;
use crate::fault::Kind;
use crate::image::SlotImage;

/// A slot's shell and what it runs.
pub(super) struct Slot {
    config: Arc<CardConfig>,
    /// The state when no work is under way.
    status: SlotStatus,
    /// What went wrong, with [`SlotStatus::LOAD_FAILED`].
    error: ErrorCode,
    running: Option<Running>,
    job: Option<Job>,
    cache: ImageCache,
    /// Made by the first image that has memory controllers.
    memory: Option<Arc<CardMemory>>,
    /// The way of DMA to the memory.
    gate: Arc<Gate>,
    power: PowerMeter,
    app_present: bool,
    gone: bool,
}

/// An image in place.
struct Running {
    image: SlotImage,
    logic: Box<dyn CustomLogic>,
    clocks_hz: ClockGroups,
    /// The shell stopped its clocks.
    gated: bool,
}

/// What the shell is at.
enum Job {
    /// Waits for the host to agree to a reload of the shell.
    AwaitReload(Box<Load>),
    /// Is done at a point in time.
    Timed { work: Work, ends: Duration },
}

enum Work {
    /// Reloads itself, then loads.
    Reload(Box<Load>),
    Load(Box<Load>),
    Clear(Option<ErrorCode>),
    Prefetch(AgfiId, Option<ErrorCode>),
}

/// A load that was begun.
struct Load {
    image: SlotImage,
    logic: Box<dyn CustomLogic>,
    clocks_hz: ClockGroups,
    /// The error that it was told to end in.
    fault: Option<ErrorCode>,
}

/// What the AppPF sees of a load or clear that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// Its ids from now on.
    pub(super) ids: PciIds,
    /// Its bus mastering was switched off.
    pub(super) bus_master_off: bool,
}

impl Slot {
    /// A cleared slot.
    pub(super) fn new(config: Arc<CardConfig>, gate: Arc<Gate>, now: Duration) -> Self {
        let cache = ImageCache::new(config.family.profile().cached_images);
        Self {
            config,
            status: SlotStatus::CLEARED,
            error: ErrorCode::OK,
            running: None,
            job: None,
            cache,
            memory: None,
            gate,
            power: PowerMeter::start(IDLE_WATTS, now),
            app_present: true,
            gone: false,
        }
    }

    /// Ends the work that is done by now.
    pub(super) fn settle(&mut self, now: Duration) -> Option<Change> {
        let mut change = None;
        while let Some(Job::Timed { work, ends }) = self.job.take_if(|job| job.is_due(now)) {
            change = self.finish(work, ends).or(change);
        }
        change
    }

    /// Describes the slot; what the shell counted is `counted`'s, if that was asked for.
    pub(super) fn metrics(&self, counted: Option<MetricsBody>, now: Duration) -> Metrics {
        let status = self.status();
        let loaded = self
            .running
            .as_ref()
            .filter(|_| status == SlotStatus::LOADED);
        let failed = status == SlotStatus::LOAD_FAILED;
        let body = counted.map(|counted| MetricsBody {
            clocks_hz: self.clocks_hz(),
            power: self.power.reading(now),
            cached: self.cache.images().to_vec(),
            ..counted
        });
        Metrics {
            // `none` when a load failed, even with the image in place (`afi_power.md`).
            image: loaded.map(|running| running.image.agfi),
            ids: self.image_ids(),
            status,
            error: if failed { self.error } else { ErrorCode::OK },
            body: body.unwrap_or_default(),
        }
    }

    /// Empties the cache.
    pub(super) fn clear_cache(&mut self) {
        self.cache.clear();
    }

    /// The custom logic and its memory, while its clocks run.
    pub(super) fn active(&mut self) -> Option<(&mut dyn CustomLogic, Option<&Arc<CardMemory>>)> {
        let running = self.running.as_mut().filter(|running| !running.gated)?;
        let has_memory = running.logic.has_memory();
        let memory = self.memory.as_ref().filter(|_| has_memory);
        Some((&mut *running.logic, memory))
    }

    /// Whether the shell reloads itself, and does not look at its mailbox.
    pub(super) const fn is_reloading(&self) -> bool {
        matches!(
            &self.job,
            Some(Job::Timed {
                work: Work::Reload(_),
                ..
            })
        )
    }

    /// Whether the AppPF is on the bus.
    pub(super) const fn app_is_present(&self) -> bool {
        self.app_present
    }

    /// Whether the card went away with a load.
    pub(super) const fn is_gone(&self) -> bool {
        self.gone
    }

    /// The card goes away.
    pub(super) fn vanish(&mut self) {
        self.gone = true;
        self.gate.shut();
    }

    fn status(&self) -> SlotStatus {
        match &self.job {
            _ if self.strikes(Kind::BusyForever) => SlotStatus::BUSY,
            None => self.status,
            Some(Job::AwaitReload(_)) => SlotStatus::LOADING_RL,
            Some(Job::Timed {
                work: Work::Prefetch(..),
                ..
            }) => SlotStatus::CACHING,
            Some(Job::Timed { .. }) => SlotStatus::BUSY,
        }
    }

    fn strikes(&self, kind: Kind) -> bool {
        let Self { config, .. } = self;
        config.faults.strikes(kind, Some(config.slot)).is_some()
    }

    fn lose_memory(&self) {
        if let Some(memory) = &self.memory {
            memory.forget();
        }
    }

    /// The load itself, from a point in time on.
    fn load_from(&self, load: Box<Load>, start: Duration) -> Job {
        let timing = &self.config.timing;
        let cached = self.cache.contains(load.image.agfi);
        let takes = if cached {
            timing.cached_load
        } else {
            timing.load
        };
        Job::Timed {
            work: Work::Load(load),
            ends: start + takes,
        }
    }

    fn finish(&mut self, work: Work, at: Duration) -> Option<Change> {
        match work {
            Work::Reload(load) => {
                self.job = Some(self.load_from(load, at));
                None
            }
            Work::Load(load) => Some(self.finish_load(*load, at)),
            Work::Clear(None) => Some(self.rest(SlotStatus::CLEARED, ErrorCode::OK)),
            Work::Clear(Some(error)) => Some(self.rest(SlotStatus::LOAD_FAILED, error)),
            Work::Prefetch(image, None) => {
                self.cache.touch(image);
                None
            }
            Work::Prefetch(image, Some(error)) => {
                tracing::debug!(%image, %error, "prefetch failed as ordered");
                None
            }
        }
    }

    fn finish_load(&mut self, load: Load, at: Duration) -> Change {
        let limit = self.config.family.profile().power_limit_watts;
        let draws_too_much = load.image.power_watts > limit;
        let error = load
            .fault
            .or_else(|| self.calibrate_memory(&*load.logic).err())
            .or_else(|| draws_too_much.then_some(ErrorCode::POWER_VIOLATION));
        let gated = match error.map(verdict) {
            None => false,
            Some(Verdict::Gated) => true,
            Some(Verdict::Failed | Verdict::Refused) => {
                return self.rest(
                    SlotStatus::LOAD_FAILED,
                    error.unwrap_or(ErrorCode::UNSPECIFIED),
                );
            }
        };
        self.cache.touch(load.image.agfi);
        self.power = PowerMeter::start(load.image.power_watts, at);
        if gated {
            self.power.change(IDLE_WATTS, at);
        }
        self.status = if gated {
            SlotStatus::LOAD_FAILED
        } else {
            SlotStatus::LOADED
        };
        self.error = error.unwrap_or(ErrorCode::OK);
        let mut ids = load.image.ids;
        if self.strikes(Kind::IdsDiffer) {
            ids.device = ids.device.wrapping_add(1);
        }
        self.running = Some(Running {
            image: load.image,
            logic: load.logic,
            clocks_hz: load.clocks_hz,
            gated,
        });
        self.app_present = !self.strikes(Kind::AppMissing);
        Change {
            ids,
            bus_master_off: self.strikes(Kind::BusMasterOff),
        }
    }

    /// Makes the memory when this is the first image to use it.
    fn calibrate_memory(&mut self, logic: &dyn CustomLogic) -> Result<(), ErrorCode> {
        if logic.has_memory() && self.memory.is_none() {
            let memory = CardMemory::new(self.config.family).map_err(|error| {
                tracing::error!(%error, "the host has no memory for the card's");
                ErrorCode::CL_DDR_CALIB_FAILED
            })?;
            self.memory = Some(Arc::new(memory));
        }
        Ok(())
    }

    /// Nothing runs, and the AppPF is as in a cleared slot.
    fn rest(&mut self, status: SlotStatus, error: ErrorCode) -> Change {
        self.status = status;
        self.error = error;
        self.app_present = true;
        Change {
            ids: cleared_ids(self.config.family),
            bus_master_off: false,
        }
    }

    /// The ids that the image was registered with.
    fn image_ids(&self) -> PciIds {
        let running = self.running.as_ref();
        running.map_or_else(
            || cleared_ids(self.config.family),
            |running| running.image.ids,
        )
    }

    fn clocks_hz(&self) -> ClockGroups {
        let running = self.running.as_ref().filter(|running| !running.gated);
        running.map_or_else(ClockGroups::default, |running| running.clocks_hz)
    }
}

impl Job {
    fn is_due(&self, now: Duration) -> bool {
        matches!(self, Self::Timed { ends, .. } if *ends <= now)
    }
}

/// Ids of the AppPF of a cleared slot. The subsystem ids are not documented; they repeat the others.
pub(super) fn cleared_ids(family: Family) -> PciIds {
    let id = family.profile().cleared;
    PciIds::new(id.vendor, id.device, id.vendor, id.device)
}
