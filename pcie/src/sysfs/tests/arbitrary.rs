//! Trees with anything in them: nothing panics, and nothing is written but what was ordered, to
//! functions of FPGA slots.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use afi_proto::config_space::Command;
use afi_proto::{BarIndex, Bdf};
use proptest::prelude::*;
use proptest::sample::select;

use super::fake_sys::{F1_CLEARED, FakeSys, resources};
use crate::bus::{Bus, Caching};

/// Bytes of the BARs.
const BAR: u64 = 0x2000;
/// Every file that a function can have.
const FILES: [&str; 12] = [
    "vendor",
    "device",
    "subsystem_vendor",
    "subsystem_device",
    "class",
    "numa_node",
    "resource",
    "config",
    "remove",
    "reset",
    "resource0",
    "driver",
];

/// What is done to a file of a well-formed function.
#[derive(Debug, Clone)]
enum Change {
    Holds(Vec<u8>),
    IsGone,
    IsADirectory,
    /// Leads to a file outside of the function, which nobody may write.
    IsALink,
}

/// A function: where it is, what it is, and what is wrong with it.
#[derive(Debug, Clone)]
struct Device {
    bdf: Bdf,
    ids: (String, String),
    changes: Vec<(&'static str, Change)>,
}

fn change() -> impl Strategy<Value = Change> {
    let number = select(vec![
        "0x1d0f\n",
        "0x1041\n",
        "0x9248\n",
        "0x060400\n",
        "-1\n",
        "0x0",
    ]);
    prop_oneof![
        3 => number.prop_map(|text| Change::Holds(text.into())),
        3 => prop::collection::vec(any::<u8>(), 0..80).prop_map(Change::Holds),
        1 => "[0-9a-fx \n]{0,200}".prop_map(|text| Change::Holds(text.into())),
        1 => prop::collection::vec(any::<u8>(), 4000..5000).prop_map(Change::Holds),
        1 => Just(Change::IsGone),
        1 => Just(Change::IsADirectory),
        1 => Just(Change::IsALink),
    ]
}

fn device() -> impl Strategy<Value = Device> {
    // Close together, so that some are beside each other.
    let bdf = (0..3_u8, 0..2_u8).prop_map(|(device, function)| Bdf::new(0, 0, device, function));
    let ids = select(vec![
        (0x1D0F, 0x1041),
        (0x1D0F, 0x9248),
        (0x1D0F, 0xF000),
        (0x8086, 0x1041),
    ]);
    let changes = prop::collection::vec((select(FILES.to_vec()), change()), 0..4);
    (bdf, ids, changes).prop_map(|(bdf, (vendor, device), changes)| Device {
        bdf: bdf.expect("a device below 32, a function below 8"),
        ids: (format!("{vendor:#06x}\n"), format!("{device:#06x}\n")),
        changes,
    })
}

fn build(devices: &BTreeMap<Bdf, Device>) -> FakeSys {
    let sys = FakeSys::new();
    sys.write("outside", "nobody writes here");
    for (bdf, device) in devices {
        let bdf = bdf.to_string();
        sys.add(&bdf, F1_CLEARED, &[(0, BAR)]);
        fs::write(sys.file(&bdf, "vendor"), &device.ids.0).unwrap();
        fs::write(sys.file(&bdf, "device"), &device.ids.1).unwrap();
        fs::write(sys.file(&bdf, "resource"), resources(&[(0, BAR)])).unwrap();
        for (name, change) in &device.changes {
            let path = sys.file(&bdf, name);
            if path.is_dir() {
                fs::remove_dir(&path).unwrap();
            } else if path.symlink_metadata().is_ok() {
                fs::remove_file(&path).unwrap();
            }
            match change {
                Change::Holds(bytes) => fs::write(path, bytes).unwrap(),
                Change::IsGone => {}
                Change::IsADirectory => fs::create_dir(path).unwrap(),
                Change::IsALink => symlink(sys.path("outside"), path).unwrap(),
            }
        }
    }
    sys
}

/// The functions that may be written to, told by the rules of the two families and by nothing that
/// the bus itself uses.
fn of_slots(sys: &FakeSys) -> Vec<String> {
    let holds = |bdf: &str, name: &str, text: &str| {
        let path = sys.file(bdf, name);
        let own = fs::symlink_metadata(&path).is_ok_and(|data| data.is_file());
        own && fs::read(path).is_ok_and(|bytes| {
            let end = bytes.iter().rposition(|b| !b.is_ascii_whitespace());
            bytes[..end.map_or(0, |end| end + 1)].eq_ignore_ascii_case(text.as_bytes())
        })
    };
    let is =
        |bdf: &str, device: &str| holds(bdf, "vendor", "0x1d0f") && holds(bdf, "device", device);
    let mut found = Vec::new();
    for device in 0..3 {
        for function in 0..2 {
            let bdf = format!("0000:00:{device:02x}.{function}");
            let f1_manager = format!("0000:00:{:02x}.{function}", device + 1);
            let f2_manager = format!("0000:00:{device:02x}.1");
            if is(&bdf, "0x1041")
                || is(&bdf, "0x9248")
                || is(&f1_manager, "0x1041")
                || function == 0 && is(&f2_manager, "0x9248")
            {
                found.push(bdf);
            }
        }
    }
    found
}

/// Does all that can be done to a function. What comes of it is not looked at here.
fn use_all(bus: &dyn Bus, bdf: Bdf) {
    let _ = bus.function(bdf);
    if let Ok(function) = bus.open(bdf) {
        let mut header = [0; 64];
        let _ = function.read_config(0, &mut header);
        let _ = function.read_config(0x100, &mut header);
        let _ = function.live_ids();
        let _ = function.enable(Command::MEMORY_SPACE | Command::BUS_MASTER);
        let _ = function.write_config(0x3C, &[7]);
        for index in (0..6).filter_map(BarIndex::new) {
            let _ = function.bar_size(index);
        }
        for caching in [Caching::None, Caching::WriteCombining] {
            if let Ok(bar) = function.bar(BarIndex::BAR0, caching) {
                assert_eq!(bar.length(), BAR);
                let _ = bar.read32(0);
                let _ = bar.read32(BAR - 4);
            }
        }
        let _ = function.reset();
    }
    let _ = bus.remove(bdf);
    let _ = bus.rescan(bdf);
}

/// The contents of all files below a directory.
fn contents(directory: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            contents(&entry.path(), into);
        } else if kind.is_file() {
            into.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_panics_and_only_functions_of_slots_are_written_to(
        devices in prop::collection::vec(device(), 1..6)
    ) {
        let devices = devices.into_iter().map(|device| (device.bdf, device)).collect();
        let sys = build(&devices);
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        contents(sys.root.path(), &mut before);
        let ours = of_slots(&sys);
        let bus = sys.bus();
        let listed = bus.functions();
        for bdf in devices.keys() {
            use_all(&bus, *bdf);
        }
        contents(sys.root.path(), &mut after);
        prop_assert_eq!(before.len(), after.len());
        for (path, bytes) in &after {
            if before.get(path) == Some(bytes) {
                continue;
            }
            let name = path.file_name().unwrap().to_str().unwrap();
            let of = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
            let ordered = ["remove", "reset", "config"].contains(&name) && ours.contains(&of.into());
            prop_assert!(name == "rescan" || ordered, "{} was written", path.display());
        }
        for info in listed.into_iter().flatten() {
            prop_assert!(ours.contains(&info.bdf.to_string()), "{} is listed", info.bdf);
        }
    }
}
