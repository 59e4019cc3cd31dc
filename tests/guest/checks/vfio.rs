//! The library and `afi` on functions that VFIO gives to programs.

use super::image::{AXIL, DRAM, DRAM_IDS, HELLO, HELLO_IDS};
use crate::guest::Guest;
use crate::instance::Instance;

/// Loads VFIO into the kernel, in the order that it needs.
const MODULES: &str = "for module in irqbypass vfio vfio_iommu_type1 vfio-pci-core vfio-pci; do \
                       insmod /lib/$module.ko.xz || exit; done";

/// Binding says which module is missing, and how it is loaded. Loads them, for the checks that follow.
pub(super) fn module_missing(instance: &mut Instance) {
    let guest = &mut instance.guest;
    let bind = guest.afi("bind 0");
    let message = bind.failure(3);
    assert!(message.contains("modprobe vfio-pci"), "{message}");
    guest.sh(MODULES).success();
}

/// There and back. What another driver had, it has again.
pub(super) fn bind_and_unbind(instance: &mut Instance) {
    let app = instance.slots[0].app.clone();
    let guest = &mut instance.guest;
    assert_eq!(driver(guest, &app), "-");
    let bound = guest.afi("bind 0 --output-format json");
    bound.success();
    let binding = &bound.json()["bindings"][0];
    assert_eq!(binding["drivers"][0]["function"], app);
    assert_eq!(binding["drivers"][0]["after"], "vfio-pci");
    let group = binding["iommu_group"].to_string();
    assert_eq!(driver(guest, &app), "vfio-pci");
    guest.sh(&format!("test -c /dev/vfio/{group}")).success();
    let list = guest.afi("list --output-format json").json();
    assert_eq!(list["slots"][0]["app"]["driver"], "vfio-pci");
    let again = guest.afi("bind 0");
    assert!(again.success().contains("stays on vfio-pci"), "{again:?}");
    guest.afi("unbind 0").success();
    assert_eq!(driver(guest, &app), "-");
    let told = guest.sh(&format!("cat /sys/bus/pci/devices/{app}/driver_override"));
    assert_eq!(told.success(), "(null)\n");
    guest.afi("unbind 0").success();
    let nobody = guest.sh("su nobody -s /bin/sh -c 'AFI_LOG= afi bind 0'");
    nobody.failure(4);
    assert_eq!(driver(guest, &app), "-");
}

/// Ids, bus mastering, usable addresses; BARs mapped; the tools of before go on working.
pub(super) fn looks(instance: &mut Instance) {
    let app = instance.slots[1].app.clone();
    let guest = &mut instance.guest;
    guest.afi(&format!("load 1 {HELLO} --offline")).success();
    guest.afi("bind 1").success();
    let look = user(guest, "look", &app);
    let facts: Vec<&str> = look.lines().collect();
    assert_eq!(facts[0], format!("ids {HELLO_IDS}"));
    // Around the window of interrupts, up to the width of the IOMMU's addresses.
    assert_eq!(facts[1], "addresses 0x0 0xfee00000");
    assert!(facts[2].starts_with("addresses 0xfef00000 0x"), "{look}");
    let command = |fact: &str| u16::from_str_radix(&fact["command 0x".len()..], 16).unwrap();
    assert_eq!(command(facts[3]) & 0b110, 0b110);
    assert_eq!(facts[4..], ["behind true"]);
    let bars = user(guest, "bars", &app);
    for fact in [
        "BAR0 0x2000000 mapped=true",
        "BAR4 0x2000000000 mapped=true",
        "swapped 0xdeadbeef",
        "combining true",
        "part 0x1000 outside=true",
    ] {
        assert!(bars.contains(fact), "{fact}: {bars}");
    }
    let peek = guest.afi("peek 1 0x500");
    peek.success();
    guest.afi("describe 1").success();
}

/// A function-level reset leaves what the host set up.
pub(super) fn resets(instance: &mut Instance) {
    let app = instance.slots[1].app.clone();
    let reset = user(&mut instance.guest, "reset", &app);
    assert_eq!(reset, "same-command true\nswapped 0xdeadbeef\n");
}

