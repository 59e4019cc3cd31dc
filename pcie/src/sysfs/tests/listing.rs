//! Which functions are listed, and what a broken tree gets.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use afi_proto::{Family, PciIds};

use super::fake_sys::{F1_CLEARED, F1_MGMT, F2_MGMT, FakeSys, HELLO_WORLD, NETWORK, bdf};
use crate::bus::Bus;
use crate::slots;
use crate::sysfs::SysfsBus;
use crate::sysfs::tree::{Missed, Tree};
use crate::{BusError, FunctionInfo};

const APP: &str = "0000:00:1d.0";
const MGMT: &str = "0000:00:1e.0";

fn listed(sys: &FakeSys) -> Vec<String> {
    let functions = sys.bus().functions().unwrap();
    functions.iter().map(|info| info.bdf.to_string()).collect()
}

#[test]
fn an_f1_instance_has_its_slots_and_nothing_else_is_listed() {
    let sys = FakeSys::f1();
    symlink("../../../bus/pci/drivers/xdma", sys.file(APP, "driver")).unwrap();
    fs::write(sys.file(APP, "numa_node"), "1\n").unwrap();
    let slots = slots::discover(&sys.bus()).unwrap();
    let found: Vec<_> = slots
        .iter()
        .map(|slot| (slot.mgmt.bdf, slot.app.as_ref().map(|app| app.ids)))
        .collect();
    let expected = [
        (bdf("0000:00:1c.0"), Some(F1_CLEARED)),
        (bdf(MGMT), Some(HELLO_WORLD)),
    ];
    assert_eq!(found, expected);
    assert!(slots.iter().all(|slot| slot.family == Family::F1));
    let expected = FunctionInfo {
        bdf: bdf(APP),
        ids: HELLO_WORLD,
        driver: Some("xdma".into()),
        numa_node: Some(1),
    };
    assert_eq!(slots[1].app.as_ref(), Some(&expected));
    assert_eq!(sys.bus().function(bdf(APP)).unwrap(), Some(expected));
    assert_eq!(listed(&sys).len(), 4);
    assert_eq!(sys.bus().function(bdf("0000:00:03.0")).unwrap(), None);
}

#[test]
fn an_f2_instance_has_both_functions_in_one_device() {
    let sys = FakeSys::new();
    for device in ["0000:34:00", "0000:35:00"] {
        sys.add(&format!("{device}.0"), HELLO_WORLD, &[(0, 64 << 20)]);
        sys.add(&format!("{device}.1"), F2_MGMT, &[(0, 0x4000)]);
    }
    // Not beside a management function in the way of this family.
    sys.add("0000:35:01.0", HELLO_WORLD, &[]);
    let slots = slots::discover(&sys.bus()).unwrap();
    let apps: Vec<_> = slots
        .iter()
        .map(|slot| slot.app.as_ref().unwrap().bdf.to_string())
        .collect();
    assert_eq!(apps, ["0000:34:00.0", "0000:35:00.0"]);
    assert!(slots.iter().all(|slot| slot.family == Family::F2));
}

#[test]
fn a_slot_without_its_application_function_is_a_slot() {
    let sys = FakeSys::f1();
    sys.take_away(APP);
    let slots = slots::discover(&sys.bus()).unwrap();
    assert_eq!((slots[1].app_bdf, &slots[1].app), (bdf(APP), &None));
    let opened = sys.bus().open(bdf(APP)).err().unwrap();
    assert!(
        matches!(opened, BusError::NotFound { bdf } if bdf == slots[1].app_bdf),
        "{opened}"
    );
}

#[test]
fn a_function_that_goes_between_the_listing_and_its_files_is_left_out() {
    let sys = FakeSys::f1();
    // What the listing shows when the directory behind an entry is already gone.
    fs::remove_dir_all(sys.file(APP, "")).unwrap();
    assert_eq!(listed(&sys).len(), 3);
    assert_eq!(sys.bus().function(bdf(APP)).unwrap(), None);
    sys.bus().remove(bdf(APP)).unwrap();
}

#[test]
fn a_function_that_another_one_replaces_is_not_mixed_with_it() {
    let sys = FakeSys::f1();
    let tree = Tree::new(sys.root.path());
    let device = tree.device(bdf(APP)).unwrap();
    assert!(device.is_current());
    sys.take_away(APP);
    sys.add(APP, F1_CLEARED, &[]);
    assert!(!device.is_current());
    let read = device.value("vendor", "an id", |text| Some(text.to_owned()));
    assert!(matches!(read, Err(Missed::Went)), "{read:?}");
    let written = device.write_one("remove");
    assert!(matches!(written, Err(Missed::Went)), "{written:?}");
    assert_eq!(fs::read(sys.file(APP, "remove")).unwrap(), b"");
}

#[test]
fn a_listing_while_functions_come_and_go_is_whole_or_without_them() {
    let sys = FakeSys::f1();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..150 {
                sys.take_away(APP);
                sys.add(APP, [F1_CLEARED, HELLO_WORLD][round % 2], &[]);
            }
            done.store(true, Ordering::Relaxed);
        });
        let bus = sys.bus();
        let mut seen = 0;
        while !done.load(Ordering::Relaxed) {
            let functions = bus.functions().unwrap();
            let others = functions.iter().filter(|info| info.bdf != bdf(APP));
            assert_eq!(others.count(), 3);
            let app = functions.iter().find(|info| info.bdf == bdf(APP));
            assert!(app.is_none_or(|app| [F1_CLEARED, HELLO_WORLD].contains(&app.ids)));
            seen += 1;
        }
        assert!(seen > 0);
    });
}

