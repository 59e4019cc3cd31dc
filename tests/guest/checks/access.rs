//! Users who are not root, let in by the group, the rule of udev, and the directories that packages
//! install. The udev is Debian's.

use afi_rig::Output;

use super::image::{AXIL, AXIL_IDS, DRAM, DRAM_IDS, HELLO, HELLO_IDS};
use crate::guest::Guest;
use crate::instance::{Addresses, Instance};
use crate::kit::UDEV;

/// The directories, as packages install them.
const DIRECTORIES: &str = include_str!("../../../packaging/tmpfiles.d/afi.conf");

/// A user of the group, and one who is not.
const MEMBER: &str = "member";
const NOBODY: &str = "nobody";

/// On F1, where the functions of a slot are devices beside each other.
pub(super) fn on_f1(instance: &mut Instance) {
    let slot = instance.slots[6].clone();
    let images = [(HELLO, HELLO_IDS), (DRAM, DRAM_IDS)];
    start_udev(&mut instance.guest);
    only_slots_are_given(&mut instance.guest, &slot);
    a_member_does_everything(
        &mut instance.guest,
        6,
        &slot,
        &images,
        "1d0f:1042 1d0f:1042",
    );
    others_are_told_what_to_do(&mut instance.guest, 6);
}

/// On F2, where they are functions of one device.
pub(super) fn on_f2(instance: &mut Instance) {
    let slot = instance.slots[1].clone();
    start_udev(&mut instance.guest);
    only_slots_are_given(&mut instance.guest, &slot);
    a_member_does_everything(
        &mut instance.guest,
        1,
        &slot,
        &[(AXIL, AXIL_IDS)],
        "1d0f:9048 1d0f:9048",
    );
    others_are_told_what_to_do(&mut instance.guest, 1);
}

/// As at boot: the directories are made, udev starts, and is told of what is there already.
fn start_udev(guest: &mut Guest) {
    guest.sh("rm -rf /run/lock/afi /var/lib/afi").success();
    for line in DIRECTORIES
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["d", path, mode, user, group, "-"] = words[..] else {
            panic!("'{line}' is no directory");
        };
        guest
            .sh(&format!(
                "mkdir -p {path} && chown {user}:{group} {path} && chmod {mode} {path}"
            ))
            .success();
    }
    guest
        .sh(&udev(
            "systemd-udevd",
            "--daemon --resolve-names=never </dev/null >/dev/null 2>&1",
        ))
        .success();
    guest
        .sh(&udev(
            "udevadm",
            "trigger --settle --action=add --subsystem-match=pci",
        ))
        .success();
}

fn udev(program: &str, arguments: &str) -> String {
    format!("{UDEV} {program} /udev/udevadm {arguments}")
}

fn only_slots_are_given(guest: &mut Guest, slot: &Addresses) {
    let given = guest.sh("cd /sys/bus/pci/devices && for f in */config; do \
         [ $(stat -c %G $f) = fpga ] && echo ${f%/config}; done; true");
    let given: Vec<&str> = given.success().lines().collect();
    let list = guest.afi("list --output-format json").json();
    let mut wanted: Vec<String> = list["slots"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|slot| [&slot["mgmt"], &slot["app"]])
        .map(|function| function["bdf"].as_str().unwrap().to_owned())
        .collect();
    wanted.sort();
    assert_eq!(given, wanted);
    let modes = format!(
        "cd /sys/bus/pci/devices/{} && stat -c '%a %G %n' config remove resource0 resource4_wc; \
         stat -c '%a %G' /sys/bus/pci/rescan",
        slot.app
    );
    assert_eq!(
        guest.sh(&modes).success(),
        "664 fpga config\n220 fpga remove\n660 fpga resource0\n660 fpga resource4_wc\n200 root\n"
    );
}

/// Each load changes the ids, so that the kernel makes the files anew.
fn a_member_does_everything(
    guest: &mut Guest,
    number: usize,
    slot: &Addresses,
    images: &[(&str, &str)],
    cleared: &str,
) {
    let by_member = |guest: &mut Guest, words: String| -> Output { afi_as(guest, MEMBER, &words) };
    by_member(guest, format!("describe {number}")).success();
    for _ in 0..3 {
        for (image, ids) in images {
            let load = by_member(
                guest,
                format!("load {number} {image} --offline --output-format json"),
            );
            load.success();
            let report = &load.json()["loads"][0];
            assert!(report["bus"]["rescanned"].is_string(), "{report:#}");
            assert_eq!(guest.kernel_ids(&slot.app), *ids);
            by_member(guest, format!("peek {number} 0x0")).success();
        }
        by_member(guest, format!("poke {number} 0x1000 1 --bar pcis")).success();
        by_member(guest, format!("clear {number}")).success();
        assert_eq!(guest.kernel_ids(&slot.app), cleared);
    }
    // What is missing is looked for on the slot's bus.
    guest
        .sh(&format!(
            "echo 1 > /sys/bus/pci/devices/{}/remove",
            slot.app
        ))
        .success();
    by_member(guest, format!("describe {number} --rescan")).success();
    assert_eq!(guest.kernel_ids(&slot.app), cleared);
    by_member(guest, "list".to_owned()).success();
}

fn others_are_told_what_to_do(guest: &mut Guest, number: usize) {
    for words in ["describe", "clear"] {
        let refused = afi_as(guest, NOBODY, &format!("{words} {number}"));
        let message = refused.failure(4);
        assert!(message.contains("/run/lock/afi/"), "{message}");
        assert!(message.contains("sudo usermod -aG fpga $USER"), "{message}");
    }
    afi_as(guest, NOBODY, "list").success();
}

fn afi_as(guest: &mut Guest, user: &str, words: &str) -> Output {
    guest.sh(&format!("su {user} -s /bin/sh -c 'afi {words}'"))
}
