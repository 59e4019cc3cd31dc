use afi_proto::config_space;
use afi_proto::mailbox::{CommandFlags as Flags, LoadRequest, MgmtRegister};
use afi_proto::{BarIndex, ShellVersion};

use super::*;
use crate::device::testing::{LOAD, Rig, agfi, image, read32, write32};

const CLEAR: Duration = Duration::from_millis(10);
const TICK: Duration = Duration::from_nanos(1);

fn ids_on_bus(rig: &Rig) -> PciIds {
    let mut header = [0; config_space::HEADER_SIZE];
    rig.app.read_config(0, &mut header);
    config_space::ids(&header)
}

/// An F1 card with a `cl_hello_world` (1), two `cl_dram_dma` (2, 3), and what cannot be loaded:
/// one for another shell (4), one without a model (5), one that draws too much (6).
fn rig() -> Rig {
    let family = Family::F1;
    let mut other_shell = image(family, 4, "cl_hello_world");
    other_shell.shell = ShellVersion(0x0714_17D3);
    let mut hot = image(family, 6, "cl_dram_dma");
    hot.power_watts = 86;
    Rig::new(
        family,
        vec![
            image(family, 1, "cl_hello_world"),
            image(family, 2, "cl_dram_dma"),
            image(family, 3, "cl_dram_dma"),
            other_shell,
            image(family, 5, "no_such_model"),
            hot,
        ],
    )
}

fn load_and_wait(rig: &Rig, number: u64) {
    rig.load(number, Flags::empty()).unwrap();
    rig.clock.step(LOAD);
    assert_eq!(rig.hardware().status, SlotStatus::LOADED);
}

#[test]
fn a_load_is_busy_for_its_time_and_then_the_image_is_there() {
    let rig = rig();
    let cleared = rig.hardware();
    assert_eq!(cleared.status, SlotStatus::CLEARED);
    assert_eq!(cleared.ids, ids_on_bus(&rig));
    assert_eq!((cleared.ids.vendor, cleared.ids.device), (0x1D0F, 0x1042));

    rig.load(1, Flags::empty()).unwrap();
    rig.clock.step(LOAD - TICK);
    let busy = rig.hardware();
    assert_eq!((busy.status, busy.image), (SlotStatus::BUSY, None));
    assert_eq!(ids_on_bus(&rig), cleared.ids);

    rig.clock.step(TICK);
    let loaded = rig.hardware();
    assert_eq!(loaded.status, SlotStatus::LOADED);
    assert_eq!(loaded.error, ErrorCode::OK);
    assert_eq!(loaded.image, Some(agfi(1)));
    assert_eq!(loaded.ids, PciIds::new(0x1D0F, 0xF001, 0xFEDC, 0x1D51));
    assert_eq!(ids_on_bus(&rig), loaded.ids);
    assert_eq!(loaded.body.clocks_hz[0][0], 125_000_000);
    assert_eq!(loaded.body.power.last, 20);

    rig.clear().unwrap();
    assert_eq!(rig.hardware().status, SlotStatus::BUSY);
    rig.clock.step(CLEAR);
    let after = rig.hardware();
    assert_eq!(
        (after.status, after.image, after.ids),
        (SlotStatus::CLEARED, None, cleared.ids)
    );
    assert_eq!(ids_on_bus(&rig), cleared.ids);
    assert_eq!(after.body.clocks_hz, ClockGroups::default());
}

#[test]
fn timeouts_during_a_load_end_with_it() {
    let rig = rig();
    rig.load(1, Flags::empty()).unwrap();
    rig.clock.step(LOAD - TICK);
    assert_eq!(rig.ocl(0x508), u32::MAX);
    rig.clock.step(TICK);
    assert_eq!(rig.ocl(0x508), 0xDEAD_DEAD);
    assert_eq!(rig.hardware().body.ocl_timeout.count, 1);
}

#[test]
fn a_busy_slot_refuses_everything_but_metrics() {
    let rig = rig();
    rig.load(1, Flags::empty()).unwrap();
    assert_eq!(rig.load(2, Flags::empty()), Err(3));
    assert_eq!(rig.load(2, Flags::PREFETCH), Err(3));
    assert_eq!(rig.clear(), Err(3));
    rig.clock.step(LOAD);
    assert_eq!(rig.hardware().image, Some(agfi(1)));
}