/// What can be mapped is, and what cannot is refused with the reason.
pub(super) fn maps(instance: &mut Instance) {
    let app = instance.slots[1].app.clone();
    let map = user(&mut instance.guest, "map", &app);
    let facts: Vec<&str> = map.lines().collect();
    let wanted = [
        ("overlap: ", "are mapped already"),
        (
            "interrupt-window: ",
            "the IOMMU translates 0x0 to 0xfedfffff, 0xfef00000 to",
        ),
        ("too-high: ", "cannot be used"),
        ("wraps: ", "cannot be mapped"),
        ("no-page: ", "whole pages"),
        ("outside: ", "inside the memory"),
    ];
    for ((what, why), fact) in wanted.iter().zip(&facts) {
        assert!(fact.starts_with(what) && fact.contains(why), "{fact}");
    }
    assert_eq!(facts[6..], ["mapped 0x100000000 0x100400000"]);
}

/// MSI-X: vectors are added while others are in use, and each has an eventfd of its own.
pub(super) fn user_interrupts(instance: &mut Instance) {
    let app = instance.slots[0].app.clone();
    let guest = &mut instance.guest;
    guest.afi(&format!("load 0 {DRAM} --offline")).success();
    guest.afi("bind 0").success();
    let said = user(guest, "user-interrupts", &app);
    assert_eq!(said, "user interrupts arrived\nvector 33 refused=true\n");
}

/// Several MiB go from user space into the card's DDR and come back, by polling and by interrupts.
pub(super) fn transfers(instance: &mut Instance) {
    let app = instance.slots[0].app.clone();
    let guest = &mut instance.guest;
    for what in ["transfer-polled", "transfer-interrupts"] {
        let said = user(guest, what, &app);
        assert_eq!(said, "0x400000 bytes to two DDRs and back\n", "{what}");
    }
}

/// The command takes the engine, since the function is bound; copies through BAR4 see the same bytes.
pub(super) fn transfers_of_the_command(instance: &mut Instance) {
    let guest = &mut instance.guest;
    let at = "--size 2M --address 15G --pattern random:7";
    let filled = guest.afi(&format!("dma fill 0 {at}"));
    assert!(filled.success().contains("by  xdma"), "{filled:?}");
    let seen = guest.afi(&format!("dma verify 0 {at} --path pcis"));
    assert!(seen.success().contains("by  pcis"), "{seen:?}");
    guest.afi("poke 0 0x3c0000000 1 --bar pcis").success();
    let differs = guest.afi(&format!("dma verify 0 {at}"));
    assert!(differs.failure(7).contains("0x3c0000000"), "{differs:?}");
}

/// Memory of which the IOMMU was not told is neither read nor written.
pub(super) fn outside(instance: &mut Instance) {
    let app = instance.slots[0].app.clone();
    let said = user(&mut instance.guest, "outside", &app);
    let facts: Vec<&str> = said.lines().collect();
    assert!(facts[0].contains("the host refused to be read"), "{said}");
    assert_eq!(facts[1..], ["host-untouched true", "card-untouched true"]);
}

/// A group that a program has open is not to be had: who has it is told, and it is not taken away.
/// What takes no group goes on.
pub(super) fn busy(instance: &mut Instance) {
    let app = instance.slots[0].app.clone();
    let guest = &mut instance.guest;
    let holder = guest.start(&format!("exec afi-guest-user hold {app}"));
    guest.wait_for(&holder, "held");
    let pid = guest.sh("pidof afi-guest-user").success().trim().to_owned();
    let refused = guest.sh(&format!("afi-guest-user look {app}"));
    let message = refused.failure(1);
    let who = format!("afi-guest-user (process {pid})");
    assert!(message.contains(&who), "{message}");
    let peek = guest.afi("peek 0 0x500");
    assert!(peek.failure(5).contains(&who), "{peek:?}");
    let unbind = guest.afi("unbind 0");
    assert!(unbind.failure(5).contains(&who), "{unbind:?}");
    assert_eq!(driver(guest, &app), "vfio-pci");
    guest.afi("describe 0").success();
    guest.sh(&format!("kill {pid}")).success();
    assert_eq!(guest.finish(holder).code, Some(128 + 15));
    user(guest, "map", &app);
}

/// A load that changes ids takes the function off its driver, and puts it back.
pub(super) fn load_binds_again(instance: &mut Instance) {
    let app = instance.slots[0].app.clone();
    let guest = &mut instance.guest;
    assert_eq!(guest.kernel_ids(&app), DRAM_IDS);
    guest.afi(&format!("load 0 {HELLO} --offline")).success();
    assert_eq!(guest.kernel_ids(&app), HELLO_IDS);
    assert_eq!(driver(guest, &app), "vfio-pci");
    user(guest, "bars", &app);
    guest.afi("clear 0").success();
    assert_eq!(driver(guest, &app), "vfio-pci");
    guest.afi("unbind 0").success();
}

