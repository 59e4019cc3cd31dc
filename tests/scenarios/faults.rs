//! Every fault by name: what a load or clear then says, its exit code, and how long it may take.
//!
//! Time bounds are the deadline that the command was given and room for a slow machine: what they
//! catch is a wait without an end.

use std::collections::BTreeSet;
use std::time::Duration;

use afi_rig::{Output, Sim};
use afi_sim::fault::Kind;

const HELLO: &str = "agfi-0f1f1000000000001";
/// Time that the commands are given.
const GIVEN: Duration = Duration::from_secs(2);
/// Room for a slow machine.
const ROOM: Duration = Duration::from_secs(8);

/// What happens under a fault.
struct Case {
    fault: &'static str,
    words: &'static str,
    code: i32,
    says: &'static [&'static str],
}

const fn load(fault: &'static str, code: i32, says: &'static [&'static str]) -> Case {
    Case {
        fault,
        words: "load 0 agfi-0f1f1000000000001",
        code,
        says,
    }
}

const fn clear(fault: &'static str, code: i32, says: &'static [&'static str]) -> Case {
    Case {
        fault,
        words: "clear 0",
        code,
        says,
    }
}

const CASES: &[Case] = &[
    load(
        "mailbox-silent",
        6,
        &[
            "did not take the request",
            "nothing on the slot has been touched",
        ],
    ),
    load("mailbox-mute", 6, &["did not answer"]),
    load("busy-forever", 5, &["busy", "--timeout"]),
    load("busy-loads=3", 0, &["loaded"]),
    load("busy-loads=50", 5, &["busy"]),
    load("response-malformed", 1, &["no message"]),
    load("response-malformed=1", 0, &["loaded"]),
    load("response-truncated", 1, &["no message", "has 284"]),
    load("response-oversized", 1, &["1025 words", "wanted 1 to 1024"]),
    load("response-stale", 0, &["loaded"]),
    load(
        "response-stale-forever",
        5,
        &["another process uses the slot"],
    ),
    load("response-wrong-opcode", 1, &["answered"]),
    load("ids-differ", 7, &["1d0f:f000 fedd:1d51", "registered"]),
    load("device-gone", 8, &["all ones"]),
    load("device-gone-on-load", 8, &["all ones", "not known"]),
    load("app-missing", 8, &["did not appear", "rescan"]),
    load("bus-master-off", 0, &["bus-master"]),
    load("api-throttled", 1, &["throttled", "RequestLimitExceeded"]),
    load("api-throttled=2", 0, &["loaded"]),
    load("api-5xx", 1, &["500", "InternalError"]),
    load("api-5xx=1", 0, &["loaded"]),
    load("api-slow=200", 0, &["loaded"]),
    load("api-slow=60000", 6, &["resolve"]),
    load(
        "api-refused",
        1,
        &["Connection refused", "AWS_ENDPOINT_URL_EC2"],
    ),
    load("api-denied", 4, &["ec2:DescribeFpgaImages", "allow"]),
    load("api-empty", 3, &["us-east-1", "shares"]),
    load("api-expired", 4, &["RequestExpired", "renew"]),
    load("image-gone", 3, &["invalid-afi-id (5)"]),
    // Each error of the shell, by its public name.
    load("load-error=busy", 5, &["busy (3)"]),
    load(
        "load-error=invalid-afi-id",
        3,
        &["invalid-afi-id (5)", "AGFI"],
    ),
    load("load-error=afi-load-timeout", 6, &["afi-load-timeout (6)"]),
    load(
        "load-error=invalid-afi-cmd-api-version",
        7,
        &["invalid-afi-cmd-api-version (11)"],
    ),
    load(
        "load-error=cl-id-mismatch",
        7,
        &["cl-id-mismatch (12)", "cl_id_defines.vh"],
    ),
    load(
        "load-error=cl-ddr-calib-failed",
        1,
        &["cl-ddr-calib-failed (13)"],
    ),
    load(
        "load-error=unspecified-error",
        1,
        &["unspecified-error (14)"],
    ),
    load(
        "load-error=shell-version-not-supported",
        7,
        &["shell-version-not-supported (16)"],
    ),
    load(
        "load-error=afi-power-violation",
        1,
        &["afi-power-violation (17)", "clocks"],
    ),
    load("load-error=dram-data-retention-not-possible", 1, &["(18)"]),
    load("load-error=hardware-busy", 5, &["hardware-busy (19)"]),
    load(
        "load-error=pci-device-missing",
        8,
        &["pci-device-missing (20)"],
    ),
    load(
        "load-error=afi-command-malformed",
        1,
        &["afi-command-malformed (21)"],
    ),
    load("load-error=dram-data-retention-failed", 1, &["(22)"]),
    load("load-error=dram-data-retention-setup-failed", 1, &["(23)"]),
    load("load-error=software-problem", 1, &["software-problem (24)"]),
    load("load-error=unresponsive", 8, &["unresponsive (25)"]),
    load(
        "load-error=err-rl-reload-needed-drop-pci-link",
        1,
        &["(26)"],
    ),
    load("load-error=err-incompatible-afi-cmd-flags", 2, &["(27)"]),
    load("load-error=invalid-clkgen-input", 2, &["(28)"]),
    load("load-error=clkgen-ip-not-found", 1, &["(29)"]),
    load("load-error=-110", 6, &["timed-out (-110)"]),
    load("load-error=-22", 2, &["invalid-argument (-22)"]),
    load("load-error=77", 1, &["internal-error (77)"]),
    clear(
        "clear-error=unspecified-error",
        1,
        &["unspecified-error (14)"],
    ),
    clear("clear-error=hardware-busy", 5, &["hardware-busy (19)"]),
    clear("mailbox-mute", 6, &["did not answer"]),
    clear("device-gone", 8, &["all ones"]),
];

/// Of transfers to a card that runs a design with memory.
const TRANSFERS: &[Case] = &[
    write("dma-hang", 6, &["not done after 2 s"]),
    write("dma-descriptor-error", 1, &["H2C channel", "poisoned"]),
    write("dma-data-error", 1, &["H2C channel", "poisoned"]),
    read("dma-data-error", 1, &["C2H channel", "slave error"]),
    write("dma-interrupt-lost", 0, &["filled 1 MiB"]),
    write("dma-write-back-lost", 0, &["filled 1 MiB"]),
    write("dma-slow=50", 0, &["filled 1 MiB"]),
    write("dma-device-gone", 8, &["does not answer"]),
    read("dma-device-gone", 8, &["does not answer"]),
];

/// Faults of calls that no command of `afi` makes: `sim/src/cloud/tests` and `clients` try them.
const OF_OTHER_CALLS: &[&str] = &[
    "s3-throttled",
    "s3-5xx",
    "s3-slow",
    "s3-denied",
    "s3-other-region",
    "copy-source-gone",
    "create-fails",
    "instance-stopping",
];

const fn write(fault: &'static str, code: i32, says: &'static [&'static str]) -> Case {
    Case {
        fault,
        words: "dma fill 0 --size 1M --value 0x5a --path xdma",
        code,
        says,
    }
}

const fn read(fault: &'static str, code: i32, says: &'static [&'static str]) -> Case {
    Case {
        fault,
        words: "dma read 0 --size 4K --path xdma",
        code,
        says,
    }
}

fn run(case: &Case) -> (Sim, Output) {
    let sim = Sim::f1().fault(case.fault).start();
    if case.words.starts_with("dma") {
        sim.afi("load 0 agfi-0f1f1000000000002 --offline").success();
    }
    let output = sim.afi(&format!("{} --timeout {}", case.words, GIVEN.as_secs()));
    (sim, output)
}

/// Runs the cases whose place in the table is `part` modulo 4, so that the parts run at once.
fn check(part: usize) {
    let mut wrong = Vec::new();
    let cases = CASES.iter().chain(TRANSFERS);
    for case in cases.skip(part).step_by(4) {
        let (_sim, output) = run(case);
        let text = format!("{}{}", output.stdout, output.stderr);
        let says = case.says.iter().all(|wanted| text.contains(wanted));
        let in_time = output.took < GIVEN + ROOM;
        if output.code != Some(case.code) || !says || !in_time || text.contains("panicked") {
            wrong.push(format!(
                "{} with {}: wanted {} and {:?}; got {output:#?}",
                case.words, case.fault, case.code, case.says
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn part_1() {
    check(0);
}

#[test]
fn part_2() {
    check(1);
}

#[test]
fn part_3() {
    check(2);
}

#[test]
fn part_4() {
    check(3);
}

#[test]
fn no_fault_is_left_out() {
    let tried: BTreeSet<&str> = CASES
        .iter()
        .chain(TRANSFERS)
        .map(|case| case.fault.split(['=', '@', ':']).next().unwrap())
        .collect();
    for (_, name, ..) in Kind::ALL {
        let known = tried.contains(name) || OF_OTHER_CALLS.contains(name);
        assert!(known, "no case for {name}");
    }
}

#[test]
fn no_error_of_the_shell_is_left_out() {
    for error in afi_proto::mailbox::ErrorCode::ALL.iter().skip(1) {
        let tried = CASES.iter().any(|case| {
            let value = case.fault.strip_prefix("load-error=");
            value == Some(error.name()) || value == Some(&error.0.to_string())
        });
        assert!(tried, "no case for load-error={}", error.name());
    }
}

#[test]
fn every_try_is_recorded() {
    let sim = Sim::f1().fault("load-error=-110").start();
    let output = sim.afi(&format!("load 0 {HELLO} --retries 2 --output-format json"));
    assert_eq!(output.code, Some(6));
    let error = &output.json()["loads"][0]["error"];
    let attempts = error["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 3, "{error:#}");
    assert!(
        attempts
            .iter()
            .all(|attempt| attempt["code"]["code"] == -110),
        "{attempts:#?}"
    );
    assert_eq!(error["now"]["status"]["name"], "load-failed");
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    let run = |seed: &str| -> Vec<Option<i32>> {
        let sim = Sim::f1()
            .fault("load-error=14@0.5")
            .args(&["--seed", seed])
            .start();
        (0..8)
            .map(|_| sim.afi(&format!("load 0 {HELLO} --retries 0")).code)
            .collect()
    };
    let first = run("7");
    assert_eq!(first, run("7"));
    assert!(
        first.contains(&Some(0)) && first.contains(&Some(1)),
        "{first:?}"
    );
}

#[test]
fn a_fault_of_one_slot_leaves_the_others_alone() {
    let sim = Sim::f1().slots(2).fault("mailbox-mute:1").start();
    sim.afi(&format!("load 0 {HELLO}")).success();
    sim.afi(&format!("load 1 {HELLO} --timeout 1")).failure(6);
    sim.afi("describe 0").success();
}
