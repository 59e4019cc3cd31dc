//! What a report on a fault takes from the tree.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::fake_sys::{FakeSys, bdf};
use crate::bus::Bus;
use crate::capture::HostView;

const APP: &str = "0000:00:1d.0";

fn view(sys: &FakeSys, of: &str) -> HostView {
    sys.bus().host_view(Some(bdf(of)))
}

#[test]
fn texts_permissions_and_links_of_a_function_are_told() {
    let sys = FakeSys::f1();
    let write = |name: &str, text: &str| {
        let path = sys.file(APP, name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("enable", "1\n");
    write("driver_override", "(null)\n");
    write("power/runtime_status", "active\n");
    sys.write("bus/pci/drivers/xdma/bind", "");
    symlink(sys.path("bus/pci/drivers/xdma"), sys.file(APP, "driver")).unwrap();
    symlink(
        "../../module/xdma_mod",
        sys.path("bus/pci/drivers/xdma/module"),
    )
    .unwrap();
    symlink("../../kernel/iommu_groups/7", sys.file(APP, "iommu_group")).unwrap();
    let config = sys.file(APP, "config");
    fs::set_permissions(&config, Permissions::from_mode(0o660)).unwrap();
    let view = view(&sys, APP);
    let text = |name: &str| view.files[name].text.as_deref();
    assert_eq!(text("enable"), Some("1"));
    assert_eq!(text("driver_override"), Some("(null)"));
    assert_eq!(text("power/runtime_status"), Some("active"));
    assert_eq!(text("vendor"), Some("0x1d0f"));
    assert_eq!(text("resource").unwrap().lines().count(), 13);
    assert_eq!(view.files["config"].mode.as_deref(), Some("0660"));
    assert_eq!(text("config"), None, "its contents are recorded elsewhere");
    assert_eq!(text("resource0"), None, "a BAR is never read");
    assert!(!view.files.contains_key("resource1"));
    let links: Vec<_> = view
        .links
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let expected = [
        ("driver", "xdma"),
        ("driver/module", "xdma_mod"),
        ("iommu_group", "7"),
    ];
    assert_eq!(links, expected);
}

#[test]
fn what_is_no_small_text_is_bounded_and_what_cannot_be_read_has_the_reason() {
    let sys = FakeSys::f1();
    fs::write(sys.file(APP, "msi_bus"), vec![b'x'; 100_000]).unwrap();
    fs::write(sys.file(APP, "irq"), b"\xff\n").unwrap();
    symlink("/etc/hostname", sys.file(APP, "power_state")).unwrap();
    fs::create_dir(sys.file(APP, "revision")).unwrap();
    let view = view(&sys, APP);
    assert_eq!(view.files["msi_bus"].text.as_ref().unwrap().len(), 4096);
    assert_eq!(view.files["irq"].text.as_deref(), Some("\u{fffd}"));
    for name in ["power_state", "revision"] {
        let record = &view.files[name];
        assert!(
            record.text.is_none() && record.failure.is_some(),
            "{name}: {record:?}"
        );
    }
}

#[test]
fn of_what_is_no_function_of_a_slot_nothing_is_told() {
    let sys = FakeSys::f1();
    assert_eq!(view(&sys, "0000:00:03.0"), HostView::default());
    assert_eq!(view(&sys, "0000:00:01.0"), HostView::default());
}

#[test]
fn the_machine_tells_its_type_and_not_its_number() {
    let sys = FakeSys::f1();
    sys.write("class/dmi/id/product_name", "f2.6xlarge\n");
    sys.write("class/dmi/id/board_asset_tag", "i-0123456789abcdef0\n");
    sys.write("class/dmi/id/product_serial", "ec2-number\n");
    sys.write(
        "kernel/security/lockdown",
        "none [integrity] confidentiality\n",
    );
    fs::create_dir(sys.path("lock")).unwrap();
    let view = sys.bus().host_view(None);
    let names: Vec<_> = view.files.keys().map(String::as_str).collect();
    let expected = [
        "bus/pci/rescan",
        "class/dmi/id/product_name",
        "kernel/security/lockdown",
        "locks",
    ];
    assert_eq!(names, expected);
    let product = &view.files["class/dmi/id/product_name"];
    assert_eq!(product.text.as_deref(), Some("f2.6xlarge"));
    assert_eq!(view.files["bus/pci/rescan"].text, None);
}
