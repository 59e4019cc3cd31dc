//! What the steps of one operation share: the slot, its lock and mailbox, the times, the tries.

use std::time::{Duration, Instant};

use afi_pcie::mailbox::Mailbox;
use afi_pcie::slots::Slot;
use afi_pcie::{Bus, Deadline};
use afi_proto::mailbox::{CommandFlags, Metrics};

use super::COMMAND_TIMEOUT;
use super::appear::{self, Because};
use super::error::{Operation, SlotError, StepError};
use super::report::SlotState;
use super::step::{Attempt, Event, Observer, Step, StepTime};
use super::verify::Wanted;
use crate::instance;
use crate::lock::SlotLock;

/// How long the slot is asked, after a failure, what it runs now.
const LAST_LOOK: Duration = Duration::from_millis(500);
/// How long the host may take, after a failure, to see what is on the bus now.
const LAST_RESCAN: Duration = Duration::from_secs(1);

/// One operation on one slot.
pub(super) struct Run<'a> {
    pub(super) bus: &'a dyn Bus,
    pub(super) slot: &'a Slot,
    pub(super) deadline: &'a Deadline,
    /// How long the shell may take to answer one command.
    pub(super) command_timeout: Duration,
    /// Whether a command was sent that changes the slot.
    pub(super) touched: bool,
    /// The kernel driver that the application function was on.
    pub(super) driver: Option<String>,
    /// Whether the function was taken from it.
    pub(super) detached: bool,
    /// Whether what is known of the image comes from the cache.
    pub(super) from_cache: bool,
    observer: &'a mut dyn Observer,
    started: Instant,
    times: Vec<StepTime>,
    attempts: Vec<Attempt>,
    mailbox: Option<Mailbox>,
    /// Released after everything else.
    lock: Option<SlotLock>,
}

/// A step that did not work.
pub(super) struct Failed {
    pub(super) step: Step,
    pub(super) source: Box<StepError>,
}

impl Failed {
    pub(super) fn new(step: Step, source: impl Into<StepError>) -> Self {
        let source = Box::new(source.into());
        Self { step, source }
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(
        bus: &'a dyn Bus,
        slot: &'a Slot,
        observer: &'a mut dyn Observer,
        deadline: &'a Deadline,
    ) -> Self {
        Self {
            bus,
            slot,
            deadline,
            command_timeout: COMMAND_TIMEOUT,
            touched: false,
            driver: None,
            detached: false,
            from_cache: false,
            observer,
            started: Instant::now(),
            times: Vec::new(),
            attempts: Vec::new(),
            mailbox: None,
            lock: None,
        }
    }

    /// Takes a step, and the time of it. Times of the same step add up.
    pub(super) fn step<T>(
        &mut self,
        step: Step,
        work: impl FnOnce(&mut Self) -> Result<T, StepError>,
    ) -> Result<T, Failed> {
        self.observer.event(self.slot.index, Event::Begin(step));
        let started = Instant::now();
        let result = match self.deadline.check() {
            Err(afi_pcie::Ended::Cancelled) => Err(StepError::Interrupted),
            _ => work(self),
        };
        let took = started.elapsed();
        self.observer.event(self.slot.index, Event::End(step, took));
        tracing::info!(slot = %self.slot.index, %step, ?took, ok = result.is_ok(), "step done");
        match self.times.iter_mut().find(|time| time.step == step) {
            Some(time) => time.took += took,
            None => self.times.push(StepTime { step, took }),
        }
        result.map_err(|source| Failed::new(step, source))
    }

    /// Records a try; one with a pause will be followed by another.
    pub(super) fn attempt(&mut self, attempt: Attempt) {
        if attempt.pause.is_some() {
            let error = attempt.error.as_deref().unwrap_or_default();
            let (number, pause) = (attempt.number, attempt.pause);
            tracing::info!(slot = %self.slot.index, number, error, ?pause, "will try again");
            self.observer.event(self.slot.index, Event::Retry(&attempt));
        }
        self.attempts.push(attempt);
    }

    /// Takes the slot's lock.
    pub(super) fn lock(&mut self, command: &str) -> Result<(), StepError> {
        let directory = self.bus.lock_directory();
        let mgmt = self.slot.mgmt.bdf;
        self.lock = Some(SlotLock::acquire(&directory, mgmt, command, self.deadline)?);
        Ok(())
    }

    /// The slot's mailbox, opened at the first use.
    pub(super) fn mailbox(&mut self) -> Result<&Mailbox, StepError> {
        debug_assert!(self.lock.is_some(), "the mailbox is used under the lock");
        let mailbox = match self.mailbox.take() {
            Some(mailbox) => mailbox,
            None => instance::open_mailbox(self.bus, self.slot, self.deadline)?,
        };
        Ok(self.mailbox.insert(mailbox))
    }

    /// What the slot runs, from what its shell has just answered.
    pub(super) fn state(&mut self, metrics: &Metrics) -> Result<SlotState, Failed> {
        let version = self.mailbox().and_then(|m| Ok(m.shell_version()?));
        version
            .map(|shell| SlotState::new(metrics, shell))
            .map_err(|source| Failed::new(Step::Verify, source))
    }

    /// The tries, the times, and the time in all.
    pub(super) fn finish(&mut self) -> (Vec<Attempt>, Vec<StepTime>, Duration) {
        let attempts = std::mem::take(&mut self.attempts);
        let times = std::mem::take(&mut self.times);
        (attempts, times, self.started.elapsed())
    }

    /// The error of the operation, with what the slot runs now, as far as its shell still tells.
    pub(super) fn fail(mut self, operation: Operation, failed: Failed) -> Box<SlotError> {
        let now = self.last_look();
        let settled = now.is_some_and(|now| !now.status.is_transient());
        let may_differ = settled && failed.step < Step::Rescan;
        // Whatever has become of the shell: a function that was taken away has to come back.
        if may_differ || self.detached {
            self.last_rescan();
        }
        let (attempts, steps, _) = self.finish();
        Box::new(SlotError {
            slot: self.slot.into(),
            operation,
            step: failed.step,
            source: *failed.source,
            touched: self.touched,
            from_cache: self.from_cache,
            now,
            attempts,
            steps,
        })
    }

    /// Lets the host see what a command has left that did not work: the image that ran before may
    /// be gone from the bus.
    fn last_rescan(&self) {
        let deadline = Deadline::after(LAST_RESCAN);
        let because = Because::of(self, false);
        let refreshed = appear::refresh(self.bus, self.slot, &Wanted::Anything, because, &deadline);
        if let Err(error) = refreshed {
            tracing::debug!(slot = %self.slot.index, %error, "the host's view may be out of date");
        }
    }

    /// Asks the shell once more, for a moment, whatever has become of the deadline.
    fn last_look(&self) -> Option<SlotState> {
        let mailbox = self.mailbox.as_ref().filter(|_| self.touched)?;
        let deadline = Deadline::after(LAST_LOOK);
        let look = || {
            let metrics = mailbox.describe(CommandFlags::empty(), &deadline)?;
            mailbox
                .shell_version()
                .map(|shell| SlotState::new(&metrics, shell))
        };
        look()
            .inspect_err(|error| {
                tracing::debug!(slot = %self.slot.index, %error, "no last look at the slot");
            })
            .ok()
    }
}
