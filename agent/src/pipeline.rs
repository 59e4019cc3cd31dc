//! Operations on slots, from the lock to the report: load, clear, describe.
//!
//! A load takes these steps, each timed ([`Step`]):
//!
//! 1. **lock** the slot, across processes ([`crate::lock`]);
//! 2. **resolve** what was asked for to one image ([`crate::resolve`]);
//! 3. **check** that it fits, before anything is touched ([`check`]);
//! 4. **detach** the application function from a driver that would go on with the state of the
//!    design that it knew, if it is on one (`driver`);
//! 5. **send** the command once the shell is idle, and
//! 6. **wait** until the shell has done it. What is known to pass is tried again, after a pause
//!    that grows, and every try is recorded;
//! 7. **rescan**, if the host's view of the application function is out of date;
//! 8. make it **ready**: memory space and bus mastering on;
//! 9. **verify** its ids and BARs on the bus.
//!
//! Loading the image that already runs loads it again, as the public tools do: it is how a design
//! is restarted.
//!
//! Nothing here prints. A program passes an [`Observer`] to follow the steps, and gets a report or
//! a [`SlotError`] that tells the step, the reason, and what the slot runs then.

mod all;
mod appear;
pub mod check;
mod command;
mod driver;
mod error;
mod report;
mod run;
mod step;
#[cfg(test)]
pub(crate) mod tests;
mod verify;

use std::time::Duration;

use afi_pcie::slots::Slot;
use afi_pcie::{Bus, Deadline};
use afi_proto::AgfiId;
use afi_proto::mailbox::{CLOCK_GROUPS, CommandFlags, LoadRequest, Metrics};

pub(crate) use all::at_once;
pub use all::{clear_all, load_all};
pub(crate) use error::is_lost_answer;
pub use error::{Operation, SlotError, StepError};
pub use report::{
    BarReport, BusReport, Chosen, ChosenBy, ClearReport, DriverReport, LoadReport, Outcome, Probe,
    SlotId, SlotState,
};
pub use step::{Attempt, Event, Observer, Step, StepTime, Unobserved};

use crate::image::{Image, ImageRef};
use crate::instance;
use crate::resolve::{Policy, ResolveError, Resolved, Resolver, Source};
use appear::Because;
use command::Command;
use run::{Failed, Run};

/// How long the shell may take to answer one command. The public library looks 2500 times, 2 ms
/// apart (`fpga_hal_mbox.c`).
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a load or clear is tried again unless the caller says otherwise. With 5 to 10 % of
/// loads failing at boot (aws-fpga #634), three more tries leave one failure in ten thousand.
pub const RETRIES: u32 = 3;

/// What operations work with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The bus that the slots are on.
    pub bus: &'a dyn Bus,
    /// Who knows images.
    pub resolver: &'a Resolver,
    /// What is going on, for others who wait for a slot's lock: `afi load 0 cl_hello_world`.
    pub command: &'a str,
}

/// A load that is wanted.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// The image, as the caller names it.
    pub image: ImageRef,
    /// Whether the API is asked.
    pub policy: Policy,
    /// Put the image into the slot's cache only, and leave what runs alone.
    pub prefetch: bool,
    /// Reload the shell even if the image does not need it.
    pub force_shell_reload: bool,
    /// Keep the contents of the card's DRAM.
    pub retain_dram: bool,
    /// Return once the shell has agreed, and leave the rest undone and unverified.
    pub no_wait: bool,
    /// Stop after the checks.
    pub dry_run: bool,
    /// How often the command is tried again.
    pub retries: u32,
    /// Frequency in Hz of the first clock of each of the groups A, B and C; 0 keeps the image's.
    pub clocks_hz: [u64; CLOCK_GROUPS],
    /// How long the shell may take to answer one command.
    pub command_timeout: Duration,
}

/// A clear that is wanted.
#[derive(Debug, Clone)]
pub struct ClearPlan {
    /// How often the command is tried again.
    pub retries: u32,
    /// How long the shell may take to answer one command.
    pub command_timeout: Duration,
}

impl ClearPlan {
    /// A clear that is tried again this often.
    pub const fn with_retries(retries: u32) -> Self {
        Self {
            retries,
            command_timeout: COMMAND_TIMEOUT,
        }
    }
}

impl LoadPlan {
    /// A plain load of this image.
    pub fn new(image: ImageRef) -> Self {
        Self {
            image,
            policy: Policy::default(),
            prefetch: false,
            force_shell_reload: false,
            retain_dram: false,
            no_wait: false,
            dry_run: false,
            retries: RETRIES,
            clocks_hz: [0; _],
            command_timeout: COMMAND_TIMEOUT,
        }
    }

