//! The tools that do one thing and end.

use std::io::{self, Write};
use std::time::Duration;

use afi_pcie::mailbox::{Mailbox, MailboxError};
use afi_pcie::slots::Slot;
use afi_pcie::{Bus, Deadline};
use afi_proto::SlotIndex;
use afi_proto::mailbox::{CommandFlags, ErrorCode, Metrics, SlotStatus};

use super::arguments::Arguments;
use super::error::{End, Failure};
use super::{Dialect, Host, metrics, show};
use crate::image::{ImageRef, ParseImageRefError};
use crate::instance::{self, Instance, SlotName};
use crate::lock::SlotLock;
use crate::pipeline::{
    self, ClearPlan, Context, LoadPlan, RETRIES, SlotError, SlotState, StepError, Unobserved,
};
use crate::problem::{Class, Problem};
use crate::resolve::Policy;

/// How long an application function that the host does not see may take to come back. The library
/// looks four times, a second apart (`FPGA_CHECK_APP_PF_*`).
const COME_BACK: Duration = Duration::from_secs(3);
/// How long a shell that was allowed to reload may leave questions unanswered. The library asks 16
/// times, a second apart (`FPGA_MGMT_RL_RELOAD_*`).
const RELOAD: Duration = Duration::from_secs(16);

/// Slots that the tools know (`FPGA_SLOT_MAX`).
const MOST_SLOTS: usize = 8;

/// What a tool works with.
pub(super) struct Work<'a> {
    pub(super) host: &'a Host<'a>,
    pub(super) instance: Result<Instance, Failure>,
    pub(super) arguments: Arguments,
    pub(super) dialect: Dialect,
    pub(super) out: &'a mut dyn Write,
    pub(super) err: &'a mut dyn Write,
}

/// Why a tool did not go on.
pub(super) enum Stop {
    /// What it was asked to do did not work.
    Failed(Failure),
    /// Its output cannot be written.
    Output(io::Error),
    /// It serves until somebody ends it, and somebody has.
    Ended,
}

impl<F: Into<Failure>> From<F> for Stop {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

/// A text where the id of an image belongs.
#[derive(Debug, thiserror::Error)]
enum ImageError {
    /// It begins like an id and is none.
    #[error("no image can be loaded")]
    Slip {
        /// What is wrong with it.
        source: ParseImageRefError,
    },
    /// It is a name or a tag.
    #[error("'{text}' is no image id; wanted 'agfi-' and 17 hexadecimal digits")]
    NoId {
        /// The text.
        text: String,
    },
}

impl Problem for ImageError {
    fn class(&self) -> Class {
        Class::Usage
    }

    fn remedy(&self) -> Option<String> {
        Some("'afi load' takes names and tags too".to_owned())
    }
}

impl Work<'_> {
    pub(super) fn load(&mut self) -> Result<(), Stop> {
        let slot = self.slot()?;
        let arguments = &self.arguments;
        let plan = LoadPlan {
            policy: Policy {
                offline: true,
                ..Policy::default()
            },
            prefetch: arguments.prefetch,
            force_shell_reload: arguments.force_shell_reload,
            retain_dram: arguments.retain_dram,
            no_wait: arguments.no_wait,
            clocks_hz: arguments.clocks_mhz.map(|mhz| u64::from(mhz) * 1_000_000),
            command_timeout: self.one_try(),
            ..LoadPlan::new(image(&arguments.image)?)
        };
        let context = Context {
            bus: self.bus()?,
            resolver: self.host.resolver,
            command: self.host.command,
        };
        let deadline = self.whole();
        let after = match pipeline::load(&context, &slot, &plan, &mut Unobserved, &deadline) {
            Ok(report) => report.after.filter(|_| !arguments.no_wait),
            Err(error) => Some(self.loaded_with_an_error(&slot, error)?),
        };
        match after {
            Some(after) => self.show_image(&after),
            None => Ok(()),
        }
    }

    /// An image that runs although the shell reports an error, such as one that drew too much
    /// power: for the tools it is loaded, and the line tells the error.
    fn loaded_with_an_error(
        &mut self,
        slot: &Slot,
        error: Box<SlotError>,
    ) -> Result<SlotState, Stop> {
        let loaded = match &error.source {
            StepError::EndedAs { status, error, .. } => {
                *status == SlotStatus::LOADED && *error != ErrorCode::OK
            }
            _ => false,
        };
        let asked = self.arguments.image.to_ascii_lowercase();
        let is_asked = |now: &SlotState| now.image.is_some_and(|image| image.to_string() == asked);
        let Some(now) = error.now.filter(|now| loaded && is_asked(now)) else {
            return Err(error.into());
        };
        let failure = Failure::from(error);
        self.say(&failure.report.to_text());
        pipeline::rescan(self.bus()?, slot, self.host.command, &self.whole())?;
        Ok(now)
    }