/// On F2 the management function is in the group of the application function: a driver on it is in
/// the way of programs, and is taken off when the slot is bound. It goes on being used through sysfs.
pub(super) fn shared_group(instance: &mut Instance) {
    let slot = instance.slots[0].clone();
    let guest = &mut instance.guest;
    guest.sh(MODULES).success();
    guest
        .sh("insmod /lib/uio.ko.xz && insmod /lib/uio_pci_generic.ko.xz")
        .success();
    let group = |bdf: &str| format!("readlink /sys/bus/pci/devices/{bdf}/iommu_group");
    let groups = [&slot.app, &slot.mgmt].map(|bdf| guest.sh(&group(bdf)).success().to_owned());
    assert_eq!(groups[0], groups[1]);
    let other_driver = format!(
        "cd /sys/bus/pci/devices/{0} && echo uio_pci_generic > driver_override && \
         echo {0} > /sys/bus/pci/drivers_probe && readlink driver",
        slot.mgmt
    );
    guest.sh(&other_driver).success();
    // By hand, the application function alone: the group is not viable, and why is told.
    let by_hand = format!(
        "cd /sys/bus/pci/devices/{0} && echo vfio-pci > driver_override && \
         echo {0} > /sys/bus/pci/drivers_probe && readlink driver",
        slot.app
    );
    assert!(guest.sh(&by_hand).success().contains("vfio-pci"));
    let refused = guest.sh(&format!("afi-guest-user hold {}", slot.app));
    let message = refused.failure(1);
    let why = format!("{} is on uio_pci_generic", slot.mgmt);
    assert!(message.contains(&why), "{message}");
    guest.afi("unbind 0").success();
    assert_eq!(driver(guest, &slot.app), "-");

    let bound = guest.afi("bind 0 --output-format json");
    bound.success();
    let drivers = bound.json()["bindings"][0]["drivers"].clone();
    assert_eq!(drivers[1]["function"], slot.mgmt);
    assert_eq!(drivers[1]["before"], "uio_pci_generic");
    assert_eq!(driver(guest, &slot.mgmt), "-");
    let holder = guest.start(&format!("exec afi-guest-user hold {}", slot.app));
    guest.wait_for(&holder, "held");
    guest.afi("describe 0").success();
    guest.sh("kill $(pidof afi-guest-user)").success();
    assert_eq!(guest.finish(holder).code, Some(128 + 15));
}

/// A load, with the function on `vfio-pci` before and after it; what there is to see.
pub(super) fn looks_f2(instance: &mut Instance) {
    let app = instance.slots[0].app.clone();
    let guest = &mut instance.guest;
    guest.afi(&format!("load 0 {AXIL} --offline")).success();
    assert_eq!(driver(guest, &app), "vfio-pci");
    let look = user(guest, "look", &app);
    assert!(look.starts_with("ids 1d0f:f010 fedc:1d51"), "{look}");
    user(guest, "map", &app);
    guest.afi("unbind 0").success();
}

/// The choices that there are without an IOMMU are told, and nothing is touched.
pub(super) fn iommu_off(instance: &mut Instance) {
    let app = instance.slots[0].app.clone();
    let guest = &mut instance.guest;
    guest.sh(MODULES).success();
    let bind = guest.afi("bind 0");
    let message = bind.failure(4);
    for words in [
        "the IOMMU is off",
        "intel_iommu=on",
        "xdma driver",
        "BAR4",
        "no-IOMMU mode",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert_eq!(driver(guest, &app), "-");
    let told = guest.sh(&format!("cat /sys/bus/pci/devices/{app}/driver_override"));
    assert_eq!(told.success(), "(null)\n");
}

/// The driver that a function is on; `-` for none.
fn driver(guest: &mut Guest, bdf: &str) -> String {
    let link = guest.sh(&format!(
        "readlink /sys/bus/pci/devices/{bdf}/driver || echo -"
    ));
    let link = link.success().trim();
    link.rsplit('/').next().unwrap_or(link).to_owned()
}

/// What the program that uses the library says; it has to succeed.
#[track_caller]
fn user(guest: &mut Guest, what: &str, bdf: &str) -> String {
    guest
        .sh(&format!("afi-guest-user {what} {bdf}"))
        .success()
        .to_owned()
}
