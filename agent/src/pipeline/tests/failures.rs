//! What loads do when something goes wrong.

use std::time::{Duration, Instant};

use afi_pcie::Cancel;
use afi_proto::Family;
use afi_proto::config_space::Command as CommandRegister;
use afi_proto::mailbox::{ErrorCode, SlotStatus};
use afi_sim::device::Timing;

use super::super::*;
use super::rig::*;
use crate::problem::{Class, Problem as _};

#[test]
fn a_check_that_does_not_pass_names_itself_and_leaves_the_slot_alone() {
    let rig = Rig::new(Family::F1, 1);
    for (image, class, words) in [
        (
            OLD,
            Class::Mismatch,
            "check of shell: image agfi-0f1f1000000000003 ('cl_old') was built for shell 0x071417d3",
        ),
        (PENDING, Class::Failed, "is pending; wanted available"),
        (
            REGISTERS,
            Class::Mismatch,
            "was built for f2 (xcvu47p); wanted f1 (xcvu9p)",
        ),
        ("cl_nothing", Class::NotFound, "cl_nothing"),
    ] {
        let error = rig.load(&plan(image)).unwrap_err();
        assert!(error.source.to_string().contains(words), "{}", error.source);
        assert_eq!(error.class(), class, "{image}");
        assert!(error.remedy().is_some());
        assert!(!error.touched);
        assert!(error.attempts.is_empty());
    }
    assert_eq!(rig.state().status, SlotStatus::CLEARED);
}

#[test]
fn what_passes_is_tried_again_and_every_try_is_recorded() {
    let rig = Rig::new(Family::F1, 1);
    for (fault, step) in [
        ("busy-loads=2", Step::Send),
        ("response-malformed=2", Step::Check),
        ("response-wrong-opcode=1", Step::Check),
    ] {
        rig.fault(fault);
        let report = rig.load(&plan(HELLO)).unwrap();
        let failed: Vec<_> = report
            .attempts
            .iter()
            .filter(|a| a.error.is_some())
            .collect();
        assert_eq!(
            failed.len(),
            if fault.ends_with('2') { 2 } else { 1 },
            "{fault}"
        );
        assert!(
            failed.iter().all(|a| a.step == step && a.pause.is_some()),
            "{fault}"
        );
    }
}

#[test]
fn a_load_that_fails_in_a_way_that_passes_is_loaded_again() {
    let rig = Rig::new(Family::F1, 1);
    // At a chance of one in two, from the first seed: some fail, none so often in a row.
    rig.fault("load-error=-110@0.5");
    let mut failed = 0;
    for _ in 0..8 {
        let generous = LoadPlan {
            retries: 20,
            ..plan(HELLO)
        };
        let report = rig.load(&generous).unwrap();
        failed += report.attempts.len() - 1;
        let codes = report.attempts.iter().filter_map(|attempt| attempt.code);
        assert!(codes.into_iter().all(|code| code == ErrorCode::TIMED_OUT));
    }
    assert!(failed > 0);
}

#[test]
fn what_does_not_pass_is_not_tried_again() {
    let rig = Rig::new(Family::F1, 1);
    // From here on the image is known from the cache.
    rig.load(&plan(HELLO)).unwrap();
    for (code, class) in [
        ("afi-power-violation", Class::Failed),
        ("cl-id-mismatch", Class::Mismatch),
        ("invalid-afi-id", Class::NotFound),
        ("unspecified-error", Class::Failed),
    ] {
        rig.fault(&format!("load-error={code}"));
        let error = rig.load(&plan(HELLO)).unwrap_err();
        assert_eq!(error.class(), class, "{code}");
        assert_eq!(error.attempts.len(), 1, "{code}");
        assert!(
            error.attempts[0].error.as_ref().unwrap().contains(code),
            "{code}"
        );
        assert!(error.touched);
        assert!(error.now.is_some());
        let refresh = error.remedy().unwrap().contains("--refresh");
        assert_eq!(refresh, code == "invalid-afi-id", "{code}");
    }
}

#[test]
fn after_a_load_that_failed_the_host_shows_what_is_on_the_bus() {
    let rig = Rig::new(Family::F1, 1);
    rig.load(&plan(HELLO)).unwrap();
    rig.fault("load-error=unspecified-error");
    let error = rig.load(&plan(DRAM)).unwrap_err();
    assert_eq!(error.step, Step::Wait);
    let app = rig.bus.open(rig.slot().app_bdf).unwrap();
    let live = app.live_ids().unwrap();
    assert_ne!(
        live.device, 0xF000,
        "the image before does not run any more"
    );
    assert_eq!(rig.slot().app.unwrap().ids, live);
}

#[test]
fn retries_are_bounded() {
    let rig = Rig::new(Family::F1, 1);
    rig.fault("load-error=-110");
    let few = LoadPlan {
        retries: 2,
        ..plan(HELLO)
    };
    let error = rig.load(&few).unwrap_err();
    assert_eq!(error.class(), Class::TimedOut);
    assert_eq!(error.attempts.len(), 3);
    assert_eq!(error.attempts[2].pause, None);
    let now = error.now.unwrap();
    assert_eq!(
        (now.status, now.error),
        (SlotStatus::LOAD_FAILED, ErrorCode::TIMED_OUT)
    );
}