#[test]
fn nonsense_in_a_file_is_shown_with_the_file_and_what_belongs_there() {
    for (name, text, wanted) in [
        ("subsystem_vendor", "pigeon\n", "a 16-bit number"),
        ("subsystem_device", "", "a 16-bit number"),
        ("vendor", "0x1d0f0\n", "a 16-bit number"),
        ("class", "5\n", "a 24-bit number"),
        ("numa_node", "one\n", "a NUMA node"),
        ("driver", "xdma\n", "a link"),
    ] {
        let sys = FakeSys::f1();
        fs::write(sys.file(APP, name), text).unwrap();
        let error = sys.bus().functions().unwrap_err();
        let BusError::Nonsense { path, .. } = &error else {
            panic!("{name}: {error:?}");
        };
        assert!(path.ends_with(format!("{APP}/{name}")), "{error}");
        let shown = error.to_string();
        assert!(shown.contains(wanted), "{shown}");
        assert!(name == "driver" || shown.contains(text.trim()), "{shown}");
    }
}

#[test]
fn a_file_that_is_missing_is_named() {
    let sys = FakeSys::f1();
    fs::remove_file(sys.file(MGMT, "subsystem_device")).unwrap();
    let error = sys.bus().functions().unwrap_err();
    assert!(
        matches!(&error, BusError::Io { path, .. } if path.ends_with("subsystem_device")),
        "{error}"
    );
    // A kernel without NUMA has no file of this name.
    let sys = FakeSys::f1();
    fs::remove_file(sys.file(MGMT, "numa_node")).unwrap();
    assert_eq!(listed(&sys).len(), 4);
}

#[test]
fn nonsense_about_another_device_does_not_stand_in_the_way() {
    let sys = FakeSys::f1();
    fs::write(sys.file("0000:00:03.0", "vendor"), [0xFF; 9000]).unwrap();
    sys.write("bus/pci/devices/0000:00:04.0", "a file, not a directory");
    sys.write("bus/pci/devices/10000:e1:00.0/vendor", "behind VMD");
    sys.write("bus/pci/devices/00:1c.0/vendor", "0x1d0f\n");
    sys.write("bus/pci/devices/pigeon/vendor", "0x1d0f\n");
    assert_eq!(listed(&sys).len(), 4);
}

#[test]
fn nonsense_is_told_where_it_may_hide_the_only_slot() {
    let sys = FakeSys::new();
    sys.add(MGMT, F1_MGMT, &[]);
    fs::write(sys.file(MGMT, "vendor"), "\0\0").unwrap();
    let error = sys.bus().functions().unwrap_err().to_string();
    assert!(error.contains("vendor holds '\\0\\0'; wanted"), "{error}");
    // Of the right vendor, it is in the way even where there are slots.
    let sys = FakeSys::f1();
    fs::write(sys.file("0000:00:03.0", "device"), "0x\n").unwrap();
    assert!(sys.bus().functions().is_err());
}

#[test]
fn a_bridge_is_not_taken_for_an_application_function() {
    let sys = FakeSys::f1();
    fs::write(sys.file(APP, "class"), "0x060400\n").unwrap();
    assert_eq!(listed(&sys).len(), 3);
    let removed = sys.bus().remove(bdf(APP)).unwrap_err();
    assert!(matches!(removed, BusError::NotFpga { .. }), "{removed}");
    assert_eq!(fs::read(sys.file(APP, "remove")).unwrap(), b"");
}

#[test]
fn a_device_that_is_no_fpga_is_neither_opened_nor_removed() {
    let sys = FakeSys::f1();
    let other = bdf("0000:00:03.0");
    let opened = sys.bus().open(other).err().unwrap();
    let said = opened.to_string();
    assert!(
        said.contains("0000:00:03.0 (1d0f:ec20)") && said.contains("1d0f:1041 or 1d0f:9248"),
        "{said}"
    );
    let removed = sys.bus().remove(other).unwrap_err();
    assert!(matches!(removed, BusError::NotFpga { .. }), "{removed}");
    assert_eq!(sys.order("devices/pci0000:00/0000:00:03.0/remove"), "");
}

#[test]
fn a_function_of_other_ids_beside_no_management_function_is_none_of_ours() {
    let sys = FakeSys::new();
    sys.add("0000:00:1d.0", HELLO_WORLD, &[]);
    sys.add("0000:00:1e.0", NETWORK, &[]);
    sys.add("0000:00:1d.1", PciIds::new(0x10EE, 0x9248, 0, 0), &[]);
    assert_eq!(listed(&sys), <[&str; 0]>::default());
    assert!(sys.bus().open(bdf("0000:00:1d.0")).is_err());
}

#[test]
fn a_tree_without_a_pci_bus_is_no_bus() {
    let empty = tempfile::tempdir().unwrap();
    let error = SysfsBus::at(empty.path()).unwrap_err();
    assert!(
        matches!(&error, BusError::NoBus { path, .. } if path.ends_with("bus/pci/devices")),
        "{error}"
    );
}
