//! Card memory over the model: by the engine and through BAR4, which have to agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use afi_pcie::card_memory::{CardMemory, CardMemoryError, Options, Path, Pattern};
use afi_pcie::mailbox::Mailbox;
use afi_pcie::slots::{self, Slot};
use afi_pcie::socket::SocketBus;
use afi_pcie::{Bus, Cancel, Deadline, Ended};
use afi_proto::mailbox::{CommandFlags, LoadRequest};
use afi_proto::{AgfiId, Family, PciIds};
use afi_sim::device::Timing;
use afi_sim::fault::{Fault, FaultPlan, Kind};
use afi_sim::image::{ImageSource, SlotImage};
use afi_sim::instance::{Instance, InstanceConfig, Served};
use proptest::prelude::*;

const GIB: u64 = 1 << 30;

/// The public design with all memory controllers, of each family.
struct Dram(Family);

impl ImageSource for Dram {
    fn loadable(&self, agfi: AgfiId) -> Option<SlotImage> {
        let model = match self.0 {
            Family::F1 => "cl_dram_dma",
            Family::F2 => "cl_dram_hbm_dma",
        };
        Some(SlotImage {
            agfi,
            ids: PciIds::new(0x1D0F, 0xF001, 0xFEDC, 0x1D51),
            shell: self.0.profile().current_shell().version,
            model: model.to_owned(),
            data_retention: false,
            power_watts: 20,
            clocks_hz: [[125_000_000; 7]; 3],
        })
    }
}

/// A card with the design loaded.
struct Rig {
    mailbox: Mailbox,
    bus: Arc<dyn Bus>,
    slot: Slot,
    faults: Arc<FaultPlan>,
    // Dropped in this order.
    _served: Option<Served>,
    _instance: Instance,
    _directory: tempfile::TempDir,
}

impl Rig {
    fn new(family: Family, over_sockets: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let faults = Arc::new(FaultPlan::none());
        let instance = Instance::new(InstanceConfig {
            timing: Timing::INSTANT,
            faults: Arc::clone(&faults),
            ..InstanceConfig::new(family, 1, Arc::new(Dram(family)))
        });
        let served = over_sockets.then(|| instance.serve(directory.path()).unwrap());
        let bus: Arc<dyn Bus> = match served {
            Some(_) => Arc::new(SocketBus::open(directory.path()).unwrap()),
            None => Arc::new(instance.bus(directory.path()).unwrap()),
        };
        let slot = slots::discover(bus.as_ref()).unwrap().remove(0);
        let mailbox = Mailbox::open(bus.as_ref(), &slot).unwrap();
        let request = LoadRequest {
            image: AgfiId::from_cached(1),
            flags: CommandFlags::empty(),
            clocks_hz: [0; 3],
        };
        mailbox.load(&request, &soon()).unwrap();
        Self {
            mailbox,
            bus,
            slot,
            faults,
            _served: served,
            _instance: instance,
            _directory: directory,
        }
    }

    fn open(&self, options: Options) -> Result<CardMemory, CardMemoryError> {
        self.slot.memory(self.bus.as_ref(), options)
    }

    /// The memory by one path. One that is served has one user at a time.
    fn by(&self, path: Path) -> CardMemory {
        let path = Some(path);
        let options = Options {
            path,
            ..Options::default()
        };
        self.open(options).unwrap()
    }