    pub(super) fn clear(&mut self) -> Result<(), Stop> {
        let slot = self.slot()?;
        if self.arguments.no_wait {
            self.ask(&slot, &self.request_deadline(), |mailbox, deadline| {
                mailbox.clear(deadline)
            })?;
            return Ok(());
        }
        let plan = ClearPlan {
            retries: RETRIES,
            command_timeout: self.one_try(),
        };
        let command = self.host.command;
        let deadline = self.whole();
        let report = pipeline::clear(
            self.bus()?,
            &slot,
            command,
            &plan,
            &mut Unobserved,
            &deadline,
        )?;
        self.show_image(&report.after)
    }

    pub(super) fn describe(&mut self) -> Result<(), Stop> {
        let slot = self.slot()?;
        let mut flags = CommandFlags::empty();
        for (flag, wanted) in [
            (CommandFlags::GET_HW_METRICS, self.arguments.metrics),
            (CommandFlags::CLEAR_HW_METRICS, self.arguments.clear_metrics),
            (CommandFlags::CLEAR_AFI_CACHE, self.arguments.clear_cache),
        ] {
            flags.set(flag, wanted);
        }
        let (state, metrics) = self.ask_state(&slot, flags)?;
        self.show_state(&state)?;
        if self.arguments.rescan {
            let command = self.host.command;
            pipeline::rescan(self.bus()?, &slot, command, &self.request_deadline())?;
        }
        self.show_functions()?;
        if self.arguments.metrics {
            if self.arguments.headers {
                self.print("Metrics\n")?;
            }
            self.print(&metrics::lines(&metrics.body, slot.family, self.dialect))?;
        }
        Ok(())
    }

    /// What the slot runs. A shell that waits for leave to reload gets it, and is asked again.
    fn ask_state(&self, slot: &Slot, flags: CommandFlags) -> Result<(SlotState, Metrics), Failure> {
        let question = |mailbox: &Mailbox, deadline: &Deadline| {
            let metrics = mailbox.describe(flags, deadline)?;
            let state = SlotState::new(&metrics, mailbox.shell_version()?);
            if metrics.status == SlotStatus::LOADING_RL {
                mailbox.agree_to_reload()?;
            }
            Ok((state, metrics))
        };
        let (state, metrics) = self.ask(slot, &self.request_deadline(), question)?;
        if metrics.status != SlotStatus::LOADING_RL {
            return Ok((state, metrics));
        }
        let deadline = self.host.deadline(RELOAD.max(self.request_timeout()));
        self.ask_until(slot, &deadline, question)
    }

    /// Asks a slot's shell under its lock, as often as it may be silent.
    fn ask<T>(
        &self,
        slot: &Slot,
        deadline: &Deadline,
        question: impl Fn(&Mailbox, &Deadline) -> Result<T, MailboxError>,
    ) -> Result<T, Failure> {
        self.ask_some_times(slot, deadline, RETRIES, question)
    }

    /// Asks a slot's shell under its lock, until it answers or the time is up.
    fn ask_until<T>(
        &self,
        slot: &Slot,
        deadline: &Deadline,
        question: impl Fn(&Mailbox, &Deadline) -> Result<T, MailboxError>,
    ) -> Result<T, Failure> {
        self.ask_some_times(slot, deadline, u32::MAX, question)
    }