#[test]
fn an_image_in_the_cache_loads_faster_and_a_clear_empties_the_cache() {
    let rig = rig();
    load_and_wait(&rig, 1);
    load_and_wait(&rig, 2);
    assert_eq!(rig.hardware().body.cached, [agfi(2), agfi(1)]);
    rig.load(1, Flags::empty()).unwrap();
    rig.clock.step(LOAD / 3);
    assert_eq!(rig.hardware().status, SlotStatus::LOADED);
    assert_eq!(rig.hardware().body.cached, [agfi(1), agfi(2)]);

    let body = rig
        .metrics(Flags::GET_HW_METRICS | Flags::CLEAR_AFI_CACHE)
        .body;
    assert!(body.cached.is_empty());
    rig.load(2, Flags::empty()).unwrap();
    rig.clock.step(LOAD / 3);
    assert_eq!(
        rig.hardware().status,
        SlotStatus::BUSY,
        "it is not in the cache any more"
    );
    rig.clock.step(LOAD);
    rig.clear().unwrap();
    rig.clock.step(CLEAR);
    assert!(rig.hardware().body.cached.is_empty());
}

#[test]
fn the_cache_holds_16_images() {
    let images = (1..=17).map(|number| image(Family::F1, number, "cl_hello_world"));
    let rig = Rig::new(Family::F1, images.collect());
    for number in 1..=17 {
        load_and_wait(&rig, number);
    }
    let wanted: Vec<_> = (2..=17).rev().map(agfi).collect();
    assert_eq!(rig.hardware().body.cached, wanted);
}

#[test]
fn a_prefetch_leaves_the_running_image_alone() {
    let rig = rig();
    load_and_wait(&rig, 1);
    rig.set_ocl(0x500, 1);
    rig.load(2, Flags::PREFETCH).unwrap();
    let caching = rig.hardware();
    assert_eq!(
        (caching.status, caching.error),
        (SlotStatus::CACHING, ErrorCode::OK)
    );
    assert_eq!(rig.ocl(0x500), 0x0100_0000);
    assert_eq!(rig.load(2, Flags::empty()), Err(3));
    rig.clock.step(Duration::from_millis(20));
    let after = rig.hardware();
    assert_eq!(
        (after.status, after.image),
        (SlotStatus::LOADED, Some(agfi(1)))
    );
    assert_eq!(after.body.cached, [agfi(2), agfi(1)]);
    rig.load(1, Flags::PREFETCH).unwrap();
    assert_eq!(
        rig.hardware().status,
        SlotStatus::LOADED,
        "it is there already"
    );
    assert_eq!(rig.hardware().body.cached, [agfi(1), agfi(2)]);
    assert_eq!(
        rig.load(2, Flags::PREFETCH | Flags::FORCE_SHELL_RELOAD),
        Err(27)
    );
}

#[test]
fn a_refusal_changes_nothing() {
    let rig = rig();
    load_and_wait(&rig, 1);
    rig.set_ocl(0x500, 1);
    assert_eq!(rig.load(99, Flags::empty()), Err(5));
    assert_eq!(rig.load(4, Flags::empty()), Err(16));
    assert_eq!(rig.load(4, Flags::PREFETCH), Err(16));
    assert_eq!(rig.load(5, Flags::empty()), Err(24));
    assert_eq!(rig.load(1, Flags::DRAM_DATA_RETENTION), Err(18));
    rig.fault("load-error=3");
    assert_eq!(rig.load(2, Flags::empty()), Err(3));
    rig.fault("image-gone");
    assert_eq!(rig.load(2, Flags::empty()), Err(5));
    rig.fault("clear-error=19");
    assert_eq!(rig.clear(), Err(19));
    let metrics = rig.hardware();
    assert_eq!(
        (metrics.status, metrics.image),
        (SlotStatus::LOADED, Some(agfi(1)))
    );
    assert_eq!(rig.ocl(0x500), 0x0100_0000);
}

#[test]
fn memory_is_kept_only_with_retention() {
    const FAR: u64 = 0xC_0000_0040;
    let rig = rig();
    let read = || read32(&*rig.app, BarIndex::BAR4, FAR);
    load_and_wait(&rig, 2);
    write32(&*rig.app, BarIndex::BAR4, FAR, 7);
    rig.load(3, Flags::DRAM_DATA_RETENTION).unwrap();
    rig.clock.step(LOAD);
    assert_eq!(read(), 7);
    load_and_wait(&rig, 2);
    assert_eq!(read(), 0);
    write32(&*rig.app, BarIndex::BAR4, FAR, 7);
    rig.clear().unwrap();
    rig.clock.step(CLEAR);
    load_and_wait(&rig, 2);
    assert_eq!(read(), 0);
}

