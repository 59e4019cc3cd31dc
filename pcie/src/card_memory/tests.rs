//! Card memory over a function whose BAR4 is memory of this process.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use afi_proto::config_space::{COMMAND, Command};
use afi_proto::{BarIndex, Family, MapRange, MemoryMapError};

use super::*;
use crate::bus::{Caching, DmaMapping, DmaRequest, Watch};
use crate::pcis::WINDOW;
use crate::slots::{self, Slot};
use crate::{Bar, Bus, BusError, Cancel, Ended, FunctionInfo, SharedMemory};

const LENGTH: u64 = 4 * WINDOW;
const MGMT: &str = "0000:34:00.1";
const APP: &str = "0000:34:00.0";
/// A design that nobody knows.
const CUSTOM: PciIds = PciIds::new(0x1D0F, 0xF0AA, 0xFEDC, 0x1D51);
const DRAM: PciIds = PciIds::new(0x1D0F, 0xF001, 0xFEDC, 0x1D51);
const CLEARED: PciIds = PciIds::new(0x1D0F, 0x9048, 0, 0);

/// An application function. Every window that is opened is written down.
struct Card {
    memory: SharedMemory,
    config: Mutex<[u8; 64]>,
    windows: Mutex<Vec<Range<u64>>>,
}

impl Card {
    fn set_ids(&self, ids: PciIds) {
        let mut config = self.config.lock().unwrap();
        config[..2].copy_from_slice(&ids.vendor.to_le_bytes());
        config[2..4].copy_from_slice(&ids.device.to_le_bytes());
        config[0x2C..0x2E].copy_from_slice(&ids.subsystem_vendor.to_le_bytes());
        config[0x2E..0x30].copy_from_slice(&ids.subsystem.to_le_bytes());
    }
}

impl Function for Card {
    fn bdf(&self) -> Bdf {
        APP.parse().unwrap()
    }

    fn read_config(&self, offset: u16, data: &mut [u8]) -> Result<(), BusError> {
        let (at, config) = (usize::from(offset), self.config.lock().unwrap());
        data.copy_from_slice(&config[at..at + data.len()]);
        Ok(())
    }

