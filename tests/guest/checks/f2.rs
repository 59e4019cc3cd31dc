//! What is particular to F2: functions behind a bridge, and the reload of the shell.

use super::image::{AXIL, AXIL_IDS};
use crate::instance::Instance;

const CLEARED_IDS: &str = "1d0f:9048 1d0f:9048";

/// The kernel shows the image's ids after a load, and the design works.
pub(super) fn changes_ids(instance: &mut Instance) {
    let slot = instance.slots[1].clone();
    let guest = &mut instance.guest;
    guest.afi(&format!("load 1 {AXIL} --offline")).success();
    assert_eq!(guest.kernel_ids(&slot.app), AXIL_IDS);
    assert_eq!(guest.kernel_ids(&slot.mgmt), "1d0f:9248 1d0f:9248");
    for (offset, value) in [("0x0", "40"), ("0x4", "2"), ("0x10", "1")] {
        guest.afi(&format!("poke 1 {offset} {value}")).success();
    }
    assert!(guest.afi("peek 1 0x8").success().contains("0x0000002a"));
    guest.afi("clear 1").success();
    assert_eq!(guest.kernel_ids(&slot.app), CLEARED_IDS);
}

/// A load that reloads the shell waits until the host agrees, and the mailbox is silent meanwhile.
pub(super) fn shell_reload(instance: &mut Instance) {
    let app = instance.slots[0].app.clone();
    let guest = &mut instance.guest;
    let load = guest.afi(&format!("load 0 {AXIL} --offline --force-shell-reload"));
    load.success();
    assert_eq!(guest.kernel_ids(&app), AXIL_IDS);
    let state = guest.afi("describe 0 --output-format json").json();
    assert_eq!(state["slots"][0]["state"]["image"], AXIL);
    assert_eq!(state["slots"][0]["host_out_of_date"], false);
    guest.afi("clear 0").success();
}

/// A load asks for a scan of the slot's own bus: a function elsewhere that somebody has removed on
/// purpose stays removed.
pub(super) fn scans_its_own_bus(instance: &mut Instance) {
    let [loaded, removed] = [0, 1].map(|slot| instance.slots[slot].app.clone());
    let guest = &mut instance.guest;
    guest
        .sh(&format!("echo 1 > /sys/bus/pci/devices/{removed}/remove"))
        .success();
    assert_eq!(guest.kernel_ids(&removed), "-");
    guest.afi(&format!("load 0 {AXIL} --offline")).success();
    assert_eq!(guest.kernel_ids(&loaded), AXIL_IDS);
    assert_eq!(guest.kernel_ids(&removed), "-");
    let list = guest.afi("list --output-format json").json();
    assert_eq!(list["slots"][1]["app"], serde_json::Value::Null);
    assert_eq!(list["slots"][1]["app_bdf"], removed);
    guest.afi("describe 1 --rescan").success();
    assert_eq!(guest.kernel_ids(&removed), CLEARED_IDS);
}
