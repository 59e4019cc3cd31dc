//! Many processes at once, and processes that die: nothing they do leaves a slot that the next
//! command cannot use.

use std::time::{Duration, Instant};

use afi_rig::Sim;

const HELLO: &str = "agfi-0f1f1000000000001";
const DRAM: &str = "agfi-0f1f1000000000002";

#[test]
fn eight_slots_load_at_once_from_eight_processes() {
    let sim = Sim::f1().slots(8).load_time(100).start();
    let images = [HELLO, DRAM];
    let loads: Vec<_> = (0..8)
        .map(|slot| sim.start_afi(&format!("load {slot} {}", images[slot % 2])))
        .collect();
    for load in loads {
        Sim::finish(load).success();
    }
    let slots = sim.afi("describe --output-format json").json();
    let slots = slots["slots"].as_array().unwrap();
    assert_eq!(slots.len(), 8);
    for (index, slot) in slots.iter().enumerate() {
        assert_eq!(slot["state"]["image"], images[index % 2], "{slot:#}");
    }
}

#[test]
fn all_slots_load_from_one_process() {
    let sim = Sim::f1().slots(8).load_time(1000).start();
    let output = sim.afi(&format!("load all {HELLO}"));
    output.success();
    // One after the other they would take 8 s and more.
    assert!(output.took < Duration::from_secs(7), "{output:?}");
}

#[test]
fn two_processes_on_one_slot_take_turns() {
    let sim = Sim::f1().load_time(100).start();
    let first = sim.start_afi(&format!("load 0 {HELLO}"));
    let second = sim.start_afi(&format!("load 0 {DRAM}"));
    Sim::finish(first).success();
    Sim::finish(second).success();
    let state = sim.afi("describe 0");
    let text = state.success();
    assert!(text.contains(HELLO) || text.contains(DRAM), "{text}");
}

#[test]
fn who_holds_a_slot_is_said_when_the_time_is_up() {
    let sim = Sim::f1().load_time(3000).start();
    let holder = sim.start_afi(&format!("load 0 {HELLO}"));
    let pid = holder.id();
    let end = Instant::now() + Duration::from_secs(10);
    // A description takes the lock too, and leaves the slot as it is.
    let refused = loop {
        let output = sim.afi("describe 0 --timeout 0.2");
        if output.code == Some(5) {
            break output;
        }
        assert!(Instant::now() < end, "never refused: {output:?}");
    };
    assert!(refused.stderr.contains(&pid.to_string()), "{refused:?}");
    assert!(refused.stderr.contains("afi load"), "{refused:?}");
    Sim::finish(holder).success();
}

#[test]
fn an_interrupted_load_says_so_and_the_slot_tells_the_truth() {
    let sim = Sim::f1().load_time(1500).start();
    let load = sim.start_afi(&format!("load 0 {HELLO}"));
    // Once the lock is refused to somebody else the load is under way.
    let end = Instant::now() + Duration::from_secs(10);
    while sim.afi("describe 0 --timeout 0.05").code != Some(5) {
        assert!(Instant::now() < end, "the load never begins");
    }
    std::thread::sleep(Duration::from_millis(200));
    let pid = nix::unistd::Pid::from_raw(load.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let output = Sim::finish(load);
    assert_eq!(output.code, Some(130), "{output:?}");
    assert!(output.stderr.contains("interrupted"), "{output:?}");
    assert!(output.stderr.contains("busy"), "{output:?}");
    assert!(sim.afi("describe 0").success().contains("busy"));
    // The shell goes on by itself, and what it runs then is told.
    let end = Instant::now() + Duration::from_secs(10);
    while !sim.afi("describe 0").success().contains("loaded") {
        assert!(Instant::now() < end, "the load never ends");
    }
    sim.afi("clear 0").success();
}

#[test]
fn listing_does_not_wait_for_a_load() {
    let sim = Sim::f1().load_time(3000).start();
    let mut load = sim.start_afi(&format!("load 0 {HELLO}"));
    let end = Instant::now() + Duration::from_secs(10);
    while sim.afi("describe 0 --timeout 0.05").code != Some(5) {
        assert!(Instant::now() < end, "the load never begins");
    }
    sim.afi("list").success();
    assert!(
        load.try_wait().unwrap().is_none(),
        "the load was over before the listing"
    );
    Sim::finish(load).success();
}

/// A hundred loads that are killed, each at another point; after each the next command succeeds.
#[test]
fn a_load_killed_at_any_point_leaves_a_slot_that_can_be_used() {
    /// Loads that have to be caught before their end.
    const WANTED: u32 = 100;
    /// Loads that are tried for that.
    const MOST: u32 = 1000;
    let sim = Sim::f1().load_time(60).start();
    for image in [HELLO, DRAM] {
        sim.afi(&format!("load 0 {image}")).success();
    }
    let whole = sim.afi(&format!("load 0 {HELLO}")).took;
    let mut killed = 0;
    for round in 0..MOST {
        let image = [DRAM, HELLO][round as usize % 2];
        let mut load = sim.start_afi(&format!("load 0 {image}"));
        // Points spread over the whole of a load, in an order that is the same every time.
        std::thread::sleep(whole.mul_f64(f64::from(round * 37 % 100) / 100.0));
        load.kill().unwrap();
        let output = Sim::finish(load);
        killed += u32::from(output.code.is_none());
        let words = match round % 4 {
            0 => "describe 0".to_owned(),
            1 => format!("load 0 {HELLO}"),
            2 => "clear 0".to_owned(),
            _ => format!("load 0 {DRAM}"),
        };
        let next = sim.afi(&words);
        assert_eq!(next.code, Some(0), "round {round}, {words}: {next:#?}");
        if killed == WANTED {
            break;
        }
    }
    assert_eq!(killed, WANTED, "of {MOST} loads");
    sim.afi(&format!("load 0 {HELLO}")).success();
    assert!(sim.afi("peek 0 0x500").success().contains("0x"));
}
