//! What loads and clears do when nothing goes wrong.

use std::time::{Duration, Instant};

use afi_pcie::bus::Caching;
use afi_proto::mailbox::SlotStatus;
use afi_proto::{BarIndex, Family, PciIds};
use afi_sim::device::Timing;

use super::super::*;
use super::rig::*;
use crate::problem::{Class, Problem as _};

#[test]
fn a_load_takes_its_steps_in_order_and_tells_what_it_did() {
    let rig = Rig::new(Family::F1, 1);
    let diary = Diary::default();
    let deadline = Deadline::after(Duration::from_secs(20));
    let wanted = plan("cl_hello_world");
    let report = load(
        &rig.context(),
        &rig.slot(),
        &wanted,
        &mut diary.clone(),
        &deadline,
    )
    .unwrap();
    let mut steps = diary.0.lock().unwrap().clone();
    steps.dedup();
    let order = [
        "lock", "resolve", "check", "send", "wait", "rescan", "ready", "verify",
    ];
    assert_eq!(steps, order);
    let timed: Vec<_> = report.steps.iter().map(|time| time.step.name()).collect();
    assert_eq!(timed, order);
    assert!(report.steps.iter().map(|time| time.took).sum::<Duration>() <= report.took);
    assert_eq!(report.outcome, Outcome::Loaded);
    assert_eq!(report.image.agfi.to_string(), HELLO);
    assert_eq!(report.before.status, SlotStatus::CLEARED);
    let bus = report.bus.unwrap();
    assert_eq!(bus.ids, PciIds::new(0x1D0F, 0xF000, 0xFEDD, 0x1D51));
    assert!(bus.rescanned.is_some());
    assert_eq!(bus.bars.len(), Family::F1.profile().app_bars.len());
    assert!(bus.probe.is_some_and(|probe| probe.bar == BarIndex::BAR2));
    assert_eq!(rig.slot().app.unwrap().ids, bus.ids);
    assert_eq!(rig.state().image.unwrap().to_string(), HELLO);
}

#[test]
fn both_families_load_and_clear() {
    for (family, image) in [(Family::F1, HELLO), (Family::F2, REGISTERS)] {
        let rig = Rig::new(family, 1);
        rig.load(&plan(image)).unwrap();
        let cleared = rig.clear().unwrap();
        assert_eq!(cleared.before.status, SlotStatus::LOADED);
        assert_eq!(cleared.after.status, SlotStatus::CLEARED);
        assert!(cleared.bus.rescanned.is_some());
        assert!(
            family
                .profile()
                .cleared
                .same_device(rig.slot().app.unwrap().ids)
        );
        let again = rig.clear().unwrap();
        assert_eq!(again.bus.rescanned, None);
    }
}

#[test]
fn the_image_that_runs_is_loaded_again_without_a_rescan() {
    let rig = Rig::new(Family::F1, 1);
    rig.load(&plan(HELLO)).unwrap();
    let again = rig.load(&plan(HELLO)).unwrap();
    assert_eq!(again.outcome, Outcome::Loaded);
    assert_eq!(again.bus.unwrap().rescanned, None);
}

#[test]
fn dram_is_kept_only_where_it_can_be() {
    let rig = Rig::new(Family::F1, 1);
    let retain = |image: &str| LoadPlan {
        retain_dram: true,
        ..plan(image)
    };
    let error = rig.load(&retain(DRAM)).unwrap_err();
    assert!(
        error.source.to_string().contains("the slot is cleared"),
        "{}",
        error.source
    );
    rig.load(&plan(DRAM)).unwrap();
    let error = rig.load(&retain(HELLO)).unwrap_err();
    assert!(
        error
            .source
            .to_string()
            .contains("does not support retention")
    );
    assert!(!error.touched);
    rig.load(&retain(DRAM)).unwrap();
    let rig = Rig::new(Family::F2, 1);
    rig.load(&plan(REGISTERS)).unwrap();
    let error = rig.load(&retain(REGISTERS)).unwrap_err();
    assert!(
        error.source.to_string().contains("of f2, which cannot"),
        "{}",
        error.source
    );
}

#[test]
fn a_dry_run_checks_everything_and_sends_nothing() {
    let rig = Rig::new(Family::F1, 1);
    let dry = LoadPlan {
        dry_run: true,
        ..plan(HELLO)
    };
    let report = rig.load(&dry).unwrap();
    assert_eq!(report.outcome, Outcome::WouldLoad);
    assert!(report.attempts.is_empty());
    assert_eq!(rig.state().status, SlotStatus::CLEARED);
}

#[test]
fn a_prefetch_fills_the_cache_and_leaves_what_runs_alone() {
    let rig = Rig::new(Family::F1, 1);
    rig.load(&plan(HELLO)).unwrap();
    let prefetch = LoadPlan {
        prefetch: true,
        ..plan(DRAM)
    };
    let report = rig.load(&prefetch).unwrap();
    assert_eq!(report.outcome, Outcome::Prefetched);
    assert_eq!(rig.state().image.unwrap().to_string(), HELLO);
}

