//! Functions that are on the driver `vfio-pci`, where there is no VFIO to open them.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use afi_proto::BarIndex;
use afi_proto::config_space::Command;

use super::fake_sys::{FakeSys, HELLO_WORLD, bdf};
use crate::bus::{Bus, Caching, DmaAccess, DmaRequest, Function};
use crate::vfio::VfioError;
use crate::{BusError, Deadline, SharedMemory};

const APP: &str = "0000:00:1d.0";
const MGMT: &str = "0000:00:1e.0";

/// An instance whose second slot was given to programs.
fn bound() -> FakeSys {
    let sys = FakeSys::f1();
    symlink("../../../bus/pci/drivers/vfio-pci", sys.file(APP, "driver")).unwrap();
    symlink(
        "../../../kernel/iommu_groups/3",
        sys.file(APP, "iommu_group"),
    )
    .unwrap();
    sys.write("kernel/iommu_groups/3/name", "\n");
    sys
}

fn open(sys: &FakeSys) -> Arc<dyn Function> {
    sys.bus().open(bdf(APP)).unwrap()
}

fn cause(outcome: Result<impl Sized, BusError>) -> VfioError {
    match outcome {
        Err(BusError::Vfio { source, .. }) => source,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("done without VFIO"),
    }
}

#[test]
fn a_function_can_be_looked_at_without_taking_its_group() {
    let sys = bound();
    let function = open(&sys);
    assert_eq!(function.live_ids().unwrap(), HELLO_WORLD);
    assert_eq!(function.bar_size(BarIndex::BAR0).unwrap(), Some(32 << 20));
    assert_eq!(function.command().unwrap(), Command::MEMORY_SPACE);
}

#[test]
fn what_takes_vfio_says_what_is_missing_and_goes_no_other_way() {
    let sys = bound();
    let function = open(&sys);
    let memory = Arc::new(SharedMemory::new("test", 4096).unwrap());
    let request = DmaRequest {
        memory,
        range: 0..4096,
        iova: 1 << 32,
        access: DmaAccess::ReadWrite,
    };
    for error in [
        cause(function.bar(BarIndex::BAR0, Caching::None)),
        cause(function.bar(BarIndex::BAR4, Caching::WriteCombining)),
        cause(function.map_dma(request)),
        cause(function.msix(0)),
        cause(function.reset()),
        cause(function.enable(Command::BUS_MASTER)),
    ] {
        let missing = matches!(&error, VfioError::NoModule { module: "vfio", path }
            if path.ends_with("dev/vfio/vfio"));
        assert!(missing, "{error:?}");
    }
    assert_eq!(fs::read(sys.file(APP, "reset")).unwrap(), b"");
    assert_eq!(function.command().unwrap(), Command::MEMORY_SPACE);
    fs::remove_file(sys.file(APP, "iommu_group")).unwrap();
    let error = cause(function.msix(0));
    assert!(matches!(error, VfioError::NoIommu { .. }), "{error:?}");
}

#[test]
fn a_function_of_nobody_is_not_bound() {
    let sys = bound();
    let network = bdf("0000:00:03.0");
    let deadline = Deadline::after(std::time::Duration::from_secs(1));
    for (app, mgmt) in [(network, bdf(MGMT)), (bdf(APP), network)] {
        let error = sys.bus().bind(app, mgmt, &deadline).unwrap_err();
        assert!(matches!(error, BusError::NotFpga { .. }), "{error}");
        let error = sys.bus().unbind(app, mgmt, &deadline).unwrap_err();
        assert!(matches!(error, BusError::NotFpga { .. }), "{error}");
    }
    let without = sys
        .bus()
        .bind(bdf("0000:00:1b.0"), bdf("0000:00:1c.0"), &deadline);
    let without = without.unwrap_err();
    let off = matches!(&without, BusError::Bind { source, .. }
        if source.to_string().starts_with("the IOMMU is off"));
    assert!(off, "{without:?}");
}