#[test]
fn retention_has_its_conditions() {
    const RETAIN: Flags = Flags::DRAM_DATA_RETENTION;
    let rig = rig();
    assert_eq!(rig.load(2, RETAIN), Err(18), "cleared");
    assert_eq!(rig.hardware().status, SlotStatus::CLEARED);
    load_and_wait(&rig, 1);
    assert_eq!(rig.load(2, RETAIN), Err(18), "the running image has no DDR");
    load_and_wait(&rig, 2);
    assert_eq!(rig.load(1, RETAIN), Err(18), "the next image has no DDR");
    assert_eq!(rig.load(2, RETAIN | Flags::FORCE_SHELL_RELOAD), Err(18));
    rig.load(6, RETAIN).unwrap();
    rig.clock.step(LOAD);
    assert_eq!(
        rig.load(2, RETAIN),
        Err(18),
        "the slot is in a failed state"
    );

    let family = Family::F2;
    let mut retaining = image(family, 1, "cl_dram_hbm_dma");
    retaining.data_retention = true;
    let rig = Rig::new(family, vec![retaining]);
    load_and_wait(&rig, 1);
    assert_eq!(rig.load(1, RETAIN), Err(18), "F2 has no retention");

    let old = ShellVersion(0x0714_17D3);
    let mut before_1_4 = image(Family::F1, 1, "cl_dram_dma");
    before_1_4.shell = old;
    let rig = Rig::with_shell(Family::F1, old, vec![before_1_4]);
    load_and_wait(&rig, 1);
    assert_eq!(rig.load(1, RETAIN), Err(18), "the shell is older than 1.4");
}

#[test]
fn too_much_power_stops_the_clocks_until_the_next_load() {
    let rig = rig();
    rig.load(6, Flags::empty()).unwrap();
    rig.clock.step(LOAD);
    let metrics = rig.hardware();
    assert_eq!(metrics.status, SlotStatus::LOAD_FAILED);
    assert_eq!(metrics.error, ErrorCode::POWER_VIOLATION);
    assert_eq!(metrics.image, None);
    assert_eq!(metrics.body.clocks_hz, ClockGroups::default());
    assert_eq!(
        (metrics.body.power.max, metrics.body.power.last),
        (86, IDLE_WATTS)
    );
    assert_eq!(ids_on_bus(&rig).device, 0xF006, "the image is in place");
    assert_eq!(rig.ocl(0x500), u32::MAX);
    assert!(rig.app.bar_memory(BarIndex::BAR4).is_none());
    load_and_wait(&rig, 2);
    assert_eq!(rig.ocl(0x500), 0, "no timeout is left over");
}

#[test]
fn a_load_that_fails_tells_so_in_the_status() {
    let rig = rig();
    for code in [6, 12, 13, 14, 22, 23, -110] {
        load_and_wait(&rig, 1);
        rig.fault(&format!("load-error={code}"));
        rig.load(2, Flags::empty()).unwrap();
        assert_eq!(rig.hardware().status, SlotStatus::BUSY);
        rig.clock.step(LOAD);
        let metrics = rig.hardware();
        assert_eq!(metrics.status, SlotStatus::LOAD_FAILED);
        assert_eq!((metrics.error, metrics.image), (ErrorCode(code), None));
        assert_eq!(ids_on_bus(&rig).device, 0x1042);
        assert_eq!(rig.ocl(0x500), u32::MAX);
        rig.faults.set(Vec::new());
    }
    rig.fault("clear-error=14");
    rig.clear().unwrap();
    rig.clock.step(CLEAR);
    let metrics = rig.hardware();
    assert_eq!(
        (metrics.status, metrics.error),
        (SlotStatus::LOAD_FAILED, ErrorCode(14))
    );
}

#[test]
fn a_failed_retention_loses_the_data() {
    let rig = rig();
    load_and_wait(&rig, 2);
    write32(&*rig.app, BarIndex::BAR4, 0, 7);
    rig.fault("load-error=dram-data-retention-failed");
    rig.load(2, Flags::DRAM_DATA_RETENTION).unwrap();
    rig.clock.step(LOAD);
    assert_eq!(rig.hardware().error, ErrorCode::RETENTION_FAILED);
    rig.faults.set(Vec::new());
    load_and_wait(&rig, 2);
    assert_eq!(read32(&*rig.app, BarIndex::BAR4, 0), 0);
}