    fn write_config(&self, offset: u16, data: &[u8]) -> Result<(), BusError> {
        let at = usize::from(offset);
        self.config.lock().unwrap()[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn bar_size(&self, index: BarIndex) -> Result<Option<u64>, BusError> {
        Ok((index == BarIndex::BAR4).then_some(LENGTH))
    }

    fn bar(&self, bar: BarIndex, _: Caching) -> Result<Bar, BusError> {
        if bar != BarIndex::BAR4 {
            return Err(BusError::NoBar {
                bdf: self.bdf(),
                bar,
            });
        }
        Ok(Bar::mapped(self.memory.mapping().clone()))
    }

    fn bar_range(
        &self,
        index: BarIndex,
        caching: Caching,
        range: Range<u64>,
    ) -> Result<Bar, BusError> {
        assert_eq!(caching, Caching::WriteCombining);
        self.windows.lock().unwrap().push(range.clone());
        Ok(self.bar(index, caching)?.part(range).unwrap())
    }

    fn map_dma(&self, _: DmaRequest) -> Result<DmaMapping, BusError> {
        Err(unsupported())
    }

    fn msix(&self, _: u16) -> Result<OwnedFd, BusError> {
        Err(unsupported())
    }

    fn reset(&self) -> Result<(), BusError> {
        Err(unsupported())
    }
}

fn unsupported() -> BusError {
    let (bus, what) = ("test", "do that");
    BusError::Unsupported { bus, what }
}

struct OneCard {
    card: Arc<Card>,
    driver: Option<&'static str>,
}

impl Bus for OneCard {
    fn name(&self) -> String {
        "test".to_owned()
    }

    fn functions(&self) -> Result<Vec<FunctionInfo>, BusError> {
        let info = |bdf: &str, ids| FunctionInfo {
            bdf: bdf.parse().unwrap(),
            ids,
            driver: self.driver.map(str::to_owned),
            numa_node: None,
        };
        let mgmt = PciIds::new(0x1D0F, 0x9248, 0, 0);
        Ok(vec![info(APP, CUSTOM), info(MGMT, mgmt)])
    }

    fn open(&self, _: Bdf) -> Result<Arc<dyn Function>, BusError> {
        Ok(Arc::<Card>::clone(&self.card))
    }

    fn remove(&self, _: Bdf) -> Result<(), BusError> {
        Err(unsupported())
    }

    fn rescan(&self, _: Bdf) -> Result<(), BusError> {
        Err(unsupported())
    }

    fn watch(&self) -> Result<Box<dyn Watch>, BusError> {
        Err(unsupported())
    }

    fn lock_directory(&self) -> PathBuf {
        std::env::temp_dir()
    }
}

impl OneCard {
    fn new(ids: PciIds) -> Self {
        let card = Card {
            memory: SharedMemory::new("card", LENGTH).unwrap(),
            config: Mutex::new([0; 64]),
            windows: Mutex::default(),
        };
        card.set_ids(ids);
        Self {
            card: Arc::new(card),
            driver: None,
        }
    }

    fn slot(&self) -> Slot {
        slots::discover(self).unwrap().remove(0)
    }

    fn memory(&self, options: Options) -> Result<CardMemory, CardMemoryError> {
        self.slot().memory(self, options)
    }

    fn bytes(&self, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.card.memory.mapping().copy_out(at, &mut bytes).unwrap();
        bytes
    }
}

fn map(ranges: &[(u64, u64)]) -> Option<MemoryMap> {
    let range = |(base, size): &(u64, u64)| MapRange {
        name: "RAM".into(),
        base: *base,
        size: *size,
    };
    Some(MemoryMap::new(ranges.iter().map(range).collect()).unwrap())
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn data(length: usize) -> Vec<u8> {
    let mut data = vec![0; length];
    Pattern::Random(1).put(0, 0, &mut data);
    data
}

#[test]
fn what_is_written_is_read_across_windows_and_only_those_are_mapped() {
    let bus = OneCard::new(CUSTOM);
    let told = Arc::new(AtomicU64::new(0));
    let progress = Arc::clone(&told);
    let memory = bus
        .memory(Options {
            progress: Some(Arc::new(move |bytes| {
                progress.fetch_add(bytes, Ordering::Relaxed);
            })),
            channels: Some(3),
            ..Options::default()
        })
        .unwrap();
    assert_eq!(memory.path(), Path::Pcis);
    let start = 2 * WINDOW - (5 << 20) - 3;
    let written = data((9 << 20) + 5);
    memory.write(start, &written, &deadline()).unwrap();
    assert!(bus.bytes(start, written.len()) == written);
    assert_eq!(bus.bytes(start - 8, 8), [0; 8]);
    let mut read = vec![0; written.len()];
    memory.read(start, &mut read, &deadline()).unwrap();
    assert!(read == written);
    assert_eq!(told.load(Ordering::Relaxed), 2 * written.len() as u64);
    let mut windows: Vec<u64> = bus
        .card
        .windows
        .lock()
        .unwrap()
        .iter()
        .map(|w| w.start)
        .collect();
    windows.sort_unstable();
    windows.dedup();
    assert_eq!(windows, [0, WINDOW, 2 * WINDOW], "the last one is not used");
}

#[test]
fn better_paths_are_passed_over_with_the_reason() {
    let mut bus = OneCard::new(CUSTOM);
    let memory = bus.memory(Options::default()).unwrap();
    let reasons: Vec<_> = memory
        .passed_over()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        reasons.contains(&"cdev: no kernel driver 'xdma' has the function".to_owned()),
        "{reasons:?}"
    );
    bus.driver = Some("xdma");
    let refused = bus.memory(Options {
        path: Some(Path::Cdev),
        ..Options::default()
    });
    let refused = refused.unwrap_err();
    assert!(
        matches!(&refused, CardMemoryError::Unavailable { path: Path::Cdev, source, .. }
            if matches!(**source, WhyNot::Cdev { .. })),
        "{refused}"
    );
}

#[test]
fn an_address_without_memory_is_refused_before_anything_moves() {
    let bus = OneCard::new(CUSTOM);
    let memory = bus.memory(Options {
        map: map(&[(0x1000, 0x1000), (0x2000, 0x1000), (0x8000, 0x1000)]),
        ..Options::default()
    });
    let memory = memory.unwrap();
    memory.write(0x1FFC, &[7; 8], &deadline()).unwrap();
    for (address, length) in [(0xFFF, 2), (0x2FFF, 2), (0x7000, 0x1001), (u64::MAX, 2)] {
        let mut data = vec![9; length];
        let refused = |result: Result<(), CardMemoryError>| {
            matches!(
                result,
                Err(CardMemoryError::Outside {
                    source: MemoryMapError::Outside { .. }
                })
            )
        };
        assert!(
            refused(memory.write(address, &data, &deadline())),
            "{address:#x}"
        );
        assert!(refused(memory.read(address, &mut data, &deadline())));
        let length = length as u64;
        assert!(refused(memory.fill(
            address,
            length,
            &Pattern::Address,
            &deadline()
        )));
        let verdict = memory.verify(address, length, &Pattern::Address, &deadline());
        assert!(refused(verdict.map(drop)));
    }
    assert!(
        bus.bytes(0, 0x9000)
            .iter()
            .all(|byte| matches!(*byte, 0 | 7))
    );
}

#[test]
fn the_ids_of_the_design_tell_its_memory() {
    let bus = OneCard::new(CLEARED);
    let cleared = bus.memory(Options {
        map: map(&[(0, 0x1000)]),
        ..Options::default()
    });
    assert!(matches!(cleared, Err(CardMemoryError::Cleared { .. })));
    bus.card.set_ids(DRAM);
    let known = bus.memory(Options::default()).unwrap();
    assert_eq!(known.design(), Some("cl_dram_hbm_dma"));
    assert_eq!(*known.map(), MemoryMap::of_all_controllers(Family::F2));
    let streaming = PciIds::new(0x1D0F, 0xF002, 0xFEDC, 0x1D51);
    bus.card.set_ids(streaming);
    let without = bus.memory(Options::default()).unwrap_err();
    assert!(matches!(
        without,
        CardMemoryError::WithoutMemory {
            design: "cl_sde",
            ..
        }
    ));
    let told = bus.memory(Options {
        map: map(&[(0, 0x4000)]),
        ..Options::default()
    });
    assert_eq!(told.unwrap().map().size(), 0x4000);
    bus.card
        .set_ids(PciIds::new(u16::MAX, u16::MAX, u16::MAX, u16::MAX));
    let gone = bus.memory(Options::default());
    assert!(matches!(gone, Err(CardMemoryError::Gone { .. })));
}

#[test]
fn memory_decode_is_switched_on() {
    let bus = OneCard::new(CUSTOM);
    bus.memory(Options::default()).unwrap();
    let command = bus.card.config.lock().unwrap()[usize::from(COMMAND)];
    assert_eq!(u16::from(command), Command::MEMORY_SPACE.bits());
}

#[test]
fn a_fill_is_verified_and_what_differs_is_found() {
    let bus = OneCard::new(CUSTOM);
    let memory = bus.memory(Options::default()).unwrap();
    let length = (BLOCK + 12_345) as u64;
    for pattern in [
        Pattern::Repeated(vec![1, 2, 3]),
        Pattern::Address,
        Pattern::Random(42),
    ] {
        memory
            .fill(0x10_0003, length, &pattern, &deadline())
            .unwrap();
        let mut wanted = vec![0; length as usize];
        pattern.put(0x10_0003, 0x10_0003, &mut wanted);
        assert!(bus.bytes(0x10_0003, wanted.len()) == wanted, "{pattern}");
        assert_eq!(bus.bytes(0x10_0000, 3), [0; 3]);
        assert_eq!(bus.bytes(0x10_0003 + length, 8), [0; 8]);
        let verdict = memory
            .verify(0x10_0003, length, &pattern, &deadline())
            .unwrap();
        assert!(verdict.is_good() && verdict.checked == length);
        assert!(
            memory
                .compare(0x10_0003, &wanted, &deadline())
                .unwrap()
                .is_good()
        );
        let at = 0x10_0003 + length - 2;
        let last = bus.bytes(at, 1)[0];
        bus.card.memory.mapping().store(at, !last).unwrap();
        let verdict = memory
            .verify(0x10_0003, length, &pattern, &deadline())
            .unwrap();
        let first = verdict.first.unwrap();
        assert_eq!((verdict.differing, first.address), (1, at));
        assert_eq!((first.wanted[0], first.seen[0]), (last, !last));
        assert_eq!(first.seen.len(), 2, "up to the end");
        let verdict = memory.compare(0x10_0003, &wanted, &deadline()).unwrap();
        assert_eq!(verdict.differing, 1);
    }
}

#[test]
fn a_design_that_goes_or_changes_meanwhile_is_an_error() {
    let bus = OneCard::new(CUSTOM);
    let memory = bus.memory(Options::default()).unwrap();
    bus.card.set_ids(CLEARED);
    let changed = memory.write(0, &[1], &deadline()).unwrap_err();
    assert!(
        matches!(changed, CardMemoryError::Changed { now, .. } if now == CLEARED),
        "{changed}"
    );
    bus.card
        .set_ids(PciIds::new(u16::MAX, u16::MAX, u16::MAX, u16::MAX));
    let gone = memory.read(0, &mut [0], &deadline()).unwrap_err();
    assert!(matches!(gone, CardMemoryError::Gone { .. }), "{gone}");
}

#[test]
fn the_deadline_and_the_caller_end_a_transfer_between_its_pieces() {
    let bus = OneCard::new(CUSTOM);
    let cancel = Cancel::default();
    let stop = cancel.clone();
    let memory = bus.memory(Options {
        progress: Some(Arc::new(move |_| stop.cancel())),
        ..Options::default()
    });
    let memory = memory.unwrap();
    let late = Deadline::after(Duration::ZERO);
    let error = memory.write(0, &[1; 100], &late).unwrap_err();
    let timed_out = |source: &Ended| matches!(source, Ended::TimedOut { .. });
    assert!(matches!(&error, CardMemoryError::Wait { source } if timed_out(source)));
    assert_eq!(bus.bytes(0, 1), [0]);
    let deadline = deadline().with_cancel(&cancel);
    let error = memory.write(0, &data(20 << 20), &deadline).unwrap_err();
    let source = Ended::Cancelled;
    assert!(matches!(error, CardMemoryError::Wait { source: s } if s == source));
    assert_eq!(bus.bytes(8 << 20, 8), [0; 8], "the first piece only");
}

#[test]
fn paths_are_named_as_they_are_written() {
    for path in Path::ALL {
        assert_eq!(path.name().parse(), Ok(path));
    }
    let error = "ddr".parse::<Path>().unwrap_err().to_string();
    assert!(error.starts_with("'ddr' names no path to card memory; wanted one of "));
}
