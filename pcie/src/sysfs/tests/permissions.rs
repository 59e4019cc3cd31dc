//! What a user who is not root gets. Root is refused nothing, so the tests run again as nobody.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use afi_proto::BarIndex;
use afi_proto::config_space::Command as CommandRegister;

use super::fake_sys::{FakeSys, HELLO_WORLD, bdf};
use crate::BusError;
use crate::bus::{Bus, Caching};

const APP: &str = "0000:00:1d.0";
/// The user who owns nothing (`/etc/passwd` of Debian).
const NOBODY: u32 = 65534;
/// Set in a process that runs as nobody.
const AGAIN: &str = "AFI_TEST_AS_NOBODY";

/// Runs `test`, the body of the test `name`, as a user who is not root. Says so when this machine
/// does not let nobody run the program.
fn as_somebody(name: &str, test: impl FnOnce()) {
    if !nix::unistd::geteuid().is_root() {
        return test();
    }
    assert!(std::env::var_os(AGAIN).is_none(), "still root");
    let test = format!("sysfs::tests::permissions::{name}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test])
        .env(AGAIN, "1")
        .env("TMPDIR", "/tmp")
        .uid(NOBODY)
        .gid(NOBODY)
        .output();
    match output {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && said.contains("1 passed"),
                "{said}"
            );
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            eprintln!("not run: nobody cannot reach the test program");
        }
    }
}

fn forbid(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn names(error: &BusError, file: &str) -> bool {
    matches!(
        error,
        BusError::Io { path, source, .. }
            if path.ends_with(file) && source.kind() == ErrorKind::PermissionDenied
    )
}

#[test]
fn what_the_kernel_lets_anybody_see_needs_no_permission() {
    as_somebody(
        "what_the_kernel_lets_anybody_see_needs_no_permission",
        || {
            let sys = FakeSys::f1();
            for (name, mode) in [("config", 0o444), ("resource0", 0o400), ("remove", 0)] {
                forbid(&sys.file(APP, name), mode);
            }
            let bus = sys.bus();
            assert_eq!(bus.functions().unwrap().len(), 4);
            let app = bus.open(bdf(APP)).unwrap();
            assert_eq!(app.live_ids().unwrap(), HELLO_WORLD);
            assert!(app.bar_size(BarIndex::BAR0).unwrap().is_some());
        },
    );
}

#[test]
fn what_is_refused_is_named() {
    as_somebody("what_is_refused_is_named", || {
        let sys = FakeSys::f1();
        for (name, mode) in [
            ("config", 0o444),
            ("resource0", 0o400),
            ("remove", 0),
            ("reset", 0),
        ] {
            forbid(&sys.file(APP, name), mode);
        }
        let bus = sys.bus();
        let app = bus.open(bdf(APP)).unwrap();
        let bar = app.bar(BarIndex::BAR0, Caching::None).unwrap_err();
        assert!(names(&bar, "resource0"), "{bar}");
        let enabled = app.enable(CommandRegister::BUS_MASTER).unwrap_err();
        assert!(names(&enabled, "config"), "{enabled}");
        let (reset, removed) = (app.reset().unwrap_err(), bus.remove(bdf(APP)).unwrap_err());
        assert!(
            names(&reset, "reset") && names(&removed, "remove"),
            "{reset}, {removed}"
        );
    });
}

#[test]
fn a_rescan_that_is_refused_on_the_bus_is_tried_everywhere() {
    as_somebody(
        "a_rescan_that_is_refused_on_the_bus_is_tried_everywhere",
        || {
            let sys = FakeSys::f1();
            forbid(&sys.path("class/pci_bus/0000:00/rescan"), 0);
            sys.bus().rescan(bdf(APP)).unwrap();
            assert_eq!(sys.order("bus/pci/rescan"), "1");
            forbid(&sys.path("bus/pci/rescan"), 0);
            let error = sys.bus().rescan(bdf(APP)).unwrap_err();
            assert!(names(&error, "0000:00/rescan"), "{error}");
        },
    );
}

#[test]
fn permissions_that_come_after_a_rescan_are_waited_for() {
    as_somebody(
        "permissions_that_come_after_a_rescan_are_waited_for",
        || {
            let sys = FakeSys::f1();
            let bus = sys.bus();
            let files = ["config", "resource0"].map(|name| sys.file(APP, name));
            // Before it, what is refused is refused at once.
            files.iter().for_each(|file| forbid(file, 0o444));
            let began = Instant::now();
            let app = bus.open(bdf(APP)).unwrap();
            assert!(app.bar(BarIndex::BAR0, Caching::None).is_err());
            assert!(began.elapsed() < Duration::from_secs(1));
            bus.remove(bdf(APP)).unwrap();
            bus.rescan(bdf(APP)).unwrap();
            std::thread::scope(|scope| {
                // As a rule of udev does, configuration space last; here the other way round, so that
                // both are waited for.
                scope.spawn(|| {
                    for file in &files {
                        std::thread::sleep(Duration::from_millis(20));
                        forbid(file, 0o666);
                    }
                });
                let app = bus.open(bdf(APP)).unwrap();
                app.bar(BarIndex::BAR0, Caching::None).unwrap();
                app.enable(CommandRegister::BUS_MASTER).unwrap();
            });
        },
    );
}
