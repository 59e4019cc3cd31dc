//! The main job, as a user does it: find, resolve, check, load, verify, use, clear.

use std::fs;
use std::process::Command;

use afi_rig::{Sim, program};

const HELLO: &str = "agfi-0f1f1000000000001";
const DRAM: &str = "agfi-0f1f1000000000002";
const AXIL: &str = "agfi-0f2f2000000000001";

/// The steps of a load with the time that each took, from its report.
fn steps(report: &serde_json::Value) -> Vec<String> {
    let steps = report["loads"][0]["steps"].as_array().unwrap();
    steps
        .iter()
        .map(|step| {
            assert!(
                step["duration_ms"].as_f64().is_some_and(|ms| ms >= 0.0),
                "{step}"
            );
            step["step"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn an_f1_slot_from_empty_to_used_to_empty() {
    let sim = Sim::f1().start();
    let list = sim.afi("list --output-format json").json();
    assert_eq!(list["schema_version"], 1);
    assert_eq!(list["slots"].as_array().unwrap().len(), 1);
    assert_eq!(list["slots"][0]["app"]["ids"]["device"], "0x1042");

    let load = sim.afi(&format!("load 0 {HELLO} --output-format json"));
    load.success();
    let report = load.json();
    let expected = [
        "lock", "resolve", "check", "send", "wait", "rescan", "ready", "verify",
    ];
    assert_eq!(steps(&report), expected);
    let load = &report["loads"][0];
    assert_eq!(load["image"]["source"]["from"], "api");
    assert_eq!(load["after"]["image"], HELLO);
    assert_eq!(load["bus"]["ids"]["device"], "0xf000");
    assert_eq!(load["bus"]["bars"].as_array().unwrap().len(), 4);

    let list = sim.afi("list --output-format json").json();
    assert_eq!(list["slots"][0]["app"]["ids"]["subsystem_vendor"], "0xfedd");

    sim.afi("poke 0 0x500 0xefbeadde").success();
    assert!(sim.afi("peek 0 0x500").success().contains("0xdeadbeef"));
    sim.afi("dip set 0 0xffff").success();
    assert!(sim.afi("led 0").success().contains("1010-1101-1101-1110"));
    sim.afi("dip set 0 0").success();
    assert!(sim.afi("led 0").success().contains("0000-0000-0000-0000"));

    sim.afi("clear 0").success();
    let list = sim.afi("list --output-format json").json();
    assert_eq!(list["slots"][0]["app"]["ids"]["device"], "0x1042");
    assert!(sim.afi("describe 0").success().contains("cleared"));
}

#[test]
fn an_f2_slot_adds_two_numbers() {
    let sim = Sim::f2().slots(2).start();
    sim.afi(&format!("load 1 {AXIL}")).success();
    for (offset, value) in [("0x0", "40"), ("0x4", "2"), ("0x10", "1")] {
        sim.afi(&format!("poke 1 {offset} {value}")).success();
    }
    assert!(sim.afi("peek 1 0x8").success().contains("0x0000002a"));
    let state = sim.afi("describe all --output-format json").json();
    assert_eq!(state["slots"][0]["state"]["status"]["name"], "cleared");
    assert_eq!(state["slots"][1]["state"]["image"], AXIL);
}

#[test]
fn an_image_is_found_by_every_name_it_has() {
    let sim = Sim::f1().start();
    for name in [
        HELLO,
        "afi-0f1f1000000000001",
        "cl_hello_world",
        "tag:design=hello-world",
    ] {
        let load = sim.afi(&format!("load 0 {name} --output-format json"));
        load.success();
        assert_eq!(load.json()["loads"][0]["image"]["agfi"], HELLO, "{name}");
    }
}

#[test]
fn a_slot_is_found_by_its_number_and_by_both_addresses() {
    let sim = Sim::f1().start();
    for slot in ["0", "0000:00:1d.0", "00:1e.0", "all"] {
        sim.afi(&format!("load {slot} {HELLO}")).success();
    }
}

#[test]
fn memory_of_the_card_is_reached_through_pcis() {
    let sim = Sim::f1().start();
    sim.afi(&format!("load 0 {DRAM}")).success();
    for (offset, value) in [
        ("0x0", "0x11"),
        ("0x400000000", "0x22"),
        ("0xfffffffc0", "0x33"),
    ] {
        sim.afi(&format!("poke 0 {offset} {value} --bar pcis --width 64"))
            .success();
    }
    for (offset, value) in [
        ("0x0", "11"),
        ("0x400000000", "22"),
        ("0x1ffffffffc0", "33"),
    ] {
        let read = sim.afi(&format!("peek 0 {offset} --bar pcis --width 64"));
        if offset == "0x1ffffffffc0" {
            // Beyond the 128 GiB of the BAR.
            read.failure(2);
            continue;
        }
        assert!(read.success().contains(value), "{offset}: {read:?}");
    }
}

#[test]
fn a_load_of_a_known_image_asks_nobody() {
    // The simulator of the second instance refuses every connection to its API.
    let known = Sim::f1().start();
    known.afi(&format!("load 0 {HELLO}")).success();
    let down = Sim::f1().fault("api-refused").start();
    let from = |name: &str| {
        fs::read_dir(known.directory().join("state"))
            .unwrap()
            .any(|entry| entry.unwrap().file_name().to_string_lossy().contains(name))
    };
    assert!(from("images"));
    let state = known.variable("AFI_STATE_DIR").to_owned();
    let load = |words: &str| {
        let mut command = down.command("afi");
        command
            .args(words.split_whitespace())
            .env("AFI_STATE_DIR", &state);
        command.output().unwrap()
    };
    let report = load(&format!("load 0 {HELLO} --output-format json"));
    assert!(report.status.success(), "{report:?}");
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["loads"][0]["image"]["source"]["from"], "cache");
    let refreshed = load(&format!("load 0 {HELLO} --refresh --timeout 5"));
    assert_eq!(refreshed.status.code(), Some(1), "{refreshed:?}");
}

#[test]
fn an_image_can_be_loaded_unchecked_with_no_api_at_all() {
    let sim = Sim::f1().fault("api-refused").start();
    sim.afi(&format!("load 0 {HELLO} --offline")).success();
    assert!(sim.afi("describe 0").success().contains(HELLO));
    sim.afi("load 0 cl_hello_world --offline").failure(3);
}

#[test]
fn a_dry_run_touches_nothing() {
    let sim = Sim::f1().start();
    sim.afi(&format!("load 0 {HELLO} --dry-run")).success();
    assert!(sim.afi("describe 0").success().contains("cleared"));
}

#[test]
fn a_load_that_is_not_waited_for_goes_on() {
    let sim = Sim::f1().load_time(300).start();
    let load = sim.afi(&format!("load 0 {HELLO} --no-wait"));
    load.success();
    assert!(sim.afi("describe 0").success().contains("busy"));
    // The next load waits for it.
    sim.afi(&format!("load 0 {HELLO}")).success();
}

#[test]
fn a_prefetched_image_is_in_the_cache_and_the_running_one_goes_on() {
    let sim = Sim::f1().start();
    sim.afi(&format!("load 0 {HELLO}")).success();
    sim.afi("poke 0 0x500 0x12345678").success();
    sim.afi(&format!("load 0 {DRAM} --prefetch")).success();
    let state = sim.afi("describe 0 --metrics --output-format json").json();
    let slot = &state["slots"][0];
    assert_eq!(slot["state"]["image"], HELLO);
    let cached: Vec<_> = slot["metrics"]["cached_images"].as_array().unwrap().clone();
    assert!(cached.iter().any(|image| image == DRAM), "{cached:?}");
    assert!(sim.afi("peek 0 0x500").success().contains("0x78563412"));
}

#[test]
fn dram_is_kept_when_asked_and_lost_when_not() {
    let sim = Sim::f1().start();
    sim.afi(&format!("load 0 {DRAM}")).success();
    let value = || sim.afi("peek 0 0x1000 --bar pcis").success().to_owned();
    sim.afi("poke 0 0x1000 0xcafe --bar pcis").success();
    sim.afi(&format!("load 0 {DRAM} --retain-dram")).success();
    assert!(value().contains("0x0000cafe"));
    sim.afi(&format!("load 0 {DRAM}")).success();
    assert!(value().contains("0x00000000"));
    // From a cleared slot there is nothing to keep: refused, and nothing changed.
    sim.afi("clear 0").success();
    let refused = sim.afi(&format!("load 0 {DRAM} --retain-dram"));
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(sim.afi("describe 0").success().contains("cleared"));
}

#[test]
fn f2_reloads_its_shell_when_told_to() {
    let sim = Sim::f2().start();
    sim.afi(&format!("load 0 {AXIL} --force-shell-reload"))
        .success();
    assert!(sim.afi("describe 0").success().contains(AXIL));
}

#[test]
fn a_running_command_ends_with_the_instance_and_its_status_is_told() {
    let run = |command: &[&str]| {
        let mut afi_sim = Command::new(program("afi-sim"));
        afi_sim.args(["run", "--"]).args(command).output().unwrap()
    };
    let output = run(&["sh", "-c", "echo $AFI_BUS; exit 7"]);
    assert_eq!(output.status.code(), Some(7));
    let bus = String::from_utf8(output.stdout).unwrap();
    let directory = bus.trim().strip_prefix("socket:").unwrap();
    assert!(
        !std::path::Path::new(directory).exists(),
        "{directory} is left behind"
    );
    assert_eq!(run(&["sh", "-c", "kill -9 $$"]).status.code(), Some(137));
    assert_eq!(run(&["/nonexistent"]).status.code(), Some(1));
}

#[test]
fn the_demo_shows_the_whole_job() {
    for (family, found) in [("f1", "0xdeadbeef"), ("f2", "0x0000002a")] {
        let output = Command::new(program("afi-sim"))
            .args(["demo", "--family", family])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        assert!(text.contains(found) && text.contains("cleared"), "{text}");
    }
}

#[test]
fn one_directory_is_one_instance() {
    let sim = Sim::f1().start();
    let second = Command::new(program("afi-sim"))
        .args(["serve", "--dir"])
        .arg(sim.directory())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(text.contains("another instance is served"), "{text}");
    sim.afi("list").success();
}
