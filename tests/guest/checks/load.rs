//! What users do most: list, load, use, clear.

use super::image::{DRAM, DRAM_IDS, HELLO, HELLO_IDS};
use crate::instance::Instance;

const CLEARED_IDS: &str = "1d0f:1042 1d0f:1042";

/// The slots are in the order of the addresses of their management functions.
pub(super) fn lists_eight_slots(instance: &mut Instance) {
    let list = instance.guest.afi("list --output-format json");
    list.success();
    let list = list.json();
    assert_eq!(list["instance"]["bus"], "sysfs");
    let slots = list["slots"].as_array().unwrap();
    assert_eq!(slots.len(), 8);
    for (number, (slot, addresses)) in slots.iter().zip(&instance.slots).enumerate() {
        assert_eq!(slot["slot"], number);
        assert_eq!(slot["family"], "f1");
        assert_eq!(slot["mgmt"]["bdf"], addresses.mgmt);
        assert_eq!(slot["app"]["bdf"], addresses.app);
        assert_eq!(slot["app"]["ids"]["device"], "0x1042");
        assert_eq!(slot["app"]["driver"], serde_json::Value::Null);
    }
}

/// The kernel shows the image's ids after a load; nothing else was removed for it.
pub(super) fn changes_ids(instance: &mut Instance) {
    let [slot, other] = [0, 1].map(|slot| instance.slots[slot].clone());
    let guest = &mut instance.guest;
    assert_eq!(guest.kernel_ids(&slot.app), CLEARED_IDS);
    // A function that is removed and found again is another directory.
    let rest = format!(
        "cd /sys/bus/pci/devices && stat -Lc %i {} {} {}",
        slot.mgmt, other.app, other.mgmt
    );
    let before = guest.sh(&rest);
    let load = guest.afi(&format!("load 0 {HELLO} --offline --output-format json"));
    load.success();
    let report = &load.json()["loads"][0];
    assert_eq!(report["outcome"], "loaded");
    assert_eq!(
        report["bus"]["rescanned"],
        "the ids of the application function changed"
    );
    assert_eq!(report["bus"]["ids"]["device"], "0xf000");
    let bars = report["bus"]["bars"].as_array().unwrap();
    let sizes: Vec<u64> = bars
        .iter()
        .map(|bar| bar["bytes"].as_u64().unwrap())
        .collect();
    assert_eq!(sizes, [32 << 20, 2 << 20, 64 << 10, 128 << 30]);
    assert_eq!(guest.kernel_ids(&slot.app), HELLO_IDS);
    assert_eq!(guest.kernel_ids(&other.app), CLEARED_IDS);
    assert_eq!(guest.sh(&rest).success(), before.success());
    // The same image again restarts it, and the kernel has nothing new to see.
    let app = format!("stat -Lc %i /sys/bus/pci/devices/{}", slot.app);
    let before = guest.sh(&app);
    let again = guest.afi(&format!("load 0 {HELLO} --offline --output-format json"));
    again.success();
    assert_eq!(
        again.json()["loads"][0]["bus"]["rescanned"],
        serde_json::Value::Null
    );
    assert_eq!(guest.sh(&app).success(), before.success());
}

/// Registers of the design and of the shell, through mappings of the kernel's `resource` files.
pub(super) fn registers(instance: &mut Instance) {
    let guest = &mut instance.guest;
    guest.afi(&format!("load 0 {HELLO} --offline")).success();
    guest.afi("poke 0 0x500 0xefbeadde").success();
    assert_eq!(
        guest.afi("peek 0 0x500").success().trim(),
        "0x00000500: 0xdeadbeef"
    );
    guest.afi("dip set 0 0xffff").success();
    assert!(guest.afi("led 0").success().contains("1010-1101-1101-1110"));
    guest.afi("dip set 0 0").success();
    assert!(guest.afi("led 0").success().contains("0000-0000-0000-0000"));
    // Beyond the BAR there is nothing to access.
    guest.afi("peek 0 0x2000000").failure(2);
}

/// The kernel shows the ids of an empty slot after a clear.
pub(super) fn clear(instance: &mut Instance) {
    let app = instance.slots[0].app.clone();
    let guest = &mut instance.guest;
    guest.afi(&format!("load 0 {HELLO} --offline")).success();
    assert_eq!(guest.kernel_ids(&app), HELLO_IDS);
    guest.afi("clear 0").success();
    assert_eq!(guest.kernel_ids(&app), CLEARED_IDS);
    assert!(guest.afi("describe 0").success().contains("cleared"));
}

/// A prefetched image is in the cache, and the running one goes on.
pub(super) fn prefetch(instance: &mut Instance) {
    let app = instance.slots[1].app.clone();
    let guest = &mut instance.guest;
    guest.afi(&format!("load 1 {HELLO} --offline")).success();
    guest.afi("poke 1 0x500 0x12345678").success();
    guest
        .afi(&format!("load 1 {DRAM} --offline --prefetch"))
        .success();
    let state = guest.afi("describe 1 --metrics --output-format json");
    state.success();
    let slot = &state.json()["slots"][0];
    assert_eq!(slot["state"]["image"], HELLO);
    assert_eq!(slot["host_out_of_date"], false);
    let mut cached: Vec<String> = slot["metrics"]["cached_images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image.as_str().unwrap().to_owned())
        .collect();
    cached.sort();
    assert_eq!(cached, [HELLO, DRAM]);
    assert_eq!(guest.kernel_ids(&app), HELLO_IDS);
    assert!(guest.afi("peek 1 0x500").success().contains("0x78563412"));
}

/// DRAM keeps its contents when that is asked for, loses them when it is not, and from an empty
/// slot the request is refused with nothing changed.
pub(super) fn retention(instance: &mut Instance) {
    let app = instance.slots[2].app.clone();
    let guest = &mut instance.guest;
    let refused = guest.afi(&format!("load 2 {DRAM} --offline --retain-dram"));
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert_eq!(guest.kernel_ids(&app), CLEARED_IDS);
    assert!(guest.afi("describe 2").success().contains("cleared"));
    guest.afi(&format!("load 2 {DRAM} --offline")).success();
    assert_eq!(guest.kernel_ids(&app), DRAM_IDS);
    guest.afi("poke 2 0x1000 0xcafe --bar pcis").success();
    guest
        .afi(&format!("load 2 {DRAM} --offline --retain-dram"))
        .success();
    assert!(
        guest
            .afi("peek 2 0x1000 --bar pcis")
            .success()
            .contains("0x0000cafe")
    );
    guest.afi(&format!("load 2 {DRAM} --offline")).success();
    assert!(
        guest
            .afi("peek 2 0x1000 --bar pcis")
            .success()
            .contains("0x00000000")
    );
}
