//! What begins work of the shell, and what the shell refuses.

use std::time::Duration;

use afi_proto::mailbox::{ClockGroups, CommandFlags, ErrorCode, LoadRequest, SlotStatus};
use afi_proto::{AgfiId, Family};

use super::{Job, Load, Slot, Work};
use crate::device::power::IDLE_WATTS;
use crate::device::verdict::{Verdict, verdict};
use crate::fault::Kind;
use crate::image::SlotImage;

impl Slot {
    /// Begins a load or a prefetch.
    ///
    /// # Errors
    /// What the shell answers when it refuses; nothing was changed then.
    pub(in crate::device) fn load(
        &mut self,
        request: &LoadRequest,
        now: Duration,
    ) -> Result<(), ErrorCode> {
        self.check_idle()?;
        if self.strikes(Kind::BusyLoads) {
            return Err(ErrorCode::BUSY);
        }
        let flags = request.flags;
        let prefetch = flags.contains(CommandFlags::PREFETCH);
        if prefetch && flags.contains(CommandFlags::FORCE_SHELL_RELOAD) {
            return Err(ErrorCode::INCOMPATIBLE_FLAGS);
        }
        let fault = self.ordered_error(Kind::LoadError)?;
        let image = self.loadable(request.image)?;
        if prefetch {
            self.begin_prefetch(image.agfi, fault, now);
            return Ok(());
        }
        let retain = flags.contains(CommandFlags::DRAM_DATA_RETENTION);
        if retain && !self.can_retain(&image, flags) {
            return Err(ErrorCode::RETENTION_NOT_POSSIBLE);
        }
        let Some(logic) = self.config.models.build(&image.model) else {
            tracing::error!(image = %image.agfi, model = image.model, "no such model of custom logic");
            return Err(ErrorCode::SOFTWARE_PROBLEM);
        };
        if self.strikes(Kind::DeviceGoneOnLoad) {
            self.vanish();
        }
        self.stop(retain, now);
        let load = Box::new(Load {
            clocks_hz: clocks(&image, request),
            image,
            logic,
            fault,
        });
        self.job = Some(self.first_job(load, flags, now));
        Ok(())
    }

    /// Begins a clear. The cache and the contents of memory go with it.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(in crate::device) fn clear(&mut self, now: Duration) -> Result<(), ErrorCode> {
        self.check_idle()?;
        let fault = self.ordered_error(Kind::ClearError)?;
        self.stop(false, now);
        self.cache.clear();
        let ends = now + self.config.timing.clear;
        self.job = Some(Job::Timed {
            work: Work::Clear(fault),
            ends,
        });
        Ok(())
    }

    /// The host agrees to the reload that the shell waits to make; otherwise nothing happens.
    pub(in crate::device) fn agree_to_reload(&mut self, now: Duration) {
        self.job = match self.job.take() {
            Some(Job::AwaitReload(load)) => {
                let ends = now + self.config.timing.rl_reload;
                Some(Job::Timed {
                    work: Work::Reload(load),
                    ends,
                })
            }
            other => other,
        };
    }

    fn check_idle(&self) -> Result<(), ErrorCode> {
        match self.job {
            _ if self.strikes(Kind::BusyForever) => Err(ErrorCode::BUSY),
            None => Ok(()),
            Some(Job::AwaitReload(_)) => Err(ErrorCode::RL_RELOAD_NEEDED),
            Some(Job::Timed { .. }) => Err(ErrorCode::BUSY),
        }
    }

    /// The error that a fault orders: returned as the error when it is one of those that refuse.
    fn ordered_error(&self, kind: Kind) -> Result<Option<ErrorCode>, ErrorCode> {
        let Self { config, .. } = self;
        let Some(value) = config.faults.strikes(kind, Some(config.slot)) else {
            return Ok(None);
        };
        let error = i32::try_from(value).map_or(ErrorCode::UNSPECIFIED, ErrorCode);
        match verdict(error) {
            Verdict::Refused => Err(error),
            Verdict::Failed | Verdict::Gated => Ok(Some(error)),
        }
    }

    /// The image, if this slot's shell can load it.
    fn loadable(&self, agfi: AgfiId) -> Result<SlotImage, ErrorCode> {
        if self.strikes(Kind::ImageGone) {
            return Err(ErrorCode::INVALID_AFI_ID);
        }
        let image = self.config.images.loadable(agfi);
        let image = image.ok_or(ErrorCode::INVALID_AFI_ID)?;
        if image.shell != self.config.shell {
            return Err(ErrorCode::SHELL_NOT_SUPPORTED);
        }
        Ok(image)
    }

    /// The conditions of `data_retention.md`. That no traffic goes to the memory is the host's to
    /// see to.
    fn can_retain(&self, next: &SlotImage, flags: CommandFlags) -> bool {
        let profile = self.config.family.profile();
        // Shells before 1.4 are the ones that slots do not load images for any more.
        let shell_can = profile
            .shell(self.config.shell)
            .is_some_and(|shell| shell.supported);
        let now = self
            .running
            .as_ref()
            .filter(|_| self.status == SlotStatus::LOADED);
        profile.data_retention
            && shell_can
            && !flags.contains(CommandFlags::FORCE_SHELL_RELOAD)
            && next.data_retention
            && now.is_some_and(|now| now.image.data_retention && now.image.shell == next.shell)
    }

    fn begin_prefetch(&mut self, image: AgfiId, fault: Option<ErrorCode>, now: Duration) {
        let cached = self.cache.contains(image);
        let takes = if cached {
            Duration::ZERO
        } else {
            self.config.timing.prefetch
        };
        let work = Work::Prefetch(image, fault);
        self.job = Some(Job::Timed {
            work,
            ends: now + takes,
        });
    }

    fn first_job(&self, load: Box<Load>, flags: CommandFlags, now: Duration) -> Job {
        let forced = flags.contains(CommandFlags::FORCE_SHELL_RELOAD);
        let extra = match self.config.family {
            Family::F2 if forced => return Job::AwaitReload(load),
            Family::F1 if forced => self.config.timing.shell_reload,
            Family::F1 | Family::F2 => Duration::ZERO,
        };
        self.load_from(load, now + extra)
    }

    /// Nothing runs from now on.
    fn stop(&mut self, retain: bool, now: Duration) {
        self.running = None;
        self.gate.withdraw_memory();
        self.power.change(IDLE_WATTS, now);
        if !retain {
            self.lose_memory();
        }
    }
}

/// The clocks of an image, where the request does not ask for others.
fn clocks(image: &SlotImage, request: &LoadRequest) -> ClockGroups {
    let mut clocks_hz = image.clocks_hz;
    for (group, hz) in clocks_hz.iter_mut().zip(request.clocks_hz) {
        if hz != 0 {
            group[0] = hz;
        }
    }
    clocks_hz
}