    fn ask_some_times<T>(
        &self,
        slot: &Slot,
        deadline: &Deadline,
        retries: u32,
        question: impl Fn(&Mailbox, &Deadline) -> Result<T, MailboxError>,
    ) -> Result<T, Failure> {
        let bus = self.bus()?;
        let directory = bus.lock_directory();
        let _lock = SlotLock::acquire(&directory, slot.mgmt.bdf, self.host.command, deadline)?;
        let mailbox = instance::open_mailbox(bus, slot, deadline)?;
        let mut tries = 0;
        loop {
            match question(&mailbox, &deadline.at_most(self.one_try())) {
                Ok(answer) => return Ok(answer),
                Err(error) if tries < retries && may_pass(&error) && deadline.check().is_ok() => {
                    tries += 1;
                    tracing::info!(slot = %slot.index, %error, tries, "will ask again");
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The slots, as far as their application functions are there.
    pub(super) fn describe_slots(&mut self) -> Result<(), Stop> {
        // Without slots, or a bus, there is nothing to tell: that is no error for this tool.
        let slots = match self.slots() {
            Ok(slots) => slots,
            Err(failure) => {
                self.say(&failure.report.to_text());
                return Ok(());
            }
        };
        for slot in slots.into_iter().take(MOST_SLOTS) {
            let slot = match self.bring_back(slot) {
                Ok(slot) => slot,
                Err(failure) => {
                    self.say(&failure.report.to_text());
                    self.say("note: this slot and those after it are not listed\n");
                    return Ok(());
                }
            };
            self.show_slot(&slot, self.arguments.show_mgmt)?;
        }
        Ok(())
    }

    fn slots(&self) -> Result<Vec<Slot>, Failure> {
        Ok(self.instance()?.slots()?)
    }

    /// The slot that is asked for, its application function there.
    pub(super) fn slot(&self) -> Result<Slot, Failure> {
        let name = SlotName::Index(SlotIndex(self.arguments.slot));
        let mut named = self.instance()?.select(name)?;
        // An index names one slot, and `select` gives at least one.
        self.bring_back(named.swap_remove(0))
    }

    /// Lets the host look for an application function that it does not see.
    fn bring_back(&self, slot: Slot) -> Result<Slot, Failure> {
        if slot.app.is_some() {
            return Ok(slot);
        }
        let deadline = self.request_deadline().at_most(COME_BACK);
        let missing = |mut failure: Failure| {
            if failure.end == End::Error(ErrorCode::TIMED_OUT) {
                failure.end = End::Error(ErrorCode::UNRESPONSIVE);
            }
            failure
        };
        pipeline::rescan(self.bus()?, &slot, self.host.command, &deadline)
            .map_err(|error| missing(error.into()))?;
        let app = self.bus()?.function(slot.app_bdf)?;
        Ok(Slot { app, ..slot })
    }

    pub(super) fn instance(&self) -> Result<&Instance, Failure> {
        self.instance.as_ref().map_err(Failure::clone)
    }

    pub(super) fn bus(&self) -> Result<&dyn Bus, Failure> {
        self.instance().map(Instance::bus)
    }

    /// The line of the image, and those of the functions.
    fn show_image(&mut self, state: &SlotState) -> Result<(), Stop> {
        self.show_state(state)?;
        self.show_functions()
    }

    fn show_state(&mut self, state: &SlotState) -> Result<(), Stop> {
        if self.arguments.headers {
            self.print(show::IMAGE_COLUMNS)?;
        }
        self.print(&show::image(self.arguments.slot, state))
    }

    /// The functions of the slot, as the host sees them now.
    fn show_functions(&mut self) -> Result<(), Stop> {
        let slot = self.slot()?;
        self.show_slot(&slot, false)
    }

    fn show_slot(&mut self, slot: &Slot, with_mgmt: bool) -> Result<(), Stop> {
        if self.arguments.headers {
            self.print(show::FUNCTION_COLUMNS)?;
        }
        let mgmt = with_mgmt.then_some(&slot.mgmt);
        for function in slot.app.iter().chain(mgmt) {
            self.print(&show::function(slot.index.0, function))?;
        }
        Ok(())
    }

    /// Writes to standard output.
    pub(super) fn print(&mut self, text: &str) -> Result<(), Stop> {
        self.out.write_all(text.as_bytes()).map_err(Stop::Output)
    }

    /// Writes to standard error; where that cannot be written there is nobody to tell.
    pub(super) fn say(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes());
    }

    /// The end of a load or clear as a whole.
    fn whole(&self) -> Deadline {
        if self.arguments.no_wait {
            return self.request_deadline();
        }
        let limit = self.arguments.sync_timeout;
        self.host
            .deadline(limit.unwrap_or_else(|| self.dialect.sync_timeout()))
    }

    pub(super) fn request_deadline(&self) -> Deadline {
        self.host.deadline(self.request_timeout())
    }

    /// How long the shell may be silent.
    pub(super) fn request_timeout(&self) -> Duration {
        let limit = self.arguments.request_timeout;
        limit.unwrap_or_else(|| self.dialect.request_timeout())
    }

    /// How long it may be silent in one of the tries that share this time.
    fn one_try(&self) -> Duration {
        self.request_timeout() / (RETRIES + 1)
    }
}

/// Whether the same question can be answered a moment later.
const fn may_pass(error: &MailboxError) -> bool {
    match error {
        MailboxError::Shell { error, .. } => error.is_transient(),
        _ => pipeline::is_lost_answer(error),
    }
}

/// The image that a text names by its id.
fn image(text: &str) -> Result<ImageRef, Failure> {
    let problem = match text.parse::<ImageRef>() {
        Ok(image) if image.is_id() => return Ok(image),
        Ok(_) => ImageError::NoId {
            text: text.to_owned(),
        },
        Err(source) => ImageError::Slip { source },
    };
    Err(Failure::new(ErrorCode::INVALID_AFI_ID, &problem))
}
