//! What can be done with a function: configuration space, BARs, reset, remove, rescan, watch.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use afi_proto::BarIndex;
use afi_proto::config_space::{self, Command};

use super::fake_sys::{F1_CLEARED, FakeSys, HELLO_WORLD, bdf, resources};
use crate::bus::{Bus, Caching, DmaAccess, DmaRequest, Function};
use crate::{BusError, Deadline, Ended, SharedMemory};

const APP: &str = "0000:00:1d.0";
const MGMT: &str = "0000:00:1e.0";
const BAR0: BarIndex = BarIndex::BAR0;
const BAR4: BarIndex = BarIndex::BAR4;

fn open(sys: &FakeSys, address: &str) -> Arc<dyn Function> {
    sys.bus().open(bdf(address)).unwrap()
}

#[test]
fn configuration_space_is_read_from_the_device_and_not_from_what_was_enumerated() {
    let sys = FakeSys::f1();
    let function = open(&sys, APP);
    assert_eq!(function.bdf(), bdf(APP));
    assert_eq!(function.live_ids().unwrap(), HELLO_WORLD);
    let config = File::options().write(true).open(sys.file(APP, "config"));
    let device = F1_CLEARED.device.to_le_bytes();
    let at = config_space::DEVICE_ID.into();
    config.unwrap().write_all_at(&device, at).unwrap();
    assert_eq!(function.live_ids().unwrap().device, F1_CLEARED.device);
    let known = sys.bus().function(bdf(APP)).unwrap().unwrap();
    assert_eq!(known.ids, HELLO_WORLD);
}

#[test]
fn bus_mastering_is_switched_on_and_what_is_beside_it_left() {
    let sys = FakeSys::f1();
    let function = open(&sys, APP);
    let both = Command::MEMORY_SPACE | Command::BUS_MASTER;
    assert_eq!(function.enable(both).unwrap(), Command::BUS_MASTER);
    assert_eq!(function.enable(both).unwrap(), Command::empty());
    let bytes = fs::read(sys.file(APP, "config")).unwrap();
    assert_eq!(bytes.len(), config_space::SIZE);
    assert_eq!(bytes[..8], [0x0F, 0x1D, 0x00, 0xF0, 0x06, 0, 0x10, 0]);
}

#[test]
fn nothing_is_read_or_written_behind_configuration_space() {
    let sys = FakeSys::f1();
    let function = open(&sys, APP);
    let mut word = [0; 4];
    function.read_config(4092, &mut word).unwrap();
    for (offset, length) in [(4093, 4), (4096, 1), (u16::MAX, 4)] {
        let read = function.read_config(offset, &mut word[..length]);
        assert!(matches!(read, Err(BusError::NoConfig { .. })), "{read:?}");
        let written = function.write_config(offset, &word[..length]);
        assert!(matches!(written, Err(BusError::NoConfig { .. })));
    }
    assert_eq!(fs::read(sys.file(APP, "config")).unwrap().len(), 4096);
}

#[test]
fn a_configuration_space_cut_off_after_its_header_is_a_matter_of_permission() {
    let sys = FakeSys::f1();
    let path = sys.file(APP, "config");
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(64)
        .unwrap();
    let function = open(&sys, APP);
    assert_eq!(function.live_ids().unwrap(), HELLO_WORLD);
    for (offset, length) in [(64, 1), (60, 8), (0xFC, 4)] {
        let error = function.read_config(offset, &mut [0; 8][..length]);
        let error = error.unwrap_err();
        let hidden = matches!(&error, BusError::HeaderOnly { offset: at, .. } if *at == offset);
        assert!(hidden, "{error}");
    }
    // Nobody knows whether there is more than the 256 bytes that every function has.
    let behind = function.read_config(0x100, &mut [0; 4]).unwrap_err();
    assert!(matches!(behind, BusError::NoConfig { .. }), "{behind}");
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(10)
        .unwrap();
    let error = function.live_ids().unwrap_err().to_string();
    assert!(error.contains("config holds 10 bytes; wanted"), "{error}");
}

#[test]
fn a_bar_is_the_file_behind_it() {
    let sys = FakeSys::f1();
    let bar = open(&sys, MGMT).bar(BAR0, Caching::None).unwrap();
    assert!(bar.is_mapped());
    assert_eq!(bar.length(), 0x4000);
    bar.write32(0x3FFC, 0xCAFE_F00D).unwrap();
    assert!(bar.write32(0x4000, 0).is_err());
    let bytes = fs::read(sys.file(MGMT, "resource0")).unwrap();
    assert_eq!(bytes[0x3FFC..], 0xCAFE_F00D_u32.to_le_bytes());
}

