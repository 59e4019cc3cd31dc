//! Devices that go away, or do not come back. The guest has to live, and so have the other slots.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::image::{HELLO, HELLO_IDS};
use crate::guest::{Guest, Started};
use crate::instance::{Addresses, Instance};

/// The card is gone from the load's begin on: reads are all ones, and that is what is told.
pub(super) fn gone_on_load(instance: &mut Instance) {
    let guest = &mut instance.guest;
    let load = guest.afi(&format!("load 0 {HELLO} --offline --timeout 10"));
    let message = load.failure(8);
    assert!(message.contains("all ones"), "{message}");
    guest.afi("describe 0").failure(8);
    guest.afi("describe 3").success();
}

/// The application function is not there after the rescan, and is after a clear.
pub(super) fn stays_away(instance: &mut Instance) {
    let app = instance.slots[1].app.clone();
    let guest = &mut instance.guest;
    let load = guest.afi(&format!("load 1 {HELLO} --offline --timeout 5"));
    let message = load.failure(8);
    assert!(message.contains("did not appear"), "{message}");
    assert_eq!(guest.kernel_ids(&app), "-");
    assert!(guest.afi("list").success().contains("not on the bus"));
    guest.afi("clear 1").success();
    assert_eq!(guest.kernel_ids(&app), "1d0f:1042 1d0f:1042");
    guest.afi(&format!("load 1 {HELLO} --offline")).success();
    assert_eq!(guest.kernel_ids(&app), HELLO_IDS);
}

/// Bus mastering that is off after a load is switched on, and that is reported.
pub(super) fn bus_master_off(instance: &mut Instance) {
    let app = instance.slots[2].app.clone();
    let guest = &mut instance.guest;
    let load = guest.afi(&format!("load 2 {HELLO} --offline --output-format json"));
    load.success();
    let switched_on = load.json()["loads"][0]["bus"]["switched_on"].to_string();
    assert!(switched_on.contains("bus-master"), "{switched_on}");
    // The command register: memory space and bus master (PCI Local Bus 3.0, 6.2.2).
    let command = guest.sh(&format!(
        "dd if=/sys/bus/pci/devices/{app}/config bs=1 skip=4 count=1 2>/dev/null | hexdump -e '1/1 \"%u\"'"
    ));
    let command: u8 = command.success().trim().parse().unwrap();
    assert_eq!(command & 0b110, 0b110);
}

/// A slot whose application function somebody has removed is shown as such, and a load brings it
/// back.
pub(super) fn removed_by_hand(instance: &mut Instance) {
    let app = instance.slots[3].app.clone();
    let guest = &mut instance.guest;
    guest
        .sh(&format!("echo 1 > /sys/bus/pci/devices/{app}/remove"))
        .success();
    let list = guest.afi("list --output-format json").json();
    assert_eq!(list["slots"][3]["app"], serde_json::Value::Null);
    guest.afi(&format!("load 3 {HELLO} --offline")).success();
    assert_eq!(guest.kernel_ids(&app), HELLO_IDS);
}

/// The management function is taken from the kernel while a load waits for the shell: what is left
/// belongs to no slot, and is not touched. All is well again when the function is.
pub(super) fn removed_during_a_load(instance: &mut Instance) {
    let Addresses { mgmt, app } = instance.slots[3].clone();
    let guest = &mut instance.guest;
    guest.afi("clear 3").success();
    let load = started_load(guest);
    guest
        .sh(&format!("echo 1 > /sys/bus/pci/devices/{mgmt}/remove"))
        .success();
    let message = guest.finish(load).failure(8).to_owned();
    assert!(message.contains("belongs to no FPGA slot"), "{message}");
    assert!(message.contains("slot 3 is now loaded"), "{message}");
    assert_eq!(guest.kernel_ids(&app), "1d0f:1042 1d0f:1042");
    let list = guest.afi("list --output-format json").json();
    assert_eq!(list["slots"].as_array().unwrap().len(), 3);
    guest.sh("echo 1 > /sys/bus/pci/rescan").success();
    guest.afi("describe 3 --rescan").success();
    assert_eq!(guest.kernel_ids(&app), HELLO_IDS);
}

/// The simulator is killed while a load waits for the shell, so that every read is all ones from
/// then on. No access may be under way then, or QEMU ends itself (`error_setv: Assertion '*errp ==
/// NULL'`, QEMU 11.1): the load is stopped for that moment.
pub(super) fn unplugged(instance: &mut Instance) {
    let guest = &mut instance.guest;
    guest.afi("clear 3").success();
    let load = started_load(guest);
    guest.sh("kill -STOP $(pidof afi)").success();
    let simulator = Pid::from_raw(instance.sim.pid() as i32);
    kill(simulator, Signal::SIGKILL).unwrap();
    guest.sh("kill -CONT $(pidof afi)").success();
    let message = guest.finish(load).failure(8).to_owned();
    assert!(message.contains("all ones"), "{message}");
    // The kernel lives, and shows what it enumerated.
    guest.afi("list").success();
    guest.afi("describe 3").failure(8);
}

/// A load of slot 3 that has sent its command, and waits.
fn started_load(guest: &mut Guest) -> Started {
    let line = format!("AFI_LOG=info afi load 3 {HELLO} --offline --timeout 20");
    let load = guest.start(&line);
    guest.wait_for(&load, "step.*send");
    load
}
