//! What each tool prints when all is well.

use std::time::{Duration, Instant};

use afi_pcie::bus::Caching;
use afi_pcie::{Bus as _, Cancel};
use afi_proto::{BarIndex, Family};
use afi_sim::device::Timing;

use super::super::{Dialect, Tool};
use super::rig::{HELLO, Rig};

/// `-H` of an image's line.
const IMAGE: &str = "Type  FpgaImageSlot  FpgaImageId             StatusName    StatusCode   ErrorName    ErrorCode   ShVersion\n";
/// `-H` of a function's line.
const FUNCTION: &str = "Type  FpgaImageSlot  VendorId    DeviceId    DBDF\n";

const CLEARED_F1: &str = "\
AFI          0       none                    cleared           1        ok               0       0x04261818
AFIDEVICE    0       0x1d0f      0x1042      0000:00:1d.0
";
const LOADED_F1: &str = "\
AFI          0       agfi-0f1f1000000000001  loaded            0        ok               0       0x04261818
AFIDEVICE    0       0x1d0f      0xf000      0000:00:1d.0
";
const CLEARED_F2: &str = "\
AFI          0       none                    cleared           1        ok               0       0x10212415
AFIDEVICE    0       0x1d0f      0x9048      0000:34:00.0
";
const LOADED_F2: &str = "\
AFI          0       agfi-0f1f1000000000001  loaded            0        ok               0       0x10212415
AFIDEVICE    0       0x1d0f      0xf000      0000:34:00.0
";

fn load(options: &str) -> String {
    format!("-S 0 -I {HELLO} {options}")
}

#[test]
fn slots_are_loaded_described_and_cleared() {
    for (family, cleared, loaded) in [
        (Family::F1, CLEARED_F1, LOADED_F1),
        (Family::F2, CLEARED_F2, LOADED_F2),
    ] {
        let rig = Rig::new(family, 1);
        rig.run(Tool::Describe, "-S 0").says(cleared);
        rig.run(Tool::Load, &load("")).says(loaded);
        // The image that runs is loaded again.
        rig.run(Tool::Load, &load("")).says(loaded);
        rig.run(Tool::Describe, "-S0").says(loaded);
        rig.run(Tool::Describe, "-R --fpga-image-slot=0")
            .says(loaded);
        rig.run(Tool::Clear, "-S 0").says(cleared);
    }
}

#[test]
fn columns_are_named_before_each_kind_of_line() {
    let rig = Rig::new(Family::F1, 1);
    let named = |text: &str| {
        let (image, function) = text.split_once('\n').unwrap();
        format!("{IMAGE}{image}\n{FUNCTION}{function}")
    };
    rig.run(Tool::Describe, "-HS 0").says(&named(CLEARED_F1));
    rig.run(Tool::Load, &load("-H")).says(&named(LOADED_F1));
    rig.run(Tool::Clear, "-S 0 --headers")
        .says(&named(CLEARED_F1));
}

#[test]
fn slots_are_listed_in_order() {
    let rig = Rig::new(Family::F1, 2);
    rig.run(Tool::DescribeSlots, "").says(
        "AFIDEVICE    0       0x1d0f      0x1042      0000:00:1b.0\n\
         AFIDEVICE    1       0x1d0f      0x1042      0000:00:1d.0\n",
    );
    let mut both = String::new();
    for (slot, app, mgmt) in [(0, "1b", "1c"), (1, "1d", "1e")] {
        both += FUNCTION;
        both += &format!("AFIDEVICE    {slot}       0x1d0f      0x1042      0000:00:{app}.0\n");
        both += &format!("AFIDEVICE    {slot}       0x1d0f      0x1041      0000:00:{mgmt}.0\n");
    }
    rig.run(Tool::DescribeSlots, "-H -M").says(&both);
    Rig::new(Family::F2, 1)
        .run(Tool::DescribeSlots, "--show-mbox")
        .says(
            "AFIDEVICE    0       0x1d0f      0x9048      0000:34:00.0\n\
             AFIDEVICE    0       0x1d0f      0x9248      0000:34:00.1\n",
        );
}

#[test]
fn without_waiting_nothing_is_printed_and_describe_tells_the_end() {
    for (family, cleared, loaded) in [
        (Family::F1, CLEARED_F1, LOADED_F1),
        (Family::F2, CLEARED_F2, LOADED_F2),
    ] {
        let rig = Rig::with_timing(family, 1, Timing::default());
        rig.run(Tool::Load, &load("-A -H")).says("");
        until(&rig, loaded.lines().next().unwrap());
        // Nobody has rescanned the function yet.
        rig.run(Tool::Describe, "-S 0 -R").says(loaded);
        rig.run(Tool::Clear, "-S 0 --async").says("");
        until(&rig, cleared.lines().next().unwrap());
    }
}

/// A script's loop around describe.
fn until(rig: &Rig, line: &str) {
    let started = Instant::now();
    while rig.run(Tool::Describe, "-S 0").out.lines().next() != Some(line) {
        assert!(started.elapsed() < Duration::from_secs(10), "never: {line}");
    }
}

