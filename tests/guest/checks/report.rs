//! A report on a fault, from what a real kernel shows.

use crate::instance::Instance;

/// A capture shows what the kernel and the shells showed, and what `sysfs` tells beside it.
pub(super) fn shows_the_same(instance: &mut Instance) {
    let slot = instance.slots[6].clone();
    let guest = &mut instance.guest;
    let said = guest.afi("capture /tmp/report.json");
    assert!(said.success().contains("8 slots, 16 functions"), "{said:?}");
    assert_eq!(said.stderr, "");
    for view in [
        "list",
        "list --output-format json",
        "describe --metrics",
        "describe --metrics --output-format json",
    ] {
        let here = guest.afi(view);
        let there = guest.afi(&format!("--bus capture:/tmp/report.json {view}"));
        let there = there.success().replace("capture:/tmp/report.json", "sysfs");
        assert_eq!(settled(here.success()), settled(&there), "{view}");
    }
    let report = guest.sh("cat /tmp/report.json").json();
    let functions = report["functions"].as_array().unwrap();
    let function = |address: &str| {
        let mut functions = functions.iter();
        functions
            .find(|function| function["bdf"] == address)
            .unwrap()
    };
    let (mgmt, app) = (function(&slot.mgmt), function(&slot.app));
    assert_eq!(mgmt["bars"]["0"], 16 << 10);
    assert_eq!(app["bars"]["4"], 128_u64 << 30);
    assert!(
        mgmt["config"].as_str().unwrap().starts_with("0f1d4110"),
        "{mgmt}"
    );
    let resource = guest.sh(&format!("cat /sys/bus/pci/devices/{}/resource", slot.app));
    let recorded = app["host"]["files"]["resource"]["text"].as_str().unwrap();
    assert_eq!(recorded, resource.success().trim_end());
    assert_eq!(app["host"]["files"]["resource0"]["mode"], "0600");
    let kernel = guest.sh("uname -r");
    assert_eq!(report["machine"]["kernel"], kernel.success().trim_end());
}

/// A view without the mean of the power, which goes on changing after the capture.
fn settled(view: &str) -> String {
    let number = |text: &str| {
        text.trim_start_matches(|c: char| c.is_ascii_digit())
            .to_owned()
    };
    let mut parts = Vec::new();
    for (at, part) in view.split("mean ").enumerate() {
        parts.push(if at == 0 {
            part.to_owned()
        } else {
            number(part)
        });
    }
    let lines = parts.join("mean ");
    let lines = lines.lines().filter(|line| !line.contains("\"mean\":"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Who may not use the slots can still report what is seen, and that nothing more was allowed.
pub(super) fn without_root(instance: &mut Instance) {
    let guest = &mut instance.guest;
    let words = "afi capture /tmp/theirs.json";
    let said = guest.sh(&format!("su nobody -s /bin/sh -c '{words}'"));
    assert!(said.success().contains("8 slots, 16 functions"), "{said:?}");
    assert!(
        said.stderr.contains("recorded: cannot describe slot 5"),
        "{said:?}"
    );
    assert!(said.stderr.contains("/run/lock/afi/"), "{said:?}");
    let list = guest.afi("list");
    let theirs = guest.afi("--bus capture:/tmp/theirs.json list");
    assert_eq!(list.success(), theirs.success());
    let describe = guest.afi("--bus capture:/tmp/theirs.json describe 5");
    assert!(
        describe.failure(4).contains("/run/lock/afi/"),
        "{describe:?}"
    );
    let report = guest.sh("cat /tmp/theirs.json").json();
    let header = report["functions"][0]["config"].as_str().unwrap();
    assert_eq!(header.len(), 2 * 64, "{header}");
}