    fn fault(&self, kind: Kind) {
        self.faults.set(vec![Fault {
            kind,
            slot: None,
            value: None,
            probability: 1.0,
        }]);
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

fn data(length: usize, seed: u64) -> Vec<u8> {
    let mut data = vec![0; length];
    Pattern::Random(seed).put(0, 0, &mut data);
    data
}

#[test]
fn what_one_path_writes_the_other_reads() {
    for over_sockets in [false, true] {
        let rig = Rig::new(Family::F1, over_sockets);
        // More than all buffers of all channels, across the end of an interface, and not aligned.
        let (address, data) = (16 * GIB - (9 << 20) - 5, data((21 << 20) + 11, 1));
        for (writer, reader) in [(Path::Xdma, Path::Pcis), (Path::Pcis, Path::Xdma)] {
            rig.by(writer).write(address, &data, &soon()).unwrap();
            let memory = rig.by(reader);
            let mut back = vec![0; data.len()];
            memory.read(address, &mut back, &soon()).unwrap();
            assert!(back == data, "{writer} to {reader}, sockets {over_sockets}");
            let mut around = [1; 8];
            memory.read(address - 8, &mut around, &soon()).unwrap();
            assert_eq!(around, [0; 8]);
            memory
                .fill(
                    address,
                    data.len() as u64,
                    &Pattern::Repeated(vec![0]),
                    &soon(),
                )
                .unwrap();
        }
    }
}

#[test]
fn the_engine_is_taken_where_there_is_one() {
    let f1 = Rig::new(Family::F1, false);
    let memory = f1.open(Options::default()).unwrap();
    assert_eq!((memory.path(), memory.channels()), (Path::Xdma, 4));
    assert_eq!(memory.design(), Some("cl_dram_dma"));
    assert!(memory.passed_over().is_empty());
    let f2 = Rig::new(Family::F2, false);
    let memory = f2.open(Options::default()).unwrap();
    assert_eq!(memory.path(), Path::Pcis);
    let over = &memory.passed_over()[0];
    assert_eq!(over.path, Path::Xdma);
    assert!(over.reason().contains("has no XDMA engine"), "{over}");
    // At the top of the HBM, and not a byte further.
    let top = 80 * GIB;
    memory.write(top - 3, &[1, 2, 3], &soon()).unwrap();
    let outside = memory.write(top - 2, &[1, 2, 3], &soon()).unwrap_err();
    assert!(matches!(outside, CardMemoryError::Outside { .. }));
}

#[test]
fn an_engine_has_one_user_and_the_next_one_is_told() {
    let rig = Rig::new(Family::F1, false);
    let first = rig.open(Options::default()).unwrap();
    let second = rig.open(Options::default()).unwrap();
    assert_eq!((first.path(), second.path()), (Path::Xdma, Path::Pcis));
    assert!(second.passed_over()[0].reason().contains("in use"));
    drop(first);
    assert_eq!(rig.open(Options::default()).unwrap().path(), Path::Xdma);
}

#[test]
fn a_buffer_of_the_engine_is_moved_without_a_copy() {
    let rig = Rig::new(Family::F1, false);
    let told = Arc::new(AtomicU64::new(0));
    let progress = Arc::clone(&told);
    let memory = rig
        .open(Options {
            channels: Some(2),
            progress: Some(Arc::new(move |bytes| {
                progress.fetch_add(bytes, Ordering::Relaxed);
            })),
            ..Options::default()
        })
        .unwrap();
    assert_eq!(memory.channels(), 2);
    let data = data(3 << 20, 2);
    let mut buffer = memory.buffer(4 << 20).unwrap();
    buffer.copy_in(100, &data).unwrap();
    let range = 100..100 + data.len() as u64;
    memory
        .write_buffer(5 * GIB, &mut buffer, range.clone(), &soon())
        .unwrap();
    buffer.fill(0..4 << 20, 0).unwrap();
    memory
        .read_buffer(5 * GIB, &mut buffer, range, &soon())
        .unwrap();
    let mut back = vec![0; data.len()];
    buffer.copy_out(100, &mut back).unwrap();
    assert!(back == data);
    assert!(memory.compare(5 * GIB, &data, &soon()).unwrap().is_good());
    assert_eq!(told.load(Ordering::Relaxed), 3 * data.len() as u64);
    let outside = memory.read_buffer(64 * GIB, &mut buffer, 0..1, &soon());
    assert!(matches!(outside, Err(CardMemoryError::Outside { .. })));
    drop(memory);
    let copies = rig.by(Path::Pcis);
    let refused = copies.write_buffer(0, &mut buffer, 0..1, &soon());
    assert!(matches!(refused, Err(CardMemoryError::NotByEngine { .. })));
}

#[test]
fn an_engine_that_hangs_ends_with_the_deadline_and_works_again() {
    let rig = Rig::new(Family::F1, false);
    // It strikes channels when they are started, which is when they are opened.
    rig.fault(Kind::DmaHang);
    let memory = rig.open(Options::default()).unwrap();
    let data = data(5 << 20, 3);
    let started = Instant::now();
    let short = Deadline::after(Duration::from_millis(500));
    let late = memory.write(0, &data, &short).unwrap_err();
    let timed_out = |source: &Ended| matches!(source, Ended::TimedOut { .. });
    assert!(
        matches!(&late, CardMemoryError::Wait { source } if timed_out(source)),
        "{late}"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    rig.faults.set(Vec::new());
    memory.write(0, &data, &soon()).unwrap();
    assert!(memory.compare(0, &data, &soon()).unwrap().is_good());
}

#[test]
fn who_does_not_want_to_wait_any_more_gets_out_of_a_transfer() {
    let rig = Rig::new(Family::F1, false);
    let cancel = Cancel::default();
    let stop = cancel.clone();
    let memory = rig
        .open(Options {
            progress: Some(Arc::new(move |_| stop.cancel())),
            ..Options::default()
        })
        .unwrap();
    let deadline = soon().with_cancel(&cancel);
    let error = memory
        .read(0, &mut vec![0; 64 << 20], &deadline)
        .unwrap_err();
    let source = Ended::Cancelled;
    assert!(matches!(error, CardMemoryError::Wait { source: s } if s == source));
}

#[test]
fn a_slot_that_is_cleared_is_told_by_every_path() {
    for path in [Path::Xdma, Path::Pcis] {
        let rig = Rig::new(Family::F1, false);
        let memory = rig.by(path);
        memory.write(0, &[1; 64], &soon()).unwrap();
        rig.mailbox.clear(&soon()).unwrap();
        let mut back = [0; 64];
        for error in [
            memory.write(0, &[1; 64], &soon()).unwrap_err(),
            memory.read(0, &mut back, &soon()).unwrap_err(),
        ] {
            assert!(
                matches!(
                    error,
                    CardMemoryError::Changed { .. } | CardMemoryError::Gone { .. }
                ),
                "{path}: {error}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn ranges_of_any_place_and_length_arrive(
        place in prop_oneof![
            Just(0), Just(16 * GIB), Just(48 * GIB), Just(64 * GIB), 0_u64..64 * GIB,
        ],
        before in 0_u64..10_000,
        length in prop_oneof![1_usize..300, 1_usize..5 << 20],
        seed: u64,
        by_engine: bool,
    ) {
        let rig = Rig::new(Family::F1, false);
        let address = place.saturating_sub(before).min(64 * GIB - length as u64);
        let data = data(length, seed);
        let path = |engine| if engine { Path::Xdma } else { Path::Pcis };
        rig.by(path(by_engine)).write(address, &data, &soon()).unwrap();
        let verdict = rig.by(path(!by_engine)).compare(address, &data, &soon()).unwrap();
        prop_assert!(verdict.is_good(), "{verdict:?}");
    }
}