#[test]
fn busy_faults_end_when_they_should() {
    let rig = rig();
    rig.fault("busy-loads=2");
    assert_eq!(rig.load(1, Flags::empty()), Err(3));
    assert_eq!(rig.load(1, Flags::empty()), Err(3));
    load_and_wait(&rig, 1);
    rig.fault("busy-forever");
    assert_eq!(rig.hardware().status, SlotStatus::BUSY);
    rig.clock.step(Duration::from_secs(3600));
    assert_eq!(rig.hardware().status, SlotStatus::BUSY);
    assert_eq!(rig.load(1, Flags::empty()), Err(3));
    assert_eq!(rig.clear(), Err(3));
}

#[test]
fn what_the_bus_shows_can_differ_from_what_the_shell_says() {
    let rig = rig();
    rig.fault("ids-differ=1");
    load_and_wait(&rig, 1);
    assert_ne!(ids_on_bus(&rig), rig.hardware().ids);

    rig.fault("app-missing=1");
    load_and_wait(&rig, 1);
    assert!(!rig.app.is_present());
    assert!(ids_on_bus(&rig).is_absent());
    assert_eq!(rig.ocl(0x500), u32::MAX);
    load_and_wait(&rig, 1);
    assert!(rig.app.is_present());
    rig.fault("app-missing=1");
    load_and_wait(&rig, 1);
    assert!(!rig.app.is_present());
    rig.clear().unwrap();
    rig.clock.step(CLEAR);
    assert!(rig.app.is_present());

    let command = || {
        let mut bytes = [0; 1];
        rig.app.read_config(config_space::COMMAND, &mut bytes);
        bytes[0]
    };
    assert_eq!(command(), 0b110);
    rig.fault("bus-master-off=1");
    load_and_wait(&rig, 1);
    assert_eq!(command(), 0b010);
}

#[test]
fn a_card_that_is_gone_reads_as_all_ones() {
    let rig = rig();
    let gone = || {
        assert!(!rig.mgmt.is_present() && !rig.app.is_present());
        assert_eq!(rig.read(MgmtRegister::ShellVersion), u32::MAX);
        let mut config = [0; 3];
        rig.mgmt.read_config(0, &mut config);
        assert_eq!(config, [0xFF; 3]);
        assert!(ids_on_bus(&rig).is_absent());
        rig.write(MgmtRegister::VirtualDip, 1);
    };
    rig.fault("device-gone");
    gone();
    rig.faults.set(Vec::new());
    assert_eq!(
        rig.read(MgmtRegister::VirtualDip),
        0,
        "the write was dropped"
    );
    rig.fault("device-gone-on-load");
    let request = LoadRequest {
        image: agfi(1),
        flags: Flags::empty(),
        clocks_hz: [0; 3],
    };
    let header = afi_proto::mailbox::Header::request(afi_proto::mailbox::Opcode::LOAD, 1);
    rig.send(&afi_proto::mailbox::encode(header, &request.encode()));
    rig.faults.set(Vec::new());
    gone();
}

#[test]
fn a_request_can_ask_for_other_clocks() {
    let rig = rig();
    let request = LoadRequest {
        image: agfi(1),
        flags: Flags::empty(),
        clocks_hz: [250_000_000, 0, 15_625_000],
    };
    rig.command(afi_proto::mailbox::Opcode::LOAD, &request.encode())
        .unwrap();
    rig.clock.step(LOAD);
    let clocks = rig.hardware().body.clocks_hz;
    assert_eq!(
        clocks.map(|group| group[0]),
        [250_000_000, 125_000_000, 15_625_000]
    );
    assert_eq!(clocks[0][1], 125_000_000);
}

#[test]
fn a_forced_shell_reload_takes_longer_on_f1() {
    let rig = rig();
    rig.load(1, Flags::FORCE_SHELL_RELOAD).unwrap();
    rig.clock.step(LOAD);
    assert_eq!(rig.hardware().status, SlotStatus::BUSY);
    rig.write(MgmtRegister::RlReload, 1);
    rig.clock.step(Duration::from_millis(20));
    assert_eq!(rig.hardware().status, SlotStatus::LOADED);
}
