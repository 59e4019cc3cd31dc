//! Several users of one machine: loads at once, drivers of the kernel, users who are not root.

use super::image::{DRAM, DRAM_IDS, HELLO, HELLO_IDS};
use crate::instance::Instance;

/// Two loads of one slot at once take turns, and the slot ends up as one of them says.
pub(super) fn two_loads_at_once(instance: &mut Instance) {
    let app = instance.slots[4].app.clone();
    let guest = &mut instance.guest;
    let started = [HELLO, DRAM].map(|image| {
        let line = format!("afi load 4 {image} --offline --output-format json");
        (image, guest.start(&line))
    });
    for (image, load) in started {
        let load = guest.finish(load);
        load.success();
        assert_eq!(load.json()["loads"][0]["after"]["image"], image);
    }
    let state = guest.afi("describe 4 --output-format json").json();
    let slot = &state["slots"][0];
    assert_eq!(slot["host_out_of_date"], false);
    let ids = if slot["state"]["image"] == HELLO {
        HELLO_IDS
    } else {
        DRAM_IDS
    };
    assert_eq!(guest.kernel_ids(&app), ids);
}

/// Eight loads at once, each with a removal and a rescan of its own.
pub(super) fn eight_at_once(instance: &mut Instance) {
    let slots = instance.slots.clone();
    let guest = &mut instance.guest;
    guest.afi("clear all").success();
    let load = guest.afi(&format!("load all {HELLO} --offline --output-format json"));
    load.success();
    let report = load.json();
    let loads = report["loads"].as_array().unwrap();
    assert_eq!(loads.len(), 8);
    assert!(
        loads.iter().all(|load| load["outcome"] == "loaded"),
        "{report:#}"
    );
    for slot in &slots {
        assert_eq!(guest.kernel_ids(&slot.app), HELLO_IDS, "{}", slot.app);
    }
    guest.afi("clear all").success();
    for slot in &slots {
        assert_eq!(
            guest.kernel_ids(&slot.app),
            "1d0f:1042 1d0f:1042",
            "{}",
            slot.app
        );
    }
}

/// A driver that is bound to the application function is shown. A load that changes the function takes
/// it from the driver, even while a program has the driver's device open.
pub(super) fn driver_bound(instance: &mut Instance) {
    let app = instance.slots[3].app.clone();
    let guest = &mut instance.guest;
    guest.afi("clear 3").success();
    guest
        .sh("insmod /lib/uio.ko.xz && insmod /lib/uio_pci_generic.ko.xz")
        .success();
    let bind = format!(
        "cd /sys/bus/pci/devices/{app} && echo uio_pci_generic > driver_override && \
         echo {app} > /sys/bus/pci/drivers_probe && readlink driver"
    );
    assert!(guest.sh(&bind).success().contains("uio_pci_generic"));
    let list = guest.afi("list --output-format json").json();
    assert_eq!(list["slots"][3]["app"]["driver"], "uio_pci_generic");
    // The driver's device is in use as well, as by a program that forgot to let go of it.
    let user = guest.start("exec sleep 60 </dev/uio0");
    guest.wait_for_process("sleep");
    let load = guest.afi(&format!("load 3 {HELLO} --offline --output-format json"));
    load.success();
    assert_eq!(guest.kernel_ids(&app), HELLO_IDS);
    let list = guest.afi("list --output-format json").json();
    assert_eq!(list["slots"][3]["app"]["driver"], serde_json::Value::Null);
    let driver = &load.json()["loads"][0]["bus"]["driver"];
    assert_eq!(driver["before"], "uio_pci_generic");
    assert_eq!(driver["after"], serde_json::Value::Null);
    guest.sh("kill $(pidof sleep)").success();
    assert_eq!(guest.finish(user).code, Some(128 + 15));
    // It only passes the function on: a load that changes no ids leaves it alone.
    guest.sh(&bind).success();
    let again = guest.afi(&format!("load 3 {HELLO} --offline --output-format json"));
    again.success();
    let bus = &again.json()["loads"][0]["bus"];
    assert_eq!(bus["rescanned"], serde_json::Value::Null);
    assert_eq!(bus["driver"]["after"], "uio_pci_generic");
    guest.afi("clear 3").success();
}

/// What would remove a function that a program uses by VFIO is refused at once, and says who uses it:
/// the kernel would wait for the end of the program, and every other rescan with it.
pub(super) fn used_by_vfio(instance: &mut Instance) {
    let app = instance.slots[0].app.clone();
    let guest = &mut instance.guest;
    let before = guest.kernel_ids(&app);
    let state = guest.afi("describe 0").success().to_owned();
    let holder = guest.start(&format!("exec afi-guest-user hold {app}"));
    guest.wait_for(&holder, "held");
    for words in [&format!("load 0 {HELLO} --offline"), "clear 0"] {
        let refused = guest.afi(words);
        let message = refused.failure(5);
        assert!(message.contains("afi-guest-user (process"), "{message}");
        assert!(message.contains("'check'"), "{message}");
    }
    assert_eq!(guest.kernel_ids(&app), before);
    assert_eq!(guest.afi("describe 0").success(), state);
    // The other slot has nothing to do with it.
    guest.afi(&format!("load 1 {HELLO} --offline")).success();
    guest.sh("kill $(pidof afi-guest-user)").success();
    assert_eq!(guest.finish(holder).code, Some(128 + 15));
}

/// Listing is for everybody; what is not is refused with what to do, and touches nothing. Who is not
/// of the group does not get a lock; who is, and has no udev rules, does not get at the device.
pub(super) fn without_root(instance: &mut Instance) {
    let app = instance.slots[5].app.clone();
    let guest = &mut instance.guest;
    guest.afi("describe 5").success();
    for (user, file) in [
        ("nobody", "/run/lock/afi/"),
        ("member", "/sys/bus/pci/devices/"),
    ] {
        let list = guest.sh(&as_user(user, "list --output-format json"));
        list.success();
        assert_eq!(list.json()["slots"].as_array().unwrap().len(), 8);
        for words in [
            &format!("load 5 {HELLO} --offline"),
            "describe 5",
            "peek 5 0",
        ] {
            let refused = guest.sh(&as_user(user, words));
            let message = refused.failure(4);
            assert!(message.contains(file), "{user}: {message}");
            assert!(message.contains("help:"), "{user}: {message}");
        }
    }
    assert_eq!(guest.kernel_ids(&app), "1d0f:1042 1d0f:1042");
}

fn as_user(user: &str, words: &str) -> String {
    format!("su {user} -s /bin/sh -c 'afi {words}'")
}
