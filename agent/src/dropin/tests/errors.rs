//! What each tool prints, and how it ends, when something is wrong.

use std::time::{Duration, Instant};

use afi_pcie::Cancel;
use afi_proto::Family;

use super::super::Tool;
use super::rig::{HELLO, Ran, Rig};

const TIMED_OUT: &str = "\
Error: (-110) Connection timed out
A time out error is usually spurious and the request can be retried. If
it continues to fail, the FPGA may be inaccessible or the the FPGA API
may be unresponsive.
";
const MISSING: &str = "\
Error: (20) pci-device-missing
Unable to locate a PCI device or resource for communicating with the
FPGA API. This can happen if the FPGA has stopped behaving correctly
and the instance will need to be stopped and restarted. This can also
happen if the tools are run on a system with no AWS FPGA attached.
";
const INVALID_ID: &str = "\
Error: (5) invalid-afi-id
The agfi id passed is invalid or you do not have permission to load
the AFI.
";
const BUSY: &str = "\
Error: (3) busy
The FPGA is busy with an operation such as a load or a clear.
";
const MALFORMED: &str = "\
Error: (21) afi-command-malformed
A malformed response from the FPGA API can indicate that the FPGA has
stopped behaving correctly and the instance will need to be stopped and
and restarted. If this continues to happen (after an instance restart),
this may be an indication that your AFI is exceeding allowed power
consumption limits.
";
const UNRESPONSIVE: &str = "\
Error: (25) unresponsive
The FPGA or PCI subsytem is not responding. This can happen if the FPGA
stopped behaving correctly and the instance will need to be stopped and
restarted.
";

fn load(rig: &Rig, options: &str) -> Ran {
    rig.run(Tool::Load, &format!("-S 0 -I {HELLO} {options}"))
}

#[test]
fn a_slot_that_is_not_there() {
    let rig = Rig::new(Family::F1, 2);
    for tool in [Tool::Describe, Tool::Clear] {
        rig.run(tool, "-S 2").fails(20, MISSING);
    }
    let ran = rig.run(Tool::Load, &format!("-S 2 -I {HELLO}"));
    ran.fails(20, MISSING);
    // Standard error says more.
    assert!(ran.err.contains("0000:00:1c.0"), "{}", ran.err);
    for (tool, options, first) in [
        (Tool::GetLed, "", "Error trying to get virtual LED state\n"),
        (
            Tool::GetDip,
            "",
            "Error: can not get virtual DIP Switch state\n",
        ),
        (
            Tool::SetDip,
            "-D 0000000000000000",
            "Error trying to set virtual DIP Switch \n",
        ),
        (
            Tool::StartJtag,
            "-P 10202",
            "Starting Virtual JTAG XVC Server for FPGA slot id 2, listening to TCP port 10202.\n\
             Press CTRL-C to stop the service.\n",
        ),
    ] {
        let ran = rig.run(tool, &format!("-S 2 {options}"));
        ran.fails(20, &format!("{first}{MISSING}"));
    }
}

#[test]
fn a_text_that_names_no_image() {
    let rig = Rig::new(Family::F1, 1);
    for (id, says) in [
        ("agfi-0fedcba9876543210", "0fedcba9876543210"),
        ("agfi-012345", "it has 6 digits"),
        ("cl_hello_world", "is no image id"),
        ("afi-0fedcba9876543210", "afi-0fedcba9876543210"),
    ] {
        for options in ["", "-A"] {
            let ran = rig.run(Tool::Load, &format!("-S 0 -I {id} {options}"));
            // The shell takes an unknown AGFI id at first, and fails later.
            if options == "-A" && ran.status == 0 {
                assert_eq!(id, "agfi-0fedcba9876543210");
                continue;
            }
            ran.fails(5, INVALID_ID);
            assert!(ran.err.contains(says), "{id}: {}", ran.err);
        }
    }
}

#[test]
fn errors_of_the_shell_keep_their_numbers() {
    let plain = [
        ("unspecified-error", 14, "Error: (14) unspecified-error\n"),
        (
            "dram-data-retention-failed",
            22,
            "Error: (22) dram-data-retention-failed\n",
        ),
    ];
    for (fault, status, out) in plain {
        let rig = Rig::new(Family::F1, 1);
        rig.fault(&format!("load-error={fault}"));
        load(&rig, "").fails(status, out);
    }
    let rig = Rig::new(Family::F1, 1);
    rig.fault("clear-error=unspecified-error");
    rig.run(Tool::Clear, "-S 0")
        .fails(14, "Error: (14) unspecified-error\n");
}