    fn request(&self, image: AgfiId) -> LoadRequest {
        let mut flags = CommandFlags::empty();
        flags.set(CommandFlags::PREFETCH, self.prefetch);
        flags.set(CommandFlags::FORCE_SHELL_RELOAD, self.force_shell_reload);
        flags.set(CommandFlags::DRAM_DATA_RETENTION, self.retain_dram);
        LoadRequest {
            image,
            flags,
            clocks_hz: self.clocks_hz,
        }
    }
}

/// Loads an image into a slot.
///
/// # Errors
/// When a step does not work, the deadline passes, or its token is cancelled. The error tells what
/// the slot runs then.
pub fn load(
    context: &Context<'_>,
    slot: &Slot,
    plan: &LoadPlan,
    observer: &mut dyn Observer,
    deadline: &Deadline,
) -> Result<LoadReport, Box<SlotError>> {
    let resolve = || context.resolver.resolve(&plan.image, plan.policy, deadline);
    load_with(context, slot, plan, observer, deadline, &resolve)
}

/// Loads what `resolve` finds.
fn load_with(
    context: &Context<'_>,
    slot: &Slot,
    plan: &LoadPlan,
    observer: &mut dyn Observer,
    deadline: &Deadline,
    resolve: &dyn Fn() -> Result<Resolved, ResolveError>,
) -> Result<LoadReport, Box<SlotError>> {
    let mut run = Run::new(context.bus, slot, observer, deadline);
    run.command_timeout = plan.command_timeout;
    let result = load_steps(&mut run, context.command, plan, resolve);
    result.map_err(|failed| run.fail(Operation::Load(plan.image.to_string()), failed))
}

fn load_steps(
    run: &mut Run<'_>,
    command: &str,
    plan: &LoadPlan,
    resolve: &dyn Fn() -> Result<Resolved, ResolveError>,
) -> Result<LoadReport, Failed> {
    run.step(Step::Lock, |run| run.lock(command))?;
    let (image, chosen) = run.step(Step::Resolve, |_| choose(plan, resolve))?;
    run.from_cache = matches!(chosen.source, ChosenBy::Resolver(Source::Cache { .. }));
    run.step(Step::Check, |_| Ok(check::options(plan)?))?;
    let before = command::state(run, Step::Check, plan.retries)?;
    run.step(Step::Check, |run| match &image {
        Some(image) => Ok(check::image(plan, image, run.slot.family, &before)?),
        None => Ok(()),
    })?;
    if !plan.prefetch {
        let ids = image.as_ref().and_then(|image| image.ids);
        let keeps_shell = !plan.force_shell_reload
            && image
                .as_ref()
                .is_some_and(|image| image.shell.is_none_or(|shell| shell == before.shell));
        let next = ids.filter(|_| keeps_shell);
        run.step(Step::Check, |run| {
            driver::check(run, |ids| next == Some(ids))
        })?;
        if !plan.dry_run && !plan.no_wait {
            driver::detach(run)?;
        }
    }
    let mut report = LoadReport {
        slot: run.slot.into(),
        outcome: Outcome::WouldLoad,
        image: chosen,
        before,
        after: None,
        bus: None,
        notes: Vec::new(),
        attempts: Vec::new(),
        steps: Vec::new(),
        took: Duration::ZERO,
    };
    if !plan.dry_run {
        let agfi = report.image.agfi;
        let command = Command::Load(plan.request(agfi));
        let metrics = command::run(run, &command, before.status, plan.retries, !plan.no_wait)?;
        match metrics {
            None => report.outcome = Outcome::Sent,
            Some(metrics) if plan.prefetch => {
                run.step(Step::Verify, |run| verify::cached(run, agfi))?;
                report.outcome = Outcome::Prefetched;
                report.after = Some(run.state(&metrics)?);
            }
            Some(metrics) => {
                let wanted = verify::Wanted::Image {
                    image: image.as_ref().and_then(|image| image.ids),
                    shell: metrics.ids,
                };
                report.notes.extend(command::note(&metrics));
                let shell_changed = run.state(&metrics)?.shell != before.shell;
                report.bus = Some(bring_up(run, &wanted, shell_changed)?);
                report.after = Some(run.state(&metrics)?);
                report.outcome = Outcome::Loaded;
            }
        }
    }
    (report.attempts, report.steps, report.took) = run.finish();
    Ok(report)
}

/// Clears a slot: no image runs then, and its cache of images is empty.
///
/// # Errors
/// As [`load`].
pub fn clear(
    bus: &dyn Bus,
    slot: &Slot,
    command: &str,
    plan: &ClearPlan,
    observer: &mut dyn Observer,
    deadline: &Deadline,
) -> Result<ClearReport, Box<SlotError>> {
    let mut run = Run::new(bus, slot, observer, deadline);
    run.command_timeout = plan.command_timeout;
    let result = clear_steps(&mut run, command, plan.retries);
    result.map_err(|failed| run.fail(Operation::Clear, failed))
}