#[test]
fn a_shell_that_stays_busy_or_silent_ends_with_the_deadline() {
    let time = Duration::from_millis(300);
    for (fault, class) in [
        ("busy-forever", Class::Busy),
        ("mailbox-silent", Class::TimedOut),
        ("mailbox-mute", Class::TimedOut),
    ] {
        let rig = Rig::new(Family::F1, 1);
        rig.fault(fault);
        let start = Instant::now();
        let error = rig.load_within(&plan(HELLO), time).unwrap_err();
        assert_eq!(error.class(), class, "{fault}: {error:?}");
        let took = start.elapsed();
        assert!(
            took >= time - Duration::from_millis(100),
            "{fault}: {took:?}"
        );
        assert!(took < time + Duration::from_secs(1), "{fault}: {took:?}");
    }
}

#[test]
fn other_ids_on_the_bus_are_a_mismatch() {
    let rig = Rig::new(Family::F1, 1);
    rig.fault("ids-differ");
    let error = rig.load(&plan(HELLO)).unwrap_err();
    assert_eq!((error.step, error.class()), (Step::Verify, Class::Mismatch));
    let text = error.source.to_string();
    assert!(text.contains("wanted 1d0f:f000 fedd:1d51"), "{text}");
}

#[test]
fn an_image_that_is_not_what_the_cloud_says_is_a_mismatch() {
    let rig = Rig::new(Family::F1, 1);
    let error = rig.load(&plan(MISLABELLED)).unwrap_err();
    assert_eq!((error.step, error.class()), (Step::Verify, Class::Mismatch));
    let text = error.source.to_string();
    assert!(
        text.contains("the ids 1d0f:f000 0001:0001 on the bus"),
        "{text}"
    );
    assert!(text.ends_with("wanted 1d0f:f0ff fedd:1d51, with which the image was registered"));
}

#[test]
fn a_card_that_goes_away_is_told_as_gone() {
    for fault in ["device-gone", "device-gone-on-load"] {
        let rig = Rig::new(Family::F1, 1);
        rig.fault(fault);
        let error = rig.load(&plan(HELLO)).unwrap_err();
        assert_eq!(error.class(), Class::DeviceGone, "{fault}: {error:?}");
    }
}

#[test]
fn an_application_function_that_stays_away_is_waited_for_and_then_missing() {
    let rig = Rig::new(Family::F1, 1);
    rig.fault("app-missing");
    let time = Duration::from_millis(500);
    let error = rig.load_within(&plan(HELLO), time).unwrap_err();
    assert_eq!(
        (error.step, error.class()),
        (Step::Rescan, Class::DeviceGone)
    );
    assert_eq!(error.now.unwrap().status, SlotStatus::LOADED);
}

#[test]
fn bus_mastering_is_switched_on_and_told() {
    let rig = Rig::new(Family::F1, 1);
    rig.fault("bus-master-off");
    let report = rig.load(&plan(HELLO)).unwrap();
    assert_eq!(report.bus.unwrap().switched_on, ["bus-master"]);
    let app = rig.bus.open(rig.slot().app_bdf).unwrap();
    assert!(app.command().unwrap().contains(CommandRegister::BUS_MASTER));
}

#[test]
fn an_interrupted_load_is_told_truthfully_by_the_next_command() {
    let timing = Timing::default().with_load(Duration::from_millis(300));
    let rig = Rig::with_timing(Family::F1, 1, timing);
    let cancel = Cancel::default();
    let deadline = Deadline::after(Duration::from_secs(20)).with_cancel(&cancel);
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            cancel.cancel();
        });
        let (context, slot) = (rig.context(), rig.slot());
        load(&context, &slot, &plan(HELLO), &mut Unobserved, &deadline).unwrap_err()
    });
    assert_eq!(
        (error.step, error.class()),
        (Step::Wait, Class::Interrupted)
    );
    assert!(error.touched);
    assert_eq!(error.now.unwrap().status, SlotStatus::BUSY);
    assert_eq!(rig.state().status, SlotStatus::BUSY);
    let report = rig.load(&plan(HELLO)).unwrap();
    assert_eq!(report.outcome, Outcome::Loaded);
}

#[test]
fn a_slot_whose_lock_is_held_is_busy() {
    let rig = Rig::new(Family::F1, 1);
    let mgmt = rig.slot().mgmt.bdf;
    let soon = Deadline::after(Duration::from_secs(1));
    let directory = rig.bus.lock_directory();
    let _held = crate::lock::SlotLock::acquire(&directory, mgmt, "other", &soon).unwrap();
    let error = rig
        .load_within(&plan(HELLO), Duration::from_millis(100))
        .unwrap_err();
    assert_eq!((error.step, error.class()), (Step::Lock, Class::Busy));
    assert!(error.source.to_string().contains("'other'"));
    assert!(!error.touched);
}