#[test]
fn describe_lets_a_shell_reload_that_waits_for_it() {
    let rig = Rig::new(Family::F2, 1);
    rig.run(Tool::Load, &load("-A -F")).says("");
    until(&rig, LOADED_F2.lines().next().unwrap());
}

#[test]
fn a_prefetch_leaves_the_slot_alone_and_shows_in_its_cache() {
    let rig = Rig::new(Family::F2, 1);
    rig.run(Tool::Load, &load("-P")).says("");
    until(&rig, CLEARED_F2.lines().next().unwrap());
    let metrics = rig.run(Tool::Describe, "-S 0 -M").out;
    assert!(
        metrics.ends_with(&format!("Cached agfis:\n   {HELLO}\n")),
        "{metrics}"
    );
    // The answer is from before the cache was emptied, or from after it: the next one is not.
    rig.run(Tool::Describe, "-S 0 -L");
    let metrics = rig.run(Tool::Describe, "-S 0 -M").out;
    assert!(metrics.ends_with("Cached agfis:\n"), "{metrics}");
}

#[test]
fn metrics_follow_the_functions() {
    let rig = Rig::new(Family::F1, 1);
    rig.run(Tool::Load, &load("-a 100 -b 200"));
    let ran = rig.run(Tool::Describe, "-S 0 -H -M");
    assert_eq!((ran.status, &*ran.err), (0, ""));
    let after = ran.out.split_once("0000:00:1d.0\n").unwrap().1;
    assert!(
        after.starts_with("Metrics\nsdacl-slave-timeout=0\n"),
        "{after}"
    );
    assert!(after.contains("\nbar1-slave-timeout=0\n"), "{after}");
    assert!(
        after.contains("Clock Group A Frequency (Mhz)\n100  "),
        "{after}"
    );
    assert!(
        after.contains("Clock Group B Frequency (Mhz)\n200  "),
        "{after}"
    );
    assert!(
        after.contains("Clock Group C Frequency (Mhz)\n300  300  \n"),
        "{after}"
    );
    // As the F2 tools print the same slot.
    let cancel = Cancel::default();
    let f2 = rig.run_with(Tool::Describe, "-S 0 -M", Some(Dialect::F2), &cancel);
    assert!(f2.out.contains("\nsda-slave-timeout=0\n"), "{}", f2.out);
    assert!(!f2.out.contains("bar1-slave-timeout=0\n"), "{}", f2.out);
}

#[test]
fn counters_are_cleared_after_they_were_read() {
    let rig = Rig::new(Family::F1, 1);
    // A shift, which nothing answers in a cleared slot.
    let mgmt = rig.bus.open("0000:00:1e.0".parse().unwrap()).unwrap();
    let bar = mgmt.bar(BarIndex::BAR2, Caching::None).unwrap();
    bar.write32(0x00, 8).unwrap();
    bar.write32(0x10, 1).unwrap();
    let counted = "\nvirtual-jtag-slave-timeout-count=1\n";
    for (options, seen) in [("-M", true), ("-C", true), ("-M", false)] {
        let out = rig.run(Tool::Describe, &format!("-S 0 {options}")).out;
        assert_eq!(out.contains(counted), seen, "{options}: {out}");
    }
}

#[test]
fn lights_and_switches() {
    let rig = Rig::new(Family::F2, 1);
    rig.run(Tool::GetDip, "-S 0")
        .says("FPGA slot id 0 has the following Virtual DIP Switches:\n0000-0000-0000-0000\n");
    rig.run(Tool::SetDip, "-S 0 -D 0000111111000011").says("");
    rig.run(Tool::GetDip, "-S 0 -H")
        .says("FPGA slot id 0 has the following Virtual DIP Switches:\n0000-1111-1100-0011\n");
    rig.run(Tool::GetLed, "-S 0")
        .says("FPGA slot id 0 have the following Virtual LED:\n0000-0000-0000-0000\n");
    // The design shows the low half of its register, as long as the switches allow it.
    rig.run(Tool::Load, &load(""));
    let app = rig.bus.functions().unwrap()[0].bdf;
    let bar = rig
        .bus
        .open(app)
        .unwrap()
        .bar(BarIndex::BAR0, Caching::None)
        .unwrap();
    bar.write32(0x500, 0x1EA5_1EA5).unwrap();
    rig.run(Tool::SetDip, "-S 0 -D 1111111111111111").says("");
    let led = rig.run(Tool::GetLed, "-S 0").out;
    assert!(led.contains('1'), "{led}");
}

#[test]
fn lights_are_read_while_somebody_else_holds_the_slot() {
    let rig = Rig::new(Family::F1, 1);
    let mgmt = "0000:00:1e.0".parse().unwrap();
    let deadline = afi_pcie::Deadline::after(Duration::from_secs(5));
    let _lock = crate::lock::SlotLock::acquire(rig.locks(), mgmt, "other", &deadline).unwrap();
    rig.run(Tool::GetLed, "-S 0")
        .says("FPGA slot id 0 have the following Virtual LED:\n0000-0000-0000-0000\n");
}
