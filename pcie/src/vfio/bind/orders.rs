//! Orders to the kernel about the drivers of functions, each with the order that undoes it.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use afi_proto::Bdf;

use super::error::{BindError, NotUndone};
use super::kernel::Kernel;
use crate::vfio::places::Places;
use crate::{Backoff, Deadline};

/// How long each order that undoes another may take, whatever has become of the deadline.
const UNDO: Duration = Duration::from_secs(5);
/// How long a driver may take to be there after the kernel has found it: it is, as a rule, when the
/// order is done.
const TAKEN: Duration = Duration::from_secs(2);
/// What the file `driver_override` says when no driver is told.
const NO_OVERRIDE: &str = "(null)";

/// Orders that were given, and how they are undone.
pub(super) struct Orders<'a> {
    places: &'a Places,
    kernel: &'a dyn Kernel,
    deadline: &'a Deadline,
    /// In the order in which they were given.
    given: Vec<Undo>,
}

/// What undoes an order.
enum Undo {
    /// The driver that was told before; empty for none.
    Override { bdf: Bdf, driver: String },
    /// Bind it to the driver that it was on.
    Bind { bdf: Bdf, driver: String },
    /// Take it off whatever driver it is on.
    Unbind { bdf: Bdf },
}

impl<'a> Orders<'a> {
    pub(super) const fn new(
        places: &'a Places,
        kernel: &'a dyn Kernel,
        deadline: &'a Deadline,
    ) -> Self {
        Self {
            places,
            kernel,
            deadline,
            given: Vec::new(),
        }
    }

    /// The driver that a function is on.
    pub(super) fn driver_of(&self, bdf: Bdf) -> Result<Option<String>, BindError> {
        let driver = self.places.driver_of(bdf);
        driver.map_err(|source| look(self.places.device(bdf).join("driver"), source))
    }

    /// Tells the kernel the one driver that a function may be on; `None` for whichever fits.
    pub(super) fn set_override(&mut self, bdf: Bdf, driver: Option<&str>) -> Result<(), BindError> {
        let path = self.override_file(bdf);
        let before = fs::read_to_string(&path).map_err(|source| look(path.clone(), source))?;
        let before = before.trim_end();
        let driver_before = if before == NO_OVERRIDE { "" } else { before };
        self.given.push(Undo::Override {
            bdf,
            driver: driver_before.to_owned(),
        });
        self.order(path, &line(driver.unwrap_or_default()))
    }

    /// Takes a function off its driver, and tells which that was.
    pub(super) fn unbind(&mut self, bdf: Bdf) -> Result<Option<String>, BindError> {
        let before = self.driver_of(bdf)?;
        if let Some(driver) = &before {
            let path = self.places.driver(driver).join("unbind");
            self.given.push(Undo::Bind {
                bdf,
                driver: driver.clone(),
            });
            self.order(path, &bdf.to_string())?;
        }
        Ok(before)
    }

    /// Lets the kernel find a driver for a function.
    pub(super) fn probe(&mut self, bdf: Bdf) -> Result<(), BindError> {
        self.given.push(Undo::Unbind { bdf });
        self.order(self.probe_file(), &bdf.to_string())
    }

    /// Waits until a function is on a driver that the kernel was told to find for it.
    pub(super) fn wait_for(&self, bdf: Bdf, driver: &'static str) -> Result<(), BindError> {
        let deadline = self.deadline.at_most(TAKEN);
        let mut backoff = Backoff::up_to(Duration::from_millis(5));
        loop {
            let found = self.driver_of(bdf)?;
            if found.as_deref() == Some(driver) {
                return Ok(());
            }
            backoff
                .wait(&deadline)
                .map_err(|source| BindError::OtherDriver {
                    driver,
                    found,
                    source,
                    undone: NotUndone::default(),
                })?;
        }
    }

    /// Undoes everything, last first, and gives the error that was the reason.
    pub(super) fn undo(mut self, failed: BindError) -> BindError {
        let deadline = Deadline::after(UNDO);
        let mut not_undone = Vec::new();
        while let Some(undo) = self.given.pop() {
            let Some((path, text)) = self.undoing(&undo) else {
                continue;
            };
            match self.kernel.order(&path, &text, &deadline) {
                Ok(Ok(())) => {}
                // There was nothing to undo, or nothing is left to undo it on.
                Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {}
                Ok(Err(error)) => not_undone.push(told(&path, &text, &error)),
                Err(ended) => not_undone.push(told(&path, &text, &ended)),
            }
        }
        failed.with(not_undone)
    }

    /// The order that undoes another, unless nothing has to be done.
    fn undoing(&self, undo: &Undo) -> Option<(PathBuf, String)> {
        let on = |bdf| self.places.driver_of(bdf).ok().flatten();
        match undo {
            Undo::Override { bdf, driver } => Some((self.override_file(*bdf), line(driver))),
            Undo::Bind { bdf, driver } if on(*bdf).as_ref() != Some(driver) => {
                Some((self.places.driver(driver).join("bind"), bdf.to_string()))
            }
            Undo::Unbind { bdf } => {
                let driver = on(*bdf)?;
                Some((self.places.driver(&driver).join("unbind"), bdf.to_string()))
            }
            Undo::Bind { .. } => None,
        }
    }

    fn order(&self, path: PathBuf, text: &str) -> Result<(), BindError> {
        tracing::debug!(path = %path.display(), text = text.trim_end(), "order to the kernel");
        let undone = NotUndone::default();
        let text_told = text.trim_end().to_owned();
        match self.kernel.order(&path, text, self.deadline) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(source)) => Err(BindError::Order {
                text: text_told,
                path,
                source,
                undone,
            }),
            Err(source) => Err(BindError::Unfinished {
                text: text_told,
                path,
                source,
                undone,
            }),
        }
    }

    fn override_file(&self, bdf: Bdf) -> PathBuf {
        self.places.device(bdf).join("driver_override")
    }

    fn probe_file(&self) -> PathBuf {
        self.places.sys.join("bus/pci/drivers_probe")
    }
}

/// A driver as the file `driver_override` takes it: an empty line for none.
fn line(driver: &str) -> String {
    format!("{driver}\n")
}

fn look(path: PathBuf, source: std::io::Error) -> BindError {
    let undone = NotUndone::default();
    BindError::Look {
        path,
        source,
        undone,
    }
}

fn told(path: &std::path::Path, text: &str, error: &dyn std::error::Error) -> String {
    let text = text.trim_end();
    format!(
        "'{text}' could not be written to {}: {error}",
        path.display()
    )
}
