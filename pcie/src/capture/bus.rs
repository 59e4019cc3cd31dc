//! The bus of a capture: what was there to see, and nothing to change.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use afi_proto::{BarIndex, Bdf, Family, config_space};
use tempfile::TempDir;

use super::error::RecordedFailure;
use super::format::{Capture, FunctionRecord, HostView, MailboxRecord};
use super::replay::ReplayedMailbox;
use crate::bus::{Bus, Caching, DmaMapping, DmaRequest, Function, FunctionInfo, Watch};
use crate::{Bar, BusError};

/// The bus of an instance as it was when a capture was taken.
#[derive(Debug)]
pub struct CaptureBus {
    file: PathBuf,
    capture: Capture,
    /// What is done with this bus happens in this process alone: nobody else has to meet its locks.
    locks: TempDir,
}

impl CaptureBus {
    /// Opens the bus in a file.
    ///
    /// # Errors
    /// When it is no capture, or there is no place for a temporary directory.
    pub fn open(file: &Path) -> Result<Self, BusError> {
        let capture = Capture::read(file).map_err(|source| BusError::Capture {
            path: file.to_owned(),
            source,
        })?;
        let made = tempfile::Builder::new().prefix("afi-capture-").tempdir();
        let locks = made.map_err(BusError::io(
            "make a directory for locks in",
            std::env::temp_dir(),
        ))?;
        Ok(Self {
            file: file.to_owned(),
            capture,
            locks,
        })
    }

    /// What is in the file.
    pub const fn capture(&self) -> &Capture {
        &self.capture
    }
}

impl Bus for CaptureBus {
    fn name(&self) -> String {
        format!("capture:{}", self.file.display())
    }

    fn functions(&self) -> Result<Vec<FunctionInfo>, BusError> {
        if let Some(failure) = &self.capture.listing_failure {
            let source = failure.clone();
            return Err(BusError::Recorded { source });
        }
        let mut functions: Vec<_> = self.capture.functions.iter().map(info).collect();
        functions.sort_by_key(|function| function.bdf);
        Ok(functions)
    }

    fn open(&self, bdf: Bdf) -> Result<Arc<dyn Function>, BusError> {
        let of_function = |record: &&FunctionRecord| record.bdf == bdf;
        let record = self.capture.functions.iter().find(of_function);
        let record = record.ok_or(BusError::NotFound { bdf })?.clone();
        let of_mailbox = |mailbox: &&MailboxRecord| mailbox.bdf == bdf;
        let mailbox = self.capture.mailboxes.iter().find(of_mailbox).cloned();
        Ok(Arc::new(CapturedFunction { record, mailbox }))
    }

    fn remove(&self, _bdf: Bdf) -> Result<(), BusError> {
        Err(unsupported("remove functions: it shows what was"))
    }

    fn rescan(&self, _near: Bdf) -> Result<(), BusError> {
        Err(unsupported("rescan: it shows what was"))
    }

    fn watch(&self) -> Result<Box<dyn Watch>, BusError> {
        Err(unsupported("watch for changes: it shows what was"))
    }

    fn lock_directory(&self) -> PathBuf {
        self.locks.path().to_owned()
    }

    fn host_view(&self, of: Option<Bdf>) -> HostView {
        let Some(bdf) = of else {
            return self.capture.machine.host.clone();
        };
        let mut functions = self.capture.functions.iter();
        let record = functions.find(|record| record.bdf == bdf);
        record.map_or_else(HostView::default, |record| record.host.clone())
    }
}

/// A function of a capture.
struct CapturedFunction {
    record: FunctionRecord,
    /// Of a management function whose mailbox was to be asked.
    mailbox: Option<MailboxRecord>,
}

impl CapturedFunction {
    /// Why something of the function is missing, if the capture tells.
    fn failure(&self) -> Option<RecordedFailure> {
        self.record.failures.first().cloned()
    }

    /// The mailbox, or why there is none.
    fn mailbox(&self) -> Result<Bar, BusError> {
        let Some(mailbox) = &self.mailbox else {
            let what = "answer for a function whose mailbox was not asked";
            return Err(unsupported(what));
        };
        if mailbox.shell_version.is_none() {
            let failure = mailbox.failures.first().cloned();
            return Err(failure.or_else(|| self.failure()).map_or_else(
                || unsupported("answer for a mailbox that was not opened"),
                |source| BusError::Recorded { source },
            ));
        }
        let bar = BarIndex::BAR0;
        let bytes = self.record.bars.get(&bar.get()).copied();
        let bytes = bytes.or_else(|| usual_size(self.record.ids.into(), bar));
        let region = Arc::new(ReplayedMailbox::new(mailbox.clone()));
        Ok(Bar::trapped(region, bytes.unwrap_or_default()))
    }
}

impl Function for CapturedFunction {
    fn bdf(&self) -> Bdf {
        self.record.bdf
    }

    fn read_config(&self, offset: u16, data: &mut [u8]) -> Result<(), BusError> {
        let (start, length) = (usize::from(offset), data.len());
        if let Some(bytes) = self.record.config.0.get(start..start + length) {
            data.copy_from_slice(bytes);
            return Ok(());
        }
        match self.failure() {
            Some(source) if start + length <= config_space::SIZE => {
                Err(BusError::Recorded { source })
            }
            _ => Err(BusError::NoConfig {
                bdf: self.record.bdf,
                offset,
                length,
            }),
        }
    }

    fn write_config(&self, _offset: u16, _data: &[u8]) -> Result<(), BusError> {
        Err(unsupported("write configuration space: it shows what was"))
    }

    fn bar_size(&self, index: BarIndex) -> Result<Option<u64>, BusError> {
        Ok(self.record.bars.get(&index.get()).copied())
    }

    fn bar(&self, index: BarIndex, _caching: Caching) -> Result<Bar, BusError> {
        let is_management = Family::of_management_function(self.record.ids.into()).is_some();
        if is_management && index == BarIndex::BAR0 {
            return self.mailbox();
        }
        match self.bar_size(index)? {
            None => Err(BusError::NoBar {
                bdf: self.record.bdf,
                bar: index,
            }),
            Some(_) => Err(unsupported("access BARs: they were not read")),
        }
    }

    fn map_dma(&self, _request: DmaRequest) -> Result<DmaMapping, BusError> {
        Err(unsupported("map memory for DMA: there is no device"))
    }

    fn msix(&self, _vector: u16) -> Result<OwnedFd, BusError> {
        Err(unsupported("receive interrupts: there is no device"))
    }

    fn reset(&self) -> Result<(), BusError> {
        Err(unsupported("reset functions: it shows what was"))
    }
}

fn info(record: &FunctionRecord) -> FunctionInfo {
    FunctionInfo {
        bdf: record.bdf,
        ids: record.ids.into(),
        driver: record.driver.clone(),
        numa_node: record.numa_node,
    }
}

/// The size that a BAR of a management function with these ids has.
fn usual_size(ids: afi_proto::PciIds, bar: BarIndex) -> Option<u64> {
    let profile = Family::of_management_function(ids)?.profile();
    let mut bars = profile.mgmt_bars.iter();
    Some(bars.find(|spec| spec.index == bar)?.size)
}

const fn unsupported(what: &'static str) -> BusError {
    BusError::Unsupported {
        bus: "capture",
        what,
    }
}
