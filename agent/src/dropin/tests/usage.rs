//! Command lines that ask for nothing to be done, or are none.

use afi_pcie::Cancel;
use afi_proto::Family;

use super::super::{Dialect, Tool, usage};
use super::rig::{HELLO, Ran, Rig};

const REFUSED: &str = "\
Error: (-22) Invalid argument
This usually indicates a bug in the fpga image tools, but can also be a
symptom of a bug in the code which is using the library in cases where
the customer is using the library directly.
";

/// The 64-bit FNV-1a hash.
fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Length and hash of what the tools themselves print for `-h`, versions 1.4.24 and 2.0.2. An
/// editor that removes spaces at line ends would not be seen otherwise.
#[test]
fn usage_texts_are_those_of_the_tools() {
    for (tool, dialect, length, hashed) in [
        (Tool::DescribeSlots, Dialect::F1, 675, 0xbb59_6e31_c35a_017f),
        (Tool::DescribeSlots, Dialect::F2, 675, 0xbb59_6e31_c35a_017f),
        (Tool::Describe, Dialect::F1, 1746, 0x3e7c_f91b_c9ae_9c1a),
        (Tool::Describe, Dialect::F2, 1896, 0xac27_8ec4_6638_8f0b),
        (Tool::Load, Dialect::F1, 3231, 0x4a89_2643_32ec_f572),
        (Tool::Load, Dialect::F2, 2450, 0xbd52_cab9_caf4_fe19),
        (Tool::Clear, Dialect::F1, 1988, 0xc067_ff90_5e2b_4881),
        (Tool::Clear, Dialect::F2, 1988, 0xc067_ff90_5e2b_4881),
        (Tool::GetLed, Dialect::F1, 722, 0xffcb_6f1f_b7ba_ee13),
        (Tool::GetLed, Dialect::F2, 722, 0xffcb_6f1f_b7ba_ee13),
        (Tool::GetDip, Dialect::F1, 750, 0x3ab2_d3e5_76da_51c9),
        (Tool::GetDip, Dialect::F2, 750, 0x3ab2_d3e5_76da_51c9),
        (Tool::SetDip, Dialect::F1, 1033, 0xfaf5_112c_ee8a_6a3f),
        (Tool::SetDip, Dialect::F2, 1032, 0xb50f_de61_ce00_3fed),
        (Tool::StartJtag, Dialect::F1, 1597, 0xec06_371e_d901_8935),
        (Tool::StartJtag, Dialect::F2, 1597, 0xec06_371e_d901_8935),
    ] {
        let text = usage::of(tool, dialect);
        assert_eq!(
            (text.len(), hash(text)),
            (length, hashed),
            "{tool:?} {dialect:?}"
        );
    }
}

fn on(rig: &Rig, tool: Tool, line: &str, dialect: Dialect) -> Ran {
    rig.run_with(tool, line, Some(dialect), &Cancel::default())
}

#[test]
fn help_and_version_end_with_the_status_of_a_mistake() {
    let rig = Rig::new(Family::F1, 1);
    for dialect in [Dialect::F1, Dialect::F2] {
        for tool in Tool::ALL {
            for line in ["-h", "--help", "-Hh -V", "--hel"] {
                let ran = on(&rig, tool, line, dialect);
                ran.fails(234, usage::of(tool, dialect));
                assert_eq!(ran.err, "");
            }
            // A question mark is a mistake, whatever the usage text of other programs says.
            let refused = format!("{}{REFUSED}", usage::of(tool, dialect));
            on(&rig, tool, "-?", dialect).fails(234, &refused);
        }
    }
    let (f1, f2) = ("1.4.24\n", "2.0.2\n");
    for (dialect, version) in [(Dialect::F1, f1), (Dialect::F2, f2)] {
        let version = format!("AFI Management Tools Version: {version}");
        on(&rig, Tool::Load, "-V", dialect).fails(234, &version);
        on(&rig, Tool::DescribeSlots, "--version -h", dialect).fails(234, &version);
    }
}

#[test]
fn the_tools_are_those_of_the_slots() {
    for (family, version) in [(Family::F1, "1.4.24"), (Family::F2, "2.0.2")] {
        let text = format!("AFI Management Tools Version: {version}\n");
        Rig::new(family, 1).run(Tool::Clear, "-V").fails(234, &text);
    }
}

#[test]
fn mistakes_are_told_before_the_usage_text() {
    let load = format!("-I {HELLO} -S");
    let long = format!("-S 0 -I {}", "a".repeat(64));
    for (tool, line, before) in [
        (Tool::Load, "", ""),
        (Tool::Load, "-S 0", ""),
        (Tool::Load, &*format!("-I {HELLO}"), ""),
        (
            Tool::Load,
            &*format!("{load} 8"),
            "fpga-image-slot must be less than 8\n",
        ),
        (
            Tool::Load,
            &*format!("{load} x"),
            "fpga-image-slot must be less than 8\n",
        ),
        (
            Tool::Load,
            &*long,
            "fpga-image-id must be less than 64 bytes\n",
        ),
        (
            Tool::Load,
            "-S 0 -a 0",
            "Requested frequency must be positive\n",
        ),
        (
            Tool::Load,
            "-r 0",
            "Error: The timeout must be between 1 and 171798691 seconds\n",
        ),
        (
            Tool::Clear,
            "--sync-timeout 8589935",
            "Error: The timeout must be between 1 and 8589934 seconds\n",
        ),
        (Tool::Clear, "-A", ""),
        (Tool::Describe, "-M", ""),
        (Tool::DescribeSlots, "-S 0", ""),
        (Tool::GetLed, "", "Error: Invalid Slot Id !"),
        (Tool::GetDip, "-H", "Error: Invalid Slot Id !"),
        (Tool::GetDip, "-S 0 -R", ""),
        (
            Tool::SetDip,
            "-D 0000000000000000",
            "Error: Invalid Slot Id !",
        ),
        (Tool::SetDip, "-S 0", "Error: Missing DIP Switch values !"),
        (
            Tool::SetDip,
            "-S 0 -D 000000000000000",
            "virtual-dip must be 16 digits of zero or one\n",
        ),
        (
            Tool::SetDip,
            "-S 0 -D 000000000000000x",
            "illegal digit for virtual-dip x\n",
        ),
        (Tool::StartJtag, "", "Error: Invalid Slot Id !"),
        (
            Tool::StartJtag,
            "-S 0 -P 1024",
            "tcp-port must be larger than 1024\n",
        ),
        (
            Tool::StartJtag,
            "-S 0 -P http",
            "tcp-port must be larger than 1024\n",
        ),
        (
            Tool::StartJtag,
            "-S 0 -P 65535",
            "tcp-port must be less than 65535\n",
        ),
        (
            Tool::StartJtag,
            "-S 0 -P [::1]:80",
            "tcp-port must be larger than 1024\n",
        ),
    ] {
        let ran = on(&Rig::new(Family::F2, 1), tool, line, Dialect::F2);
        let expected = format!("{before}{}{REFUSED}", usage::of(tool, Dialect::F2));
        ran.fails(234, &expected);
    }
}

#[test]
fn the_c_library_names_what_is_no_option() {
    let rig = Rig::new(Family::F1, 1);
    let ran = rig.run(Tool::Clear, "-S 0 --quick");
    assert_eq!(ran.status, 234);
    assert_eq!(
        ran.err,
        "fpga-clear-local-image: unrecognized option '--quick'\n"
    );
}