fn clear_steps(run: &mut Run<'_>, command: &str, retries: u32) -> Result<ClearReport, Failed> {
    run.step(Step::Lock, |run| run.lock(command))?;
    let before = command::state(run, Step::Check, retries)?;
    let cleared = run.slot.family.profile().cleared;
    run.step(Step::Check, |run| {
        driver::check(run, |ids| cleared.same_device(ids))
    })?;
    driver::detach(run)?;
    let metrics = command::run(run, &Command::Clear, before.status, retries, true)?
        .ok_or_else(|| Failed::new(Step::Wait, StepError::Interrupted))?;
    let after = run.state(&metrics)?;
    let shell_changed = after.shell != before.shell;
    let bus = bring_up(run, &verify::Wanted::Cleared, shell_changed)?;
    let (attempts, steps, took) = run.finish();
    Ok(ClearReport {
        slot: run.slot.into(),
        before,
        after,
        bus,
        attempts,
        steps,
        took,
    })
}

/// The last three steps: from what the shell did to what the host sees.
fn bring_up(
    run: &mut Run<'_>,
    wanted: &verify::Wanted,
    shell_changed: bool,
) -> Result<BusReport, Failed> {
    let rescanned = run.step(Step::Rescan, |run| {
        let because = Because::of(run, shell_changed);
        appear::refresh(run.bus, run.slot, wanted, because, run.deadline)
    })?;
    let (function, switched_on) = run.step(Step::Ready, |run| {
        let function = instance::open_function(run.bus, run.slot.app_bdf, run.deadline)?;
        let switched_on = verify::switch_on(run, &*function, wanted)?;
        Ok((function, switched_on))
    })?;
    let found = run.step(Step::Verify, |run| {
        verify::on_the_bus(run, &*function, wanted)
    })?;
    drop(function);
    let driver = match run.driver {
        Some(_) => run.step(Step::Ready, |run| driver::restore(run))?,
        None => None,
    };
    Ok(BusReport {
        rescanned,
        switched_on,
        driver,
        ..found
    })
}

/// What a slot runs and what its shell counted.
///
/// # Errors
/// When the slot's lock is not free in time, or the shell does not answer.
pub fn describe(
    bus: &dyn Bus,
    slot: &Slot,
    command: &str,
    flags: CommandFlags,
    deadline: &Deadline,
) -> Result<(SlotState, Metrics), Box<SlotError>> {
    let mut unobserved = Unobserved;
    let mut run = Run::new(bus, slot, &mut unobserved, deadline);
    let mut steps = || {
        run.step(Step::Lock, |run| run.lock(command))?;
        let metrics = command::describe(&mut run, Step::Check, flags, RETRIES)?;
        Ok((run.state(&metrics)?, metrics))
    };
    let result = steps();
    result.map_err(|failed| run.fail(Operation::Describe, failed))
}

/// Makes the host look at a slot's application function anew, if its view is out of date. Tells
/// why it had to; `None` when it had not.
///
/// # Errors
/// When the slot's lock is not free in time, or the function does not come back.
pub fn rescan(
    bus: &dyn Bus,
    slot: &Slot,
    command: &str,
    deadline: &Deadline,
) -> Result<Option<&'static str>, Box<SlotError>> {
    let mut unobserved = Unobserved;
    let mut run = Run::new(bus, slot, &mut unobserved, deadline);
    let mut steps = || {
        run.step(Step::Lock, |run| run.lock(command))?;
        run.step(Step::Rescan, |run| {
            let anything = verify::Wanted::Anything;
            appear::refresh(bus, slot, &anything, Because::Nothing, run.deadline)
        })
    };
    let result = steps();
    result.map_err(|failed| run.fail(Operation::Describe, failed))
}

/// Resolves, and lets an AGFI id that the cache does not know pass unchecked when the caller has
/// switched the API off.
fn choose(
    plan: &LoadPlan,
    resolve: &dyn Fn() -> Result<Resolved, ResolveError>,
) -> Result<(Option<Image>, Chosen), StepError> {
    let asked = plan.image.to_string();
    match (resolve(), &plan.image) {
        (Ok(resolved), _) => {
            let chosen = Chosen {
                asked,
                agfi: resolved.image.agfi,
                name: resolved.image.name.clone(),
                source: ChosenBy::Resolver(resolved.from),
            };
            Ok((Some(resolved.image), chosen))
        }
        (Err(error), ImageRef::Agfi(agfi)) if plan.policy.offline && error.is_not_cached() => {
            let chosen = Chosen {
                asked,
                agfi: *agfi,
                name: None,
                source: ChosenBy::Unchecked,
            };
            Ok((None, chosen))
        }
        (Err(error), _) => Err(error.into()),
    }
}