#[test]
fn a_part_of_a_bar_is_mapped_alone() {
    let sys = FakeSys::f1();
    let function = open(&sys, MGMT);
    let part = function.bar_range(BarIndex::BAR0, Caching::None, 0x1000..0x3000);
    let part = part.unwrap();
    assert_eq!(part.length(), 0x2000);
    part.write32(4, 0x1122_3344).unwrap();
    let bytes = fs::read(sys.file(MGMT, "resource0")).unwrap();
    assert_eq!(bytes[0x1004..0x1008], [0x44, 0x33, 0x22, 0x11]);
    for range in [0x3000..0x5000, 0x800..0x1000, 0x1000..0x1000] {
        let refused = function.bar_range(BarIndex::BAR0, Caching::None, range.clone());
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, BusError::Bar { .. }),
            "{range:?}: {refused}"
        );
    }
}

#[test]
fn write_combining_is_taken_where_there_is_a_file_for_it() {
    let sys = FakeSys::f1();
    let app = open(&sys, APP);
    let combining = || app.bar(BAR4, Caching::WriteCombining).unwrap();
    combining().write32(0, 1).unwrap();
    let wc = File::create_new(sys.file(APP, "resource4_wc")).unwrap();
    wc.set_len(1 << 30).unwrap();
    combining().write32(0, 2).unwrap();
    let first = |name| {
        let mut word = [0; 4];
        let file = File::open(sys.file(APP, name)).unwrap();
        file.read_exact_at(&mut word, 0).unwrap();
        u32::from_le_bytes(word)
    };
    assert_eq!((first("resource4"), first("resource4_wc")), (1, 2));
}

#[test]
fn the_size_of_a_bar_is_told_without_mapping_it() {
    let sys = FakeSys::f1();
    let app = open(&sys, APP);
    fs::write(sys.file(APP, "resource"), resources(&[(4, 128 << 30)])).unwrap();
    fs::remove_file(sys.file(APP, "resource4")).unwrap();
    assert_eq!(app.bar_size(BAR4).unwrap(), Some(128 << 30));
    assert_eq!(app.bar_size(BAR0).unwrap(), None);
    let missing = app.bar(BAR0, Caching::None).unwrap_err();
    assert!(matches!(missing, BusError::NoBar { bar: BAR0, .. }));
}

#[test]
fn a_bar_whose_files_do_not_agree_is_not_mapped() {
    let sys = FakeSys::f1();
    let app = open(&sys, APP);
    let nonsense = |wanted: &str| {
        let error = app.bar(BAR0, Caching::None).unwrap_err();
        assert!(matches!(error, BusError::Nonsense { .. }), "{error:?}");
        assert!(error.to_string().contains(wanted), "{error}");
    };
    // Longer than its file: an access behind the end would kill the process.
    fs::write(sys.file(APP, "resource"), resources(&[(0, 64 << 20)])).unwrap();
    nonsense("resource0 holds 0x2000000 bytes");
    for text in ["", "0x0 0x0 0x0\n", "pigeons\n", "0x1000 0x2 0x200\n"] {
        fs::write(sys.file(APP, "resource"), text).unwrap();
        nonsense("at least six lines");
    }
}

#[test]
fn a_bar_without_addresses_is_told_from_one_that_is_not_there() {
    let sys = FakeSys::f1();
    let line = "0x0000000000000000 0x0000000001ffffff 0x0000000020040200\n";
    let none = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n".repeat(5);
    fs::write(sys.file(APP, "resource"), format!("{line}{none}")).unwrap();
    let app = open(&sys, APP);
    assert_eq!(app.bar_size(BAR0).unwrap(), Some(32 << 20));
    let error = app.bar(BAR0, Caching::None).unwrap_err();
    assert!(matches!(error, BusError::Unassigned { size, .. } if size == 32 << 20));
}

#[test]
fn a_bar_that_its_function_does_not_answer_for_is_switched_on_first() {
    let sys = FakeSys::f1();
    sys.set_command(MGMT, Command::empty());
    let function = open(&sys, MGMT);
    function.bar(BAR0, Caching::None).unwrap();
    assert_eq!(function.command().unwrap(), Command::MEMORY_SPACE);
}

#[test]
fn a_function_that_reads_as_all_ones_is_gone() {
    let sys = FakeSys::f1();
    let function = open(&sys, MGMT);
    fs::write(sys.file(MGMT, "config"), [0xFF; 4096]).unwrap();
    let error = function.bar(BAR0, Caching::None).unwrap_err();
    assert!(matches!(error, BusError::Gone { .. }), "{error}");
}