#[test]
fn without_waiting_a_load_goes_on_by_itself_and_the_next_one_waits_for_it() {
    let timing = Timing::default().with_load(Duration::from_millis(200));
    let rig = Rig::with_timing(Family::F1, 1, timing);
    let no_wait = LoadPlan {
        no_wait: true,
        ..plan(HELLO)
    };
    let report = rig.load(&no_wait).unwrap();
    assert_eq!(report.outcome, Outcome::Sent);
    assert_eq!(rig.state().status, SlotStatus::BUSY);
    let start = Instant::now();
    let next = rig.load(&plan(DRAM)).unwrap();
    assert_eq!(next.attempts.len(), 1);
    assert!(
        start.elapsed() > Duration::from_millis(300),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(rig.state().image.unwrap().to_string(), DRAM);
}

#[test]
fn an_unknown_agfi_is_loaded_unchecked_only_with_the_api_switched_off() {
    let rig = Rig::new(Family::F1, 1);
    let offline = LoadPlan {
        policy: Policy {
            offline: true,
            refresh: false,
        },
        ..plan(HELLO)
    };
    let report = rig.load(&offline).unwrap();
    assert_eq!(report.image.source, ChosenBy::Unchecked);
    assert_eq!(report.outcome, Outcome::Loaded);
    let by_name = LoadPlan {
        image: "cl_hello_world".parse().unwrap(),
        ..offline.clone()
    };
    assert_eq!(rig.load(&by_name).unwrap_err().class(), Class::NotFound);
    rig.load(&plan("cl_hello_world")).unwrap();
    let report = rig.load(&offline).unwrap();
    assert!(matches!(report.image.source, ChosenBy::Resolver(_)));
}

#[test]
fn eight_slots_are_loaded_at_once_and_each_answers_for_itself() {
    let timing = Timing::default().with_load(Duration::from_millis(300));
    let rig = Rig::with_timing(Family::F1, 8, timing);
    rig.fault("load-error=afi-power-violation:3");
    let deadline = Deadline::after(Duration::from_secs(20));
    let start = Instant::now();
    let (wanted, slots) = (plan("cl_hello_world"), rig.slots());
    let results = load_all(&rig.context(), &slots, &wanted, |_| Unobserved, &deadline);
    assert!(
        start.elapsed() < Duration::from_millis(8 * 300),
        "{:?}",
        start.elapsed()
    );
    for (number, result) in results.iter().enumerate() {
        let index = match result {
            Ok(report) => report.slot.index,
            Err(error) => error.slot.index,
        };
        assert_eq!(usize::from(index.0), number);
        assert_eq!(result.is_err(), number == 3);
    }
    let plan = ClearPlan::with_retries(RETRIES);
    let results = clear_all(&rig.bus, &slots, "test", &plan, |_| Unobserved, &deadline);
    assert!(results.iter().all(Result::is_ok));
}

#[test]
fn a_forced_reload_of_the_shell_is_agreed_to() {
    for (family, image) in [(Family::F1, HELLO), (Family::F2, REGISTERS)] {
        let rig = Rig::new(family, 1);
        let forced = LoadPlan {
            force_shell_reload: true,
            ..plan(image)
        };
        let report = rig.load(&forced).unwrap();
        assert_eq!(report.outcome, Outcome::Loaded, "{family}");
        assert_eq!(report.attempts.len(), 1, "{family}");
    }
}

#[test]
fn a_view_that_is_out_of_date_is_brought_up_to_date_by_a_rescan() {
    let rig = Rig::new(Family::F1, 1);
    let no_wait = LoadPlan {
        no_wait: true,
        ..plan(HELLO)
    };
    rig.load(&no_wait).unwrap();
    while rig.state().status.is_transient() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let before = rig.slot().app.unwrap().ids;
    assert!(Family::F1.profile().cleared.same_device(before));
    let deadline = Deadline::after(Duration::from_secs(5));
    let reason = rescan(&rig.bus, &rig.slot(), "test", &deadline).unwrap();
    assert!(reason.is_some());
    assert_eq!(rig.slot().app.unwrap().ids.device, 0xF000);
    assert_eq!(
        rescan(&rig.bus, &rig.slot(), "test", &deadline).unwrap(),
        None
    );
}

#[test]
fn the_design_that_was_loaded_answers() {
    let rig = Rig::new(Family::F1, 1);
    rig.load(&plan(HELLO)).unwrap();
    let app = rig.bus.open(rig.slot().app_bdf).unwrap();
    let ocl = app.bar(BarIndex::BAR0, Caching::None).unwrap();
    ocl.write32(0x500, 0xEFBE_ADDE).unwrap();
    assert_eq!(ocl.read32(0x500), Ok(0xDEAD_BEEF));
}
