//! What every command works with: settings, instance, time limit, and how to be interrupted.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use afi_pcie::capture::ConfigurationFile;
use afi_pcie::mailbox::Mailbox;
use afi_pcie::slots::Slot;
use afi_pcie::{Bus, Cancel, Deadline};

use crate::cloud::{self, CloudOptions};
use crate::instance::{self, Instance, InstanceError, SlotName};
use crate::lock::SlotLock;
use crate::output::ErrorReport;
use crate::output::progress::Progress;
use crate::problem::{Class, Problem};
use crate::resolve::Resolver;
use crate::resolve::cache::ImageCache;
use crate::settings::{CONFIG_FILE, Given, Settings, SettingsError};
use crate::signals;

/// Characters of the command line that others are told who wait for a lock.
const LONGEST_COMMAND: usize = 200;

/// What a command works with.
pub(super) struct Environment {
    pub(super) settings: Settings,
    /// Where the settings are from, for a report on a fault.
    pub(super) configuration_file: ConfigurationFile,
    pub(super) deadline: Deadline,
    /// The command line, for lock files.
    pub(super) command: String,
    verbose: bool,
}

/// What a person asked for that cannot be.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskedError {
    /// A signal handler cannot be set.
    #[error("cannot listen to signals")]
    Signals {
        /// What the system said.
        source: io::Error,
    },
    /// `all` where one slot is wanted.
    #[error("this command works on one slot; 'all' names {count}")]
    OneSlot {
        /// How many slots there are.
        count: usize,
    },
}

impl Problem for AskedError {
    fn class(&self) -> Class {
        match self {
            Self::Signals { .. } => Class::Failed,
            Self::OneSlot { .. } => Class::Usage,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Signals { .. } => None,
            Self::OneSlot { .. } => Some("name one of them; 'afi list' shows them".to_owned()),
        }
    }
}

impl From<AskedError> for Box<ErrorReport> {
    fn from(error: AskedError) -> Self {
        Self::new(ErrorReport::new(&error))
    }
}

impl Environment {
    pub(super) fn new(given: Given, verbose: bool) -> Result<Self, Box<ErrorReport>> {
        let file = named(&given);
        let settings = Settings::load(given, variable)?;
        Self::with(settings, found(file, None), verbose)
    }

    /// As [`Self::new`], and a configuration file that is wrong is noted instead of being in the
    /// way.
    pub(super) fn for_report(given: Given, verbose: bool) -> Result<Self, Box<ErrorReport>> {
        let file = named(&given);
        let (settings, problem) = match Settings::load(given.clone(), variable) {
            Ok(settings) => (settings, None),
            Err(error) => (
                Settings::without_file(given, variable),
                Some(without_contents(&error)),
            ),
        };
        Self::with(settings, found(file, problem), verbose)
    }

    fn with(
        settings: Settings,
        configuration_file: ConfigurationFile,
        verbose: bool,
    ) -> Result<Self, Box<ErrorReport>> {
        let cancel = Cancel::default();
        signals::end_waits(&cancel).map_err(|source| AskedError::Signals { source })?;
        let deadline = Deadline::after(settings.timeout).with_cancel(&cancel);
        Ok(Self {
            settings,
            configuration_file,
            deadline,
            command: command_line(std::env::args()),
            verbose,
        })
    }

    /// The instance. Opened by the commands, as some of them need none.
    pub(super) fn instance(&self) -> Result<Instance, InstanceError> {
        Instance::open(&self.settings.bus)
    }

    /// Where progress is shown.
    pub(super) fn progress(&self) -> Progress {
        Progress::new(self.verbose)
    }

    /// Who knows images. Nobody is asked before it is used.
    pub(super) fn resolver(&self) -> Resolver {
        let cloud = cloud::connect(CloudOptions::default());
        Resolver::new(
            cloud,
            ImageCache::in_directory(&self.settings.state_directory),
        )
    }

    /// Takes a slot's lock.
    pub(super) fn lock(&self, bus: &dyn Bus, slot: &Slot) -> Result<SlotLock, Box<ErrorReport>> {
        let directory = bus.lock_directory();
        let mgmt = slot.mgmt.bdf;
        Ok(SlotLock::acquire(
            &directory,
            mgmt,
            &self.command,
            &self.deadline,
        )?)
    }

    /// Takes a slot's lock and opens its mailbox. The lock has to outlive the mailbox: bound in one
    /// pattern, the mailbox goes first.
    pub(super) fn mailbox(
        &self,
        bus: &dyn Bus,
        slot: &Slot,
    ) -> Result<(SlotLock, Mailbox), Box<ErrorReport>> {
        let lock = self.lock(bus, slot)?;
        let mailbox = instance::open_mailbox(bus, slot, &self.deadline)?;
        Ok((lock, mailbox))
    }
}

/// The one slot of this name.
pub(super) fn one_slot(instance: &Instance, name: SlotName) -> Result<Slot, Box<ErrorReport>> {
    let mut slots = instance.select(name)?;
    match (slots.len(), slots.pop()) {
        (1, Some(slot)) => Ok(slot),
        (count, _) => Err(AskedError::OneSlot { count }.into()),
    }
}

/// The configuration file that is read.
fn named(given: &Given) -> PathBuf {
    let named = given.config.clone();
    named.unwrap_or_else(|| CONFIG_FILE.into())
}

/// What became of a configuration file.
fn found(file: PathBuf, problem: Option<String>) -> ConfigurationFile {
    ConfigurationFile {
        used: problem.is_none() && file.exists(),
        path: file.display().to_string(),
        problem,
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// What is wrong with a configuration file, without a word of what is in it.
fn without_contents(error: &SettingsError) -> String {
    match error {
        SettingsError::Read { source, .. } => format!("it cannot be read: {source}"),
        SettingsError::Invalid { line, .. } => format!("line {line} is not understood"),
    }
}

/// The command line as a person typed it, near enough and not too long.
fn command_line(arguments: impl Iterator<Item = String>) -> String {
    let rest: Vec<String> = arguments.skip(1).collect();
    let line = format!("afi {}", rest.join(" "));
    line.trim_end().chars().take(LONGEST_COMMAND).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_that_of_afi_whatever_the_program_is_called() {
        let line = |arguments: &[&str]| command_line(arguments.iter().map(|a| (*a).to_owned()));
        assert_eq!(line(&["/usr/bin/afi", "load", "0", "x"]), "afi load 0 x");
        assert_eq!(line(&["afi"]), "afi");
        assert_eq!(line(&["afi", &"x".repeat(500)]).len(), LONGEST_COMMAND);
    }
}
