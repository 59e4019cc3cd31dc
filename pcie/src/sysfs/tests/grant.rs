//! What the group of the slots' users is given, and what it is not.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use nix::unistd::{getegid, geteuid};

use super::fake_sys::{F1_MGMT, FakeSys, HELLO_WORLD, bdf};
use crate::{BusError, Deadline};

const APP: &str = "0000:00:1d.0";
const MGMT: &str = "0000:00:1e.0";
const SOON: Duration = Duration::from_millis(200);
const LATE: Duration = Duration::from_secs(20);

/// A group that this process may give files to: root any, others their own.
fn group() -> u32 {
    match geteuid().is_root() {
        true => 4242,
        false => getegid().as_raw(),
    }
}

/// Owner's group and permissions of a file.
fn of(sys: &FakeSys, name: &str) -> (u32, u32) {
    let data = fs::metadata(sys.path(name)).unwrap();
    (data.gid(), data.mode() & 0o777)
}

fn granted(sys: &FakeSys, function: &str, time: Duration) -> Result<Vec<String>, BusError> {
    let granted = sys
        .bus()
        .grant(bdf(function), group(), &Deadline::after(time))?;
    Ok(granted.iter().map(ToString::to_string).collect())
}

#[test]
fn an_application_function_is_given_with_its_bus_and_nothing_else() {
    let sys = FakeSys::f1();
    File::create(sys.file(APP, "resource4_wc")).unwrap();
    let other = sys.file("0000:00:1b.0", "config");
    let before = fs::metadata(&other).unwrap();
    assert_eq!(granted(&sys, APP, LATE).unwrap(), [APP]);
    let directory = format!("devices/pci0000:00/{APP}");
    for (file, mode) in [
        ("config", 0o664),
        ("resource0", 0o660),
        ("resource4", 0o660),
        ("resource4_wc", 0o660),
        ("remove", 0o220),
        ("reset", 0o220),
    ] {
        assert_eq!(
            of(&sys, &format!("{directory}/{file}")),
            (group(), mode),
            "{file}"
        );
    }
    assert_eq!(of(&sys, "class/pci_bus/0000:00/rescan"), (group(), 0o220));
    let after = fs::metadata(&other).unwrap();
    assert_eq!((after.gid(), after.mode()), (before.gid(), before.mode()));
    let all = fs::metadata(sys.path("bus/pci/rescan")).unwrap();
    assert_eq!(all.mode() & 0o020, 0);
}

#[test]
fn a_management_function_brings_the_application_function_beside_it() {
    let sys = FakeSys::f1();
    assert_eq!(granted(&sys, MGMT, LATE).unwrap(), [MGMT, APP]);
    sys.take_away(APP);
    assert_eq!(granted(&sys, MGMT, LATE).unwrap(), [MGMT]);
}

#[test]
fn a_function_of_no_slot_is_left_alone() {
    let sys = FakeSys::f1();
    assert!(granted(&sys, "0000:00:03.0", LATE).unwrap().is_empty());
    assert!(granted(&sys, "0000:00:05.0", LATE).unwrap().is_empty());
}

#[test]
fn files_that_are_made_late_are_waited_for() {
    let sys = FakeSys::f1();
    let late = sys.file(APP, "resource4");
    fs::remove_file(&late).unwrap();
    let error = granted(&sys, APP, SOON).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, BusError::Wait { .. }) && text.contains("resource4"),
        "{text}"
    );
    // Who sees configuration space given goes on: so it is not, yet.
    assert_ne!(
        of(&sys, &format!("devices/pci0000:00/{APP}/config")).1,
        0o664
    );
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            File::create(&late).unwrap();
        });
        assert_eq!(granted(&sys, APP, LATE).unwrap(), [APP]);
    });
    assert_eq!(fs::metadata(&late).unwrap().mode() & 0o777, 0o660);
}

#[test]
fn a_function_that_goes_meanwhile_needs_nothing() {
    let sys = FakeSys::new();
    sys.add(APP, HELLO_WORLD, &[(0, 32 << 20)]);
    sys.add(MGMT, F1_MGMT, &[(0, 0x4000)]);
    fs::remove_file(sys.file(APP, "resource0")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            sys.take_away(APP);
        });
        assert!(granted(&sys, APP, LATE).unwrap().is_empty());
    });
}