#[test]
fn a_handle_of_a_removed_function_does_not_reach_the_next_one() {
    let sys = FakeSys::f1();
    let function = open(&sys, APP);
    sys.take_away(APP);
    sys.add(APP, F1_CLEARED, &[(0, 32 << 20)]);
    for error in [
        function.bar_size(BAR0).unwrap_err(),
        function.bar(BAR0, Caching::None).unwrap_err(),
        function.reset().unwrap_err(),
    ] {
        assert!(matches!(error, BusError::Gone { .. }), "{error}");
    }
    assert_eq!(fs::read(sys.file(APP, "reset")).unwrap(), b"");
    assert_eq!(open(&sys, APP).bar_size(BAR0).unwrap(), Some(32 << 20));
}

#[test]
fn a_bar_that_the_kernel_is_about_to_make_is_waited_for() {
    let sys = FakeSys::f1();
    let function = open(&sys, MGMT);
    let (bar, later) = (sys.file(MGMT, "resource0"), sys.file(MGMT, "later"));
    fs::rename(&bar, &later).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(15));
            fs::rename(&later, &bar).unwrap();
        });
        function.bar(BAR0, Caching::None).unwrap();
    });
    fs::rename(&bar, &later).unwrap();
    let started = Instant::now();
    let error = function.bar(BAR0, Caching::None).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(
        matches!(&error, BusError::Io { path, .. } if path.ends_with("resource0")),
        "{error}"
    );
}

#[test]
fn orders_to_the_kernel_land_in_their_files() {
    let sys = FakeSys::f1();
    let bus = sys.bus();
    let file = |address: &str, name: &str| fs::read_to_string(sys.file(address, name)).unwrap();
    bus.remove(bdf(APP)).unwrap();
    assert_eq!(
        (file(APP, "remove"), file(MGMT, "remove")),
        ("1".into(), String::new())
    );
    open(&sys, APP).reset().unwrap();
    assert_eq!(
        (file(APP, "reset"), file(MGMT, "reset")),
        ("1".into(), String::new())
    );
    bus.rescan(bdf(APP)).unwrap();
    assert_eq!(sys.order("class/pci_bus/0000:00/rescan"), "1");
    assert_eq!(sys.order("bus/pci/rescan"), "");
    bus.rescan(bdf("0000:34:00.0")).unwrap();
    assert_eq!(sys.order("bus/pci/rescan"), "1");
    bus.remove(bdf("0000:00:0a.0")).unwrap();
}

#[test]
fn a_rescan_that_is_nowhere_to_be_had_names_its_file() {
    let sys = FakeSys::new();
    fs::remove_file(sys.path("bus/pci/rescan")).unwrap();
    let error = sys.bus().rescan(bdf(APP)).unwrap_err().to_string();
    assert!(
        error.contains("cannot write 1 to") && error.contains("rescan"),
        "{error}"
    );
}

#[test]
fn what_sysfs_cannot_do_is_said_with_what_can() {
    let sys = FakeSys::f1();
    fs::remove_file(sys.file(APP, "reset")).unwrap();
    let app = open(&sys, APP);
    assert!(matches!(app.reset(), Err(BusError::NoReset { .. })));
    let memory = Arc::new(SharedMemory::new("dma", 4096).unwrap());
    let request = DmaRequest {
        memory,
        range: 0..4096,
        iova: 0,
        access: DmaAccess::Read,
    };
    let dma = app.map_dma(request).err().unwrap();
    let interrupt = app.msix(0).unwrap_err();
    for error in [dma, interrupt] {
        assert!(error.to_string().contains("vfio-pci"), "{error}");
    }
}

#[test]
fn a_watch_sees_functions_come_go_and_be_replaced() {
    const SOON: Duration = Duration::from_millis(5);
    let sys = FakeSys::f1();
    let mut watch = sys.bus().watch().unwrap();
    let long = Deadline::after(Duration::from_secs(10));
    let nothing = watch.changed(&Deadline::after(SOON));
    assert!(matches!(nothing, Err(Ended::TimedOut { .. })));
    sys.take_away(APP);
    assert_eq!(watch.changed(&long), Ok(()));
    assert!(watch.changed(&Deadline::after(SOON)).is_err());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            sys.add(APP, F1_CLEARED, &[]);
        });
        assert_eq!(watch.changed(&long), Ok(()));
    });
    sys.take_away(APP);
    sys.add(APP, F1_CLEARED, &[]);
    assert_eq!(watch.changed(&long), Ok(()));
    let cancel = crate::Cancel::default();
    cancel.cancel();
    let cancelled = watch.changed(&long.with_cancel(&cancel));
    assert_eq!(cancelled, Err(Ended::Cancelled));
}

#[test]
fn locks_are_kept_in_the_tree() {
    let sys = FakeSys::f1();
    assert_eq!(sys.bus().lock_directory(), sys.path("lock"));
    assert!(sys.bus().name().starts_with("sysfs at /"));
}
