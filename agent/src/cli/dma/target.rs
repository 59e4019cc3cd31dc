//! Which memory, and how: what all of the commands are told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use afi_pcie::card_memory::{CardMemory, CardMemoryError, Options, Path};
use afi_pcie::slots::Slot;
use afi_proto::{MapRange, MemoryMap};
use clap::{Args, ValueEnum};

use super::Context;
use super::report::Report;
use crate::cli::environment::one_slot;
use crate::cli::values;
use crate::instance::{self, SlotName};
use crate::lock::SlotLock;
use crate::output::ErrorReport;
use crate::output::progress::Bytes;

/// Which memory, and how.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// Number or PCI address
    #[arg(value_name = "SLOT")]
    slot: SlotName,
    /// First address in the card's memory, such as 0x1000 or 4G
    #[arg(long, short, value_name = "ADDRESS", default_value = "0", value_parser = values::size)]
    pub(super) address: u64,
    /// How to reach the memory [default: the best way that works]
    #[arg(long, value_name = "PATH", value_enum)]
    path: Option<PathName>,
    /// The most channels of the engine, or threads of copies, to use at once [default: all
    /// channels, or one thread]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    channels: Option<u8>,
    /// What memory the design has, as BASE+SIZE or NAME=BASE+SIZE, several with commas between
    /// [default: what its ids tell, and for a design that is not known the whole of BAR4]
    #[arg(long, value_name = "RANGES", value_parser = memory_map)]
    memory_map: Option<MemoryMap>,
}

/// A way to the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PathName {
    /// The XDMA engine, driven in user space
    Xdma,
    /// The kernel driver's device files
    Cdev,
    /// Copies by the processor through BAR4
    Pcis,
}

impl From<PathName> for Path {
    fn from(name: PathName) -> Self {
        match name {
            PathName::Xdma => Self::Xdma,
            PathName::Cdev => Self::Cdev,
            PathName::Pcis => Self::Pcis,
        }
    }
}

/// An open memory. Whatever is measured with [`Self::time`] is told in the report.
pub(super) struct Session {
    pub(super) slot: Slot,
    pub(super) memory: CardMemory,
    bytes: Arc<Bytes>,
    started: Instant,
    moving: Duration,
    /// Released after the rest.
    _lock: SlotLock,
}

impl Target {
    /// Takes the slot's lock and opens the memory. `doing` says what for, and `total` is how many
    /// bytes it will be, where that is known: for whoever watches.
    pub(super) fn open(
        &self,
        context: &Context<'_>,
        doing: &str,
        total: Option<u64>,
    ) -> Result<Session, Box<ErrorReport>> {
        let started = Instant::now();
        let Context {
            instance, deadline, ..
        } = *context;
        let bus = instance.bus();
        let slot = one_slot(instance, self.slot)?;
        let directory = bus.lock_directory();
        let lock = SlotLock::acquire(&directory, slot.mgmt.bdf, context.command, deadline)?;
        let function = instance::open_function(bus, slot.app_bdf, deadline)?;
        let what = format!("slot {}: {doing}", slot.index);
        let bytes = Arc::new(context.progress.bytes(what, total));
        let told = Arc::clone(&bytes);
        let options = Options {
            path: self.path.map(Path::from),
            channels: self.channels,
            map: self.memory_map.clone(),
            progress: Some(Arc::new(move |more| told.add(more))),
        };
        let memory = CardMemory::open(bus, &slot, function, options)?;
        Ok(Session {
            slot,
            memory,
            bytes,
            started,
            moving: Duration::ZERO,
            _lock: lock,
        })
    }
}

impl Session {
    /// Does something with the memory, and counts the time.
    pub(super) fn time<T>(
        &mut self,
        work: impl FnOnce(&CardMemory) -> Result<T, CardMemoryError>,
    ) -> Result<T, CardMemoryError> {
        let started = Instant::now();
        let result = work(&self.memory);
        self.moving += started.elapsed();
        result
    }

    /// Whether all of a range is in the memory of the design.
    pub(super) fn check(&self, address: u64, length: u64) -> Result<(), CardMemoryError> {
        Ok(self.memory.map().check(address, length)?)
    }

    /// What there is to tell at the end.
    pub(super) fn report(self, operation: &'static str, address: u64, bytes: u64) -> Report {
        drop(self.bytes);
        Report::new(
            operation,
            &self.slot,
            &self.memory,
            address,
            bytes,
            self.moving,
            self.started.elapsed(),
        )
    }
}

/// `BASE+SIZE` or `NAME=BASE+SIZE`, with commas between.
fn memory_map(text: &str) -> Result<MemoryMap, String> {
    let wanted = || {
        format!(
            "'{text}' is no memory map; wanted ranges as BASE+SIZE or NAME=BASE+SIZE with commas \
             between, such as 0+16G or DDR=0+16G,RAM=0x1000000000+4K"
        )
    };
    let range = |(number, part): (usize, &str)| {
        let (name, place) = match part.split_once('=') {
            Some((name, place)) => (name.trim().to_owned(), place),
            None => (format!("range {number}"), part),
        };
        let (base, size) = place.split_once('+')?;
        Some(MapRange {
            name: name.into(),
            base: values::size(base.trim()).ok()?,
            size: values::size(size.trim()).ok()?,
        })
    };
    let ranges: Option<Vec<_>> = text.split(',').enumerate().map(range).collect();
    MemoryMap::new(ranges.ok_or_else(wanted)?).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_map_has_ranges_with_and_without_names() {
        let map = memory_map("RAM=64G+4K, 0+16G").unwrap();
        assert_eq!(
            map.to_string(),
            "range 1 at 0x0 to 0x3ffffffff, RAM at 0x1000000000 to 0x1000000fff"
        );
        for text in ["", "0", "0+", "a=b=0+1", "0+1K,", "1.5G+1"] {
            assert!(
                memory_map(text).unwrap_err().contains("no memory map"),
                "{text}"
            );
        }
        assert_eq!(
            memory_map("0+2,1+1").unwrap_err(),
            "range 0 and range 1 overlap"
        );
        assert!(memory_map("0+0").unwrap_err().contains("is no range"));
    }

    #[test]
    fn every_path_can_be_asked_for_by_its_name() {
        let names: Vec<_> = PathName::value_variants()
            .iter()
            .map(|name| (Path::from(*name), name.to_possible_value().unwrap()))
            .collect();
        for path in Path::ALL {
            assert!(
                names
                    .iter()
                    .any(|(p, value)| *p == path && value.matches(path.name(), false))
            );
        }
    }
}