#[test]
fn an_error_that_passes_is_not_seen() {
    let rig = Rig::new(Family::F1, 1);
    rig.fault("busy-loads=2");
    let ran = load(&rig, "");
    assert_eq!((ran.status, &*ran.err), (0, ""), "{}", ran.out);
}

#[test]
fn options_that_exclude_each_other() {
    let rig = Rig::new(Family::F1, 1);
    load(&rig, "-F -P").fails(27, "Error: (27) err-incompatible-afi-cmd-flags\n");
    load(&rig, "-D").fails(18, "Error: (18) dram-data-retention-not-possible\n");
}

#[test]
fn a_shell_that_stays_silent() {
    for fault in ["mailbox-silent", "mailbox-mute", "response-stale-forever"] {
        let rig = Rig::new(Family::F1, 1);
        rig.fault(fault);
        let started = Instant::now();
        // Shorter than the tools allow.
        rig.run(Tool::Describe, "-S 0 --request-timeout 1")
            .fails(146, TIMED_OUT);
        load(&rig, "-r 1").fails(146, TIMED_OUT);
        rig.run(Tool::Clear, "-S 0 -A -r 1").fails(146, TIMED_OUT);
        assert!(started.elapsed() < Duration::from_secs(9), "{fault}");
    }
}

#[test]
fn a_slot_that_stays_busy() {
    let rig = Rig::new(Family::F1, 1);
    rig.fault("busy-forever");
    let started = Instant::now();
    load(&rig, "--sync-timeout 1").fails(3, BUSY);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_slot_that_is_locked() {
    let rig = Rig::new(Family::F1, 1);
    let mgmt = "0000:00:1e.0".parse().unwrap();
    let deadline = afi_pcie::Deadline::after(Duration::from_secs(5));
    let _lock = crate::lock::SlotLock::acquire(rig.locks(), mgmt, "other", &deadline).unwrap();
    let ran = rig.run(Tool::Describe, "-S 0 -r 1");
    ran.fails(3, BUSY);
    assert!(ran.err.contains("'other'"), "{}", ran.err);
}

#[test]
fn a_card_that_is_gone() {
    let rig = Rig::new(Family::F1, 1);
    rig.fault("device-gone");
    rig.run(Tool::Describe, "-S 0").fails(21, MALFORMED);
    load(&rig, "").fails(21, MALFORMED);
    let led = format!("Error trying to get virtual LED state\n{UNRESPONSIVE}");
    rig.run(Tool::GetLed, "-S 0").fails(25, &led);
}

#[test]
fn answers_that_are_none() {
    for fault in [
        "response-malformed",
        "response-oversized",
        "response-truncated",
    ] {
        let rig = Rig::new(Family::F2, 1);
        rig.fault(fault);
        let ran = rig.run(Tool::Describe, "-S 0 -r 1");
        let expected = if ran.status == 21 {
            MALFORMED
        } else {
            TIMED_OUT
        };
        ran.fails(ran.status, expected);
        assert!([21, 146].contains(&ran.status), "{fault}");
    }
}

#[test]
fn an_application_function_that_stays_away() {
    let rig = Rig::new(Family::F1, 1);
    rig.fault("app-missing");
    load(&rig, "--sync-timeout 2").fails(25, UNRESPONSIVE);
    rig.run(Tool::Describe, "-S 0 -r 1").fails(25, UNRESPONSIVE);
    // The tool that lists slots leaves it out, and does not fail.
    let ran = rig.run(Tool::DescribeSlots, "-r 1");
    assert_eq!((ran.status, &*ran.out), (0, ""));
    assert!(ran.err.contains("not listed"), "{}", ran.err);
}

#[test]
fn an_image_with_other_ids_than_it_should_have() {
    let rig = Rig::new(Family::F1, 1);
    rig.fault("ids-differ");
    load(&rig, "").fails(
        12,
        "Error: (12) cl-id-mismatch\n\
         The vendor and device ID presented by the CL did not match expected\n\
         values provided at ingestion time.\n",
    );
}

#[test]
fn an_interruption_says_nothing() {
    let rig = Rig::new(Family::F1, 1);
    let cancel = Cancel::default();
    cancel.cancel();
    let line = format!("-S 0 -I {HELLO}");
    rig.run_with(Tool::Load, &line, None, &cancel)
        .fails(130, "");
}

#[test]
fn without_an_instance() {
    let rig = Rig::without_slots();
    rig.run(Tool::Describe, "-S 0").fails(20, MISSING);
    rig.run(Tool::DescribeSlots, "-H").says("");
}
